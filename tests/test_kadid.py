"""KADID-10k: a `dmos` that is higher for better pictures, a `var` that is a deviation."""

import pytest
from trees import write_text
from trees_synthetic import build_kadid, build_kadid_parts, kadid_rows

from features.errors import InputError
from pipeline.databases.kadid import KADID, TYPES
from pipeline.databases.known import open_labels
from pipeline.databases.tree import Tree

HEAD = "dist_img,ref_img,dmos,var"


def labels(root):
    """What the reader says, of all rows."""
    return KADID.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("kadid", KADID, Tree(root), labels(root))


def test_whole(tmp_path):
    """10,125 rows: 81 references, 25 types, five levels; the column dmos is `mos`."""
    build_kadid(tmp_path)
    table = labels(tmp_path).table
    assert list(table) == ["name", "mos", "mos_std", "group", "distortion", "level"]
    assert len(table) == KADID.n_pictures == 10125
    assert list(table["name"]) == [name for name, _, _ in kadid_rows()]
    assert set(table["group"].value_counts()) == {125}
    assert table["group"].nunique() == KADID.n_groups == 81
    assert set(table["distortion"].value_counts()) == {405} and len(TYPES) == 25
    assert table["level"].value_counts().to_dict() == dict.fromkeys(range(1, 6), 2025)
    # noise 2 * (2 - 1) + 1 = 3 of 9: 4.93 - 3.93 / 3, and 0.4 + 3 / 20
    row = table.iloc[126]
    assert row.to_dict() == {
        "name": "I02_01_02.png",
        "mos": pytest.approx(3.62),
        "mos_std": pytest.approx(0.55),
        "group": "i02",
        "distortion": "gaussian blur",
        "level": 2,
    }
    row = table.iloc[-1]
    assert (row["name"], row["distortion"]) == ("I81_25_05.png", "contrast change")
    assert "dmos" not in table


def test_direction(tmp_path):
    """Scores fall as noise grows, and higher is better."""
    build_kadid(tmp_path)
    database = opened(tmp_path)
    assert list(database.targets) == ["mos"]
    target = database.targets["mos"]
    assert (target.low, target.high, target.higher_is_better) == (1, 5, True)
    means = database.table.groupby("level")["mos"].mean()
    assert means.is_monotonic_decreasing


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "gaussian blur"), (9, "jpeg2000"), (10, "jpeg"), (11, "white noise"), (18, "mean shift")],
)
def test_numbers_of_types(number, name):
    """As in the readme of the database."""
    assert TYPES[number - 1] == name


def test_references_lie_beside_the_pictures(tmp_path):
    """They have no label and are not unlabelled; another file is."""
    build_kadid(tmp_path)
    assert (tmp_path / "images" / "I01.png").is_file()
    (tmp_path / "images" / "I82.png").write_bytes(b"x")
    database = opened(tmp_path)
    assert len(database.table) == 41 and len(database.missing) == 10084
    assert database.table["group"].nunique() >= 10
    assert database.unlabelled == ("images/I82.png",)
    assert database.problems == () and database.group_by == "reference"


@pytest.mark.parametrize("layout", ["parts", "distorted_images"])
def test_mirrors(tmp_path, layout):
    """Three parts, or another folder: the same table, other files."""
    build_kadid(tmp_path / "official")
    expected = opened(tmp_path / "official").table
    mirror = tmp_path / "mirror"
    if layout == "parts":
        build_kadid_parts(mirror)
    else:
        build_kadid(mirror)
        (mirror / "images").rename(mirror / "distorted_images")
    table = opened(mirror).table
    assert table.drop(columns="image").equals(expected.drop(columns="image"))
    folders = {path.rpartition("/")[0] for path in table["image"]}
    parts = {f"kadid10k_part{k}/images" for k in (1, 2, 3)}
    assert folders == (parts if layout == "parts" else {"distorted_images"})


def test_case_of_names(tmp_path):
    """Files in lower case, a list in capitals: names as they are published."""
    build_kadid(tmp_path)
    for path in list((tmp_path / "images").iterdir()):
        path.rename(path.with_name(path.name.lower()))
    lines = (tmp_path / "dmos.csv").read_text().splitlines()
    write_text(tmp_path / "dmos.csv", [HEAD, *(line.upper() for line in lines[1:])], "\r\n")
    database = opened(tmp_path)
    assert len(database.table) == 41
    row = database.table.iloc[0]
    assert row["name"] == "I01_01_01.png" and row["image"] == "images/i01_01_01.png"


BAD = {
    "no column var": (["dist_img,ref_img,dmos"], "expected the columns dist_img, dmos, var, found"),
    "type 26": ([HEAD, "I01_26_01.png,I01.png,3,1"], r"such as I01_01_01\.png, found 'I01_26_01"),
    "reference 82": ([HEAD, "I82_01_01.png,I82.png,3,1"], r"found 'I82_01_01\.png'"),
    "level 0": ([HEAD, "I01_01_00.png,I01.png,3,1"], r"found 'I01_01_00\.png'"),
    "escape": ([HEAD, "../I01_01_01.png,I01.png,3,1"], r"found '\.\./I01"),
    "no number": ([HEAD, "I01_01_01.png,I01.png,,1"], "1 values of dmos are not numbers"),
    "web page": (["<!doctype html>"], "is a web page"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lists(tmp_path, case):
    """What was expected, what came, what to do."""
    lines, message = BAD[case]
    write_text(tmp_path / "dmos.csv", lines)
    with pytest.raises(InputError, match=message):
        labels(tmp_path)


def test_scores_out_of_range(tmp_path):
    """A list on another scale is said to be one."""
    build_kadid(tmp_path)
    write_text(tmp_path / "dmos.csv", [HEAD, "I01_01_01.png,I01.png,90,1"])
    (problem,) = opened(tmp_path).problems
    assert problem.startswith("1 scores of mos are outside the known range 1 to 5")


def test_wrong_root(tmp_path):
    """One level too high or too deep: the error names the right one."""
    right = tmp_path / "kadid10k"
    build_kadid(right)
    for root in (tmp_path, right / "images"):
        with pytest.raises(InputError, match=f"give --root {right}$"):
            labels(root)
