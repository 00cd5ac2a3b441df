"""TID2013: score first, 75 names with a capital, references with and without."""

import pytest
from trees import write_text
from trees_synthetic import build_tid2013, tid2013_rows

from features.errors import InputError
from pipeline.databases.known import open_labels
from pipeline.databases.tid2013 import TID2013, TYPES
from pipeline.databases.tree import Tree


def labels(root):
    """What the reader says, of all rows."""
    return TID2013.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("tid2013", TID2013, Tree(root), labels(root))


def test_whole(tmp_path):
    """3,000 rows in the order of the list: 25 references, 24 types, five levels."""
    build_tid2013(tmp_path)
    found = labels(tmp_path)
    table = found.table
    assert list(table) == ["name", "mos", "group", "distortion", "level", "mos_std"]
    assert len(table) == TID2013.n_pictures == 3000
    assert list(table["name"]) == [name.lower() for name, _ in tid2013_rows()]
    assert set(table["group"].value_counts()) == {120} and table["group"].nunique() == 25
    assert set(table["distortion"].value_counts()) == {125} and len(TYPES) == 24
    assert table["level"].value_counts().to_dict() == dict.fromkeys(range(1, 6), 600)
    row = table.iloc[119].to_dict()
    # odd references have odd levels of noise: 2 * (5 - 1) + 1 = 9, the worst
    assert row.pop("mos") == 0.242
    assert row.pop("mos_std") == pytest.approx(0.19)
    assert row == {
        "name": "i01_24_5.bmp",
        "group": "i01",
        "distortion": "sparse sampling",
        "level": 5,
    }
    row = table.set_index("name").loc["i02_08_2.bmp"]
    assert row["mos"] == pytest.approx(7.214 - 6.972 * 2 / 9, abs=1e-5)
    assert row["distortion"] == "gaussian blur" and row["group"] == "i02"
    assert [path.name for path in found.files] == ["mos_with_names.txt", "mos_std.txt"]


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "white noise"), (10, "jpeg"), (11, "jpeg2000"), (15, "local blocks"), (17, "contrast")],
)
def test_numbers_of_types(number, name):
    """As in the readme of the database."""
    assert TYPES[number - 1].startswith(name)


def test_capital_names(tmp_path):
    """75 names of the list start with I; names and groups are in lower case all the same."""
    build_tid2013(tmp_path)
    lines = (tmp_path / "mos_with_names.txt").read_text().split()[1::2]
    assert sum(line.startswith("I") for line in lines) == 75
    table = labels(tmp_path).table
    assert (table["name"] == table["name"].str.lower()).all()
    assert table["group"].nunique() == 25 and table["name"].is_unique


def test_pictures(tmp_path):
    """The case on the disk is another one; higher is better; references are no pictures."""
    build_tid2013(tmp_path)
    database = opened(tmp_path)
    assert len(database.table) == 39 and len(database.missing) == 2961
    assert database.table["group"].nunique() >= 10
    images = list(database.table["image"])
    assert any(image.endswith(".BMP") for image in images)
    assert any(image.startswith("distorted_images/I") for image in images)
    assert database.unlabelled == () and database.problems == ()
    assert list(database.targets) == ["mos"] and database.targets["mos"].higher_is_better
    assert database.group_by == "reference"


def test_references_beside_the_pictures(tmp_path):
    """I01.BMP and i25.bmp are not unlabelled, another file is."""
    build_tid2013(tmp_path)
    folder = tmp_path / "distorted_images"
    for path in list((tmp_path / "reference_images").iterdir()):
        path.rename(folder / path.name)
    (folder / "i26.bmp").write_bytes(b"x")
    assert opened(tmp_path).unlabelled == ("distorted_images/i26.bmp",)


def test_pictures_beside_the_list(tmp_path):
    """The same names where the pictures lie at the top."""
    build_tid2013(tmp_path)
    names = list(opened(tmp_path).table["name"])
    for path in list((tmp_path / "distorted_images").iterdir()):
        path.rename(tmp_path / path.name)
    assert list(opened(tmp_path).table["name"]) == names


def test_deviations(tmp_path):
    """They belong to lines, so a list in another order has none; they may be absent."""
    build_tid2013(tmp_path)
    path = tmp_path / "mos_with_names.txt"
    lines = path.read_text().splitlines()
    write_text(path, sorted(lines))
    database = opened(tmp_path)
    assert "mos_std" not in database.table
    (problem,) = database.problems
    assert problem.startswith("mos_with_names.txt is not in the order of its names")
    write_text(path, lines)
    (tmp_path / "mos_std.txt").unlink()
    database = opened(tmp_path)
    assert "mos_std" not in database.table and database.problems == ()


BAD = {
    "TID2008 has 1,700": (lambda lines: lines[:1700], "expected 3000 lines, found 1700"),
    "name first": (
        lambda lines: [" ".join(line.split()[::-1]) for line in lines],
        r"expected names such as i01_01_1\.bmp, found",
    ),
    "type 25": (lambda lines: ["5.5 i01_25_1.bmp", *lines[1:]], "found 'i01_25_1.bmp'"),
    "three values": (lambda lines: ["5.5 i01_01_1.bmp 1", *lines[1:]], "expected 2 values in a"),
    "no number": (lambda lines: ["good i01_01_1.bmp", *lines[1:]], "1 values of mos are not num"),
    "web page": (lambda lines: ["<html>"], "is a web page"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lists(tmp_path, case):
    """What was expected, what came, what to do."""
    change, message = BAD[case]
    build_tid2013(tmp_path)
    path = tmp_path / "mos_with_names.txt"
    write_text(path, change(path.read_text().splitlines()))
    with pytest.raises(InputError, match=message):
        labels(tmp_path)


def test_deviations_of_another_release(tmp_path):
    """mos_std.txt has as many lines."""
    build_tid2013(tmp_path)
    write_text(tmp_path / "mos_std.txt", ["0.1"] * 1700)
    with pytest.raises(InputError, match=r"mos_std\.txt: expected 3000 lines, found 1700"):
        labels(tmp_path)


def test_wrong_root(tmp_path):
    """One level too high or too deep: the error names the right one."""
    right = tmp_path / "tid2013"
    build_tid2013(right)
    for root in (tmp_path, right / "distorted_images"):
        with pytest.raises(InputError, match=f"give --root {right}$"):
            labels(root)
