"""CLIVE: three MATLAB files, whose first seven entries are training pictures."""

import pytest
import scipy.io
from trees import tiny, write_mat
from trees_authentic import build_clive, clive_names, opened

from features.errors import InputError
from pipeline.databases.clive import CLIVE
from pipeline.databases.table import Target


@pytest.fixture
def root(tmp_path):
    """The tree of the authors."""
    build_clive(tmp_path / "ChallengeDB_release")
    return tmp_path / "ChallengeDB_release"


def test_training_pictures_are_left_out(root):
    """Of 1,169 entries 1,162 rows: the eighth is the first, and each keeps its own scores."""
    database, labels = opened(CLIVE, root)
    table = labels.table
    assert list(table.columns) == ["name", "mos", "mos_std"]
    assert len(table) == 1162
    assert list(table["name"]) == clive_names()[7:]
    assert list(table["name"].iloc[[0, -1]]) == ["100.bmp", "1164.bmp"]
    # levels of entries 7 to 11 are 7, 8, 9, 0, 1: 88 / 9 less for each
    assert list(table["mos"][:5]) == pytest.approx(
        [92 - 7 * 88 / 9, 92 - 8 * 88 / 9, 4, 92, 82.2222]
    )
    assert list(table["mos_std"][:5]) == pytest.approx([13.5, 14, 14.5, 10, 10.5])
    suffixes = table["name"].str.rpartition(".")[2].value_counts().to_dict()
    assert suffixes == {"JPG": 627, "bmp": 535}
    assert database.targets == {"mos": Target(0, 100)}
    names = [path.name for path in database.labels]
    assert names == [f"All{what}_release.mat" for what in ("Images", "MOS", "StdDev")]


def test_pictures(root):
    """40 are there; the seven of the training are neither missing nor without a label."""
    database, labels = opened(CLIVE, root)
    assert len(database.table) == 40 and len(database.missing) == 1122
    assert "Images/" + database.table["name"][0] == database.table["image"][0]
    assert list(database.table["group"]) == list(database.table["name"])
    assert labels.extras == {f"t{number}.bmp" for number in range(1, 8)}
    for number in range(1, 8):  # as where all lie in one folder
        (root / "Images" / "trainingImages" / f"t{number}.bmp").rename(
            root / "Images" / f"t{number}.bmp"
        )
    assert opened(CLIVE, root)[0].unlabelled == ()
    tiny(root / "Images" / "mine.bmp", 0)
    assert opened(CLIVE, root)[0].unlabelled == ("Images/mine.bmp",)


def test_one_folder_inside_another(root):
    """The archive's own folder, unpacked into one of that name; two are one too many."""
    database, _ = opened(CLIVE, root.parent)
    assert database.table["image"][0].startswith("ChallengeDB_release/Images/")
    assert len(database.table) == 40
    above = root.parent / "data"
    above.mkdir()
    root.rename(above / "clive")
    with pytest.raises(InputError, match=f"--root {above / 'clive'}$"):
        opened(CLIVE, above)
    with pytest.raises(InputError, match=f"--root {above / 'clive'}$"):
        opened(CLIVE, above / "clive" / "Images")


def test_any_case_of_names(root):
    """1000.JPG as 1000.jpg, Images as images."""
    (root / "Images").rename(root / "images")
    there = sorted(path for path in (root / "images").iterdir() if path.suffix == ".JPG")
    for path in there:
        path.rename(path.with_suffix(".jpg"))
    database, _ = opened(CLIVE, root)
    assert len(database.table) == 40
    assert f"images/{there[0].stem}.jpg" in set(database.table["image"])
    assert there[0].name in set(database.table["name"])


def test_files_that_do_not_go_together(root):
    """Scores of 1,162 pictures beside names of 1,169; a file that is missing or another."""
    path = root / "Data" / "AllMOS_release.mat"
    write_mat(path, AllMOS_release=[50] * 1162)
    with pytest.raises(InputError, match="1169 in AllImages_release, 1162 in AllMOS_release"):
        opened(CLIVE, root)
    write_mat(path, mos=[50] * 1169)
    with pytest.raises(InputError, match="expected a variable AllMOS_release, found mos"):
        opened(CLIVE, root)
    path.write_text("<!doctype html><html>log in</html>")
    with pytest.raises(InputError, match="is a web page and no label file"):
        opened(CLIVE, root)
    path.unlink()
    with pytest.raises(InputError, match="label file Data/AllMOS_release.mat"):
        opened(CLIVE, root)


def test_scores_that_are_no_numbers(root):
    """The picture is named."""
    path = root / "Data" / "AllStdDev_release.mat"
    std = scipy.io.loadmat(path)["AllStdDev_release"]
    std[0, 7] = float("nan")
    write_mat(path, AllStdDev_release=std)
    with pytest.raises(InputError, match="AllStdDev_release are not numbers, .* for '100.bmp'"):
        opened(CLIVE, root)
