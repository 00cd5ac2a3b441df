"""KonIQ-10k: two label files on different scales, two sizes of the pictures, the official split."""

import shutil

import pytest
from trees import write_text
from trees_authentic import (
    build_koniq,
    build_koniq_scores,
    build_koniq_small,
    koniq_name,
    koniq_pictures,
    koniq_side,
    koniq_unscored,
    opened,
)

from features.errors import InputError
from pipeline.databases.koniq import KONIQ, KONIQ_SMALL
from pipeline.databases.table import Target

SETS, SCORES = "koniq10k_distributions_sets.csv", "koniq10k_scores_and_distributions.csv"


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The tree with the official split."""
    root = tmp_path_factory.mktemp("koniq")
    build_koniq(root)
    return root


def test_file_with_the_split(sets):
    """Rows 0 to 2: MOS 86, 77, 68; mean ratings 4.5, 4.5 - 1/3, 4.5 - 2/3; parts by name."""
    database, labels = opened(KONIQ, sets)
    table = labels.table
    assert list(table.columns) == ["name", "mos", "mos_ratings", "mos_ratings_std", "split"]
    assert len(table) == 10073
    assert list(table["name"][:2]) == ["2182165.jpg", "2183366.jpg"]
    assert list(table["mos"][:3]) == pytest.approx([86, 77, 68])
    assert list(table["mos_ratings"][:3]) == pytest.approx([4.5, 4.5 - 1 / 3, 4.5 - 2 / 3])
    assert list(table["mos_ratings_std"][:3]) == pytest.approx([0.5, 0.55, 0.6])
    assert table["split"].value_counts().to_dict() == KONIQ.split
    sides = {"training": "train", "validation": "val", "test": "test"}
    assert list(table["split"]) == [sides[koniq_side(row)] for row in range(10073)]
    assert [path.name for path in database.labels] == [SETS]
    assert database.targets == {"mos": Target(0, 100), "mos_ratings": Target(1, 5)}
    assert database.problems == ()


def test_only_pictures_that_are_there(sets):
    """40 pictures; two of the 300 without a score are named, the other rows are missing."""
    database, _ = opened(KONIQ, sets)
    table = database.table
    assert len(table) == 40 and len(database.missing) == 10033
    assert all(table["image"] == "1024x768/" + table["name"])
    assert list(table["name"][:2]) == [koniq_name(0), koniq_name(251)]
    assert list(table["row"][:2]) == [0, 251]
    assert list(table["group"]) == list(table["name"])
    assert database.unlabelled == ("1024x768/1.jpg", "1024x768/2.jpg")


def test_file_with_mean_ratings(tmp_path):
    """MOS is on 1 to 5 there and MOS_zscore is `mos`; no split; names in quotation marks."""
    build_koniq_scores(tmp_path)
    database, labels = opened(KONIQ, tmp_path)
    table = labels.table
    assert list(table.columns) == ["name", "mos", "mos_ratings", "mos_ratings_std"]
    assert len(table) == 10073 and len(database.table) == 40
    assert table["name"][0] == "2182165.jpg"
    assert list(table["mos"][:2]) == pytest.approx([86, 77])
    assert list(table["mos_ratings"][:2]) == pytest.approx([4.5, 4.5 - 1 / 3])
    assert list(table["mos_ratings_std"][:2]) == pytest.approx([0.5, 0.55])
    assert database.problems == ()


def test_both_files_say_the_same(sets, tmp_path):
    """Both scales are the same from either file, and with both the split is read."""
    build_koniq_scores(tmp_path)
    of_scores = opened(KONIQ, tmp_path)[1].table
    shutil.copy(sets / SETS, tmp_path)
    both = opened(KONIQ, tmp_path)[1].table
    for column in ("mos", "mos_ratings", "mos_ratings_std"):
        assert list(of_scores[column]) == pytest.approx(list(both[column]), abs=1e-9)
    assert both["split"].value_counts().to_dict() == {"train": 7058, "val": 1000, "test": 2015}


def test_half_size_is_another_database(tmp_path):
    """512x384/ is found under its own name alone, though nothing else differs."""
    build_koniq_small(tmp_path)
    database, _ = opened(KONIQ_SMALL, tmp_path)
    assert len(database.table) == 40
    assert database.table["image"][0] == "512x384/2182165.jpg"
    with pytest.raises(InputError, match="no picture found: none of 10073 labelled ones"):
        opened(KONIQ, tmp_path)


def test_archives_unpacked_into_folders_of_their_names(tmp_path):
    """As some programs unpack them."""
    build_koniq_scores(tmp_path / "built")
    folder = tmp_path / SCORES.removesuffix(".csv")
    folder.mkdir()
    (tmp_path / "built" / SCORES).rename(folder / SCORES)
    (tmp_path / "built" / "1024x768").rename(tmp_path / "koniq10k_1024x768")
    assert len(opened(KONIQ, tmp_path)[0].table) == 40


def test_any_case_of_names(sets, tmp_path):
    """Of label file, folder and pictures."""
    shutil.copy(sets / SETS, tmp_path / SETS.upper())
    koniq_pictures(tmp_path / "1024X768")
    for path in (tmp_path / "1024X768").iterdir():
        path.rename(path.with_suffix(".JPG"))
    database, _ = opened(KONIQ, tmp_path)
    assert database.table["name"][0] == "2182165.jpg"
    assert database.table["image"][0] == "1024X768/2182165.JPG"


def test_mean_ratings_are_never_taken_for_0_to_100(tmp_path):
    """A file with MOS of 1 to 5 and no MOS_zscore is none of the two."""
    koniq_pictures(tmp_path / "1024x768")
    lines = ["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set", "2182165.jpg,0,0,0,5,5,10,4.5,.5,test"]
    write_text(tmp_path / SETS, lines)
    with pytest.raises(InputError, match="expected MOS on 0 to 100, .* found MOS up to 4.5 alone"):
        opened(KONIQ, tmp_path)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["image_id,brightness,contrast", "1,2,3"], "expected the columns image_name, mos, sd"),
        (["<!DOCTYPE html>", "<html>"], "is a web page and no label file"),
        (["version https://git-lfs.github.com/spec/v1"], "run git lfs pull"),
        (
            ["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD", "a.jpg,0,0,0,1,0,1,high,0"],
            "1 values of MOS are not numbers, the first is 'high' for 'a.jpg'",
        ),
    ],
)
def test_other_files(tmp_path, lines, says):
    """The indicators under the name of the scores, a web page, a pointer, a word."""
    koniq_unscored(tmp_path / "1024x768")
    write_text(tmp_path / SETS, lines)
    with pytest.raises(InputError, match=says):
        opened(KONIQ, tmp_path)


def test_roots_that_are_wrong(sets, tmp_path):
    """One level too high or too deep: the right one is named; nothing there: what to get."""
    with pytest.raises(InputError, match=f"--root {sets}$"):
        opened(KONIQ, sets / "1024x768")
    (tmp_path / "koniq").mkdir()
    shutil.copy(sets / SETS, tmp_path / "koniq")
    with pytest.raises(InputError, match=f"--root {tmp_path / 'koniq'}$"):
        opened(KONIQ, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="which is not there: download koniq10k_1024x768.zip"):
        opened(KONIQ, tmp_path / "empty")


def test_real_label_file(shared, tmp_path):
    """10,073 rows, 7058/1000/2015, and the ranges that were published."""
    shutil.copy(shared / "data" / "labels" / SETS, tmp_path)
    names = [line.partition(",")[0] for line in (tmp_path / SETS).read_text().splitlines()[1:]]
    (tmp_path / "1024x768").mkdir()
    for name in names[:50]:
        (tmp_path / "1024x768" / name).touch()
    database, labels = opened(KONIQ, tmp_path)
    table = labels.table
    assert list(table["name"]) == names and len(set(names)) == 10073
    assert table["split"].value_counts().to_dict() == {"train": 7058, "val": 1000, "test": 2015}
    assert (table["mos"].min(), table["mos"].max()) == pytest.approx((3.911765, 88.388889))
    assert (table["mos_ratings"].min(), table["mos_ratings"].max()) == pytest.approx(
        (1.096154, 4.31), abs=1e-4
    )
    assert table["mos_ratings_std"].max() == pytest.approx(1.098218)
    assert len(database.table) == 50 and database.problems == ()
