"""Pools without scores: names are the same however deep the pool lies."""

import pytest
from trees import write_text, write_xlsx
from trees_other import (
    COCO_PARTS,
    build_certh,
    build_coco,
    build_kadis,
    build_voc2012,
    move_into,
)

from features.errors import InputError
from pipeline.databases.known import open_labels
from pipeline.databases.pools import CERTH_BLUR, COCO, KADIS, VOC2012
from pipeline.databases.tree import Tree

POOLS = {
    "kadis": (KADIS, build_kadis),
    "coco": (COCO, build_coco),
    "voc2012": (VOC2012, build_voc2012),
    "certh-blur": (CERTH_BLUR, build_certh),
}


def read(name, root):
    """Read a pool as the commands do."""
    tree = Tree(root)
    return open_labels(name, POOLS[name][0], tree, POOLS[name][0].labels(tree))


def touch(*paths):
    """Make empty files; no reader opens a picture."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_is_a_list_of_pictures(tmp_path, name):
    """Names, paths, groups; no targets; nothing missing, nothing too many; another disk alike."""
    known, build = POOLS[name]
    build(tmp_path / "a")
    database = read(name, tmp_path / "a")
    assert database.targets == {} and known.targets == {}
    assert len(database.table) == 20 and database.missing == () and database.unlabelled == ()
    assert all(path.is_file() for path in database.paths())
    assert not set(database.table) & {"file", "mos", "dmos", "split", "level"}
    if name != "coco":
        assert (database.table["group"] == database.table["name"]).all()
    build(tmp_path / "b")
    assert read(name, tmp_path / "b").table.equals(database.table)


NESTED = {
    "kadis": ("kadis700k", "kadis700k/kadis700k"),
    "coco": ("images", "coco", "coco/images"),
    "voc2012": (),
    "certh-blur": ("CERTH_ImageBlurDataset",),
}


@pytest.mark.parametrize(("name", "folder"), [(n, f) for n, fs in NESTED.items() for f in fs])
def test_names_do_not_depend_on_the_depth(tmp_path, name, folder):
    """The root may be one or two levels above the pool."""
    POOLS[name][1](tmp_path)
    before = read(name, tmp_path).table
    move_into(tmp_path, folder)
    after = read(name, tmp_path).table
    assert after.drop(columns="image").equals(before.drop(columns="image"))
    assert list(after["image"]) == [f"{folder}/{image}" for image in before["image"]]


def test_voc2012_from_each_level(tmp_path):
    """The development kit, VOC2012/ in it, and the folder itself; masks are no pictures of it."""
    build_voc2012(tmp_path)
    whole = read("voc2012", tmp_path)
    assert whole.table["name"][0] == "JPEGImages/2007_000027.jpg"
    assert whole.table["image"][0] == "VOCdevkit/VOC2012/JPEGImages/2007_000027.jpg"
    for root, start in (("VOCdevkit", "VOC2012/"), ("VOCdevkit/VOC2012", "")):
        table = read("voc2012", tmp_path / root).table
        assert list(table["name"]) == list(whole.table["name"])
        assert list(table["image"]) == [start + name for name in table["name"]]


def test_kadis_is_its_references(tmp_path):
    """Distorted pictures that a user made are no part; 2 comes before 10."""
    build_kadis(tmp_path)
    touch(tmp_path / "ref_imgs" / "adler-bird-99.PNG")
    database = read("kadis", tmp_path)
    assert list(database.table["name"][:2]) == [
        *("ref_imgs/adler-bird-99.PNG", "ref_imgs/adler-bird-100.png"),
    ]
    assert database.problems == (
        "ref_imgs has 21 pictures, not 140000 as published: unpack its archive anew",
    )


def test_folders_in_other_case_keep_the_published_name(tmp_path):
    """The name in the cache is the same, the path is the disk's."""
    touch(tmp_path / "Kadis700K" / "REF_IMGS" / "a.png")
    table = read("kadis", tmp_path).table
    assert (table["name"][0], table["image"][0]) == (
        *("ref_imgs/a.png", "Kadis700K/REF_IMGS/a.png"),
    )


def test_coco_has_the_parts_that_are_there(tmp_path):
    """In the order of the list, with the published numbers of those that were verified."""
    build_coco(tmp_path)
    database = read("coco", tmp_path)
    assert list(database.table["name"].str.partition("/")[0].unique()) == list(COCO_PARTS)
    assert [line.partition(":")[0] for line in database.problems] == [
        "train2017 has 5 pictures, not 118287 as published",
        "val2017 has 5 pictures, not 5000 as published",
        "test2017 has 5 pictures, not 40670 as published",
    ]
    for path in (tmp_path / "train2017").iterdir():
        path.unlink()
    parts = read("coco", tmp_path).table["name"].str.partition("/")[0]
    assert list(parts.unique()) == list(COCO_PARTS[1:])


def test_one_photograph_in_two_releases_of_coco_is_one_group(tmp_path):
    """test2017 is within test2015, under longer names."""
    touch(
        tmp_path / "test2017" / "000000000001.jpg",
        tmp_path / "test2015" / "COCO_test2015_000000000001.jpg",
        tmp_path / "test2015" / "COCO_test2015_000000000014.jpg",
        tmp_path / "test2015" / "mine.jpg",
    )
    table = read("coco", tmp_path).table.set_index("name")
    assert table["group"].to_dict() == {
        "test2017/000000000001.jpg": "000000000001",
        "test2015/COCO_test2015_000000000001.jpg": "000000000001",
        "test2015/COCO_test2015_000000000014.jpg": "000000000014",
        "test2015/mine.jpg": "test2015/mine.jpg",
    }


def test_a_whole_part_of_coco_is_no_problem(tmp_path):
    """5,000 pictures, of which none is opened."""
    (tmp_path / "val2017").mkdir()
    for number in range(5000):
        (tmp_path / "val2017" / f"{number:012d}.jpg").touch()
    assert read("coco", tmp_path).problems == ()


def test_certh_tells_what_is_blurred(tmp_path):
    """By folder, or by two workbooks with spaces, without suffixes, without a heading."""
    build_certh(tmp_path)
    database = read("certh-blur", tmp_path)
    kinds = database.table.set_index("name")["distortion"]
    assert kinds["TrainingSet/Undistorted/DSC001.JPG"] == "undistorted"
    assert kinds["TrainingSet/Naturally-Blurred/DSC011.JPG"] == "natural"
    assert kinds["TrainingSet/Artificially-Blurred/DSC020.jpg"] == "artificial"
    natural = "EvaluationSet/NaturalBlurSet/IMG_"
    assert kinds[f"{natural}0.jpg"] == kinds[f"{natural}2.jpg"] == "natural"
    assert kinds[f"{natural}3.jpeg"] == "undistorted"
    digital = "EvaluationSet/DigitalBlurSet/Gauss "
    assert kinds[f"{digital}0.jpg"] == "undistorted"
    assert kinds[f"{digital}1.jpg"] == "artificial"
    assert kinds[f"{digital}3.jpg"] == ""  # not in the workbook
    assert len(database.problems) == 5
    assert CERTH_BLUR.n_pictures == 630 + 220 + 150 + 589 + 411 + 30 + 450


def test_certh_without_its_workbooks(tmp_path):
    """Then the evaluation part has no kinds; a workbook that is a web page is refused."""
    build_certh(tmp_path)
    for path in (tmp_path / "EvaluationSet").glob("*.xlsx"):
        path.unlink()
    table = read("certh-blur", tmp_path).table
    evaluation = table["name"].str.startswith("EvaluationSet")
    assert (table["distortion"][evaluation] == "").all() and evaluation.sum() == 8
    (tmp_path / "EvaluationSet" / "NaturalBlurSet.xlsx").write_text("<html>")
    with pytest.raises(InputError, match="is a web page and no label file"):
        read("certh-blur", tmp_path)


def test_certh_in_deeper_folders_and_odd_rows(tmp_path):
    """What does not fit is told nothing about, and is there."""
    touch(
        tmp_path / "EvaluationSet" / "DigitalBlurSet" / "more" / "12.jpg",
        tmp_path / "EvaluationSet" / "DigitalBlurSet" / "x.jpg",
    )
    rows = [["MyDigital Blur", None], [12, 1], ["x.jpg", "yes"], ["alone", None]]
    write_xlsx(tmp_path / "EvaluationSet" / "DigitalBlurSet.xlsx", {"Sheet1": rows})
    kinds = read("certh-blur", tmp_path).table.set_index("name")["distortion"]
    start = "EvaluationSet/DigitalBlurSet"
    assert kinds.to_dict() == {f"{start}/more/12.jpg": "artificial", f"{start}/x.jpg": ""}


ROOTS = {
    "kadis": ("kadis700k/ref_imgs", "kadis700k"),
    "coco": ("coco/val2017", "coco"),
    "voc2012": ("VOCdevkit/VOC2012/JPEGImages", "VOCdevkit/VOC2012"),
    "certh-blur": ("certh/TrainingSet/Undistorted", "certh"),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_root_that_is_too_deep(tmp_path, name):
    """The right one is said."""
    deep, right = ROOTS[name]
    POOLS[name][1](tmp_path if name == "voc2012" else tmp_path / right)
    for wrong in (tmp_path / deep, (tmp_path / deep).parent):
        if wrong != tmp_path / right:
            with pytest.raises(InputError, match=rf"give --root {tmp_path / right}$"):
                read(name, wrong)


@pytest.mark.parametrize("name", POOLS)
def test_a_root_that_is_too_high(tmp_path, name):
    """The right one is said, however deep the pool lies."""
    inner = tmp_path / "disk" / "Daten" / "pool"
    POOLS[name][1](inner)
    if name == "voc2012":
        inner = inner / "VOCdevkit" / "VOC2012"
    with pytest.raises(InputError, match=rf"they are in {inner}: give --root {inner}$"):
        read(name, tmp_path / "disk")


def test_nothing_there(tmp_path):
    """What was expected, and what is to be unpacked."""
    write_text(tmp_path / "ref_imgs" / "readme.txt", ["no pictures here"])
    (tmp_path / "kadis700k.zip").write_bytes(b"PK")
    with pytest.raises(
        InputError,
        match=r"KADIS-700k: expected pictures in ref_imgs under .*, found none; kadis700k",
    ):
        read("kadis", tmp_path)
