"""FLIVE: pictures of many origins, gathered in several ways, and a split in two more files."""

import shutil

import pytest
from trees import tiny, write_text
from trees_authentic import build_flive, flive_names, flive_parts, opened

from features.errors import InputError
from pipeline.databases.flive import FLIVE
from pipeline.databases.table import Target

TEST, PADDED = "labels640.csv", "labels=640_padded.csv"
VOC = "voc_emotic_ava/VOC2012__2007_000003.jpg"
BLUR = "blur_dataset/out_of_focus0001.JPG"
EE = "EE371R/rq59.jpg"
AVA = "voc_emotic_ava/AVA__7.jpg"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The tree of the repository."""
    root = tmp_path_factory.mktemp("flive")
    build_flive(root)
    return root


def small(root, at="", test=(AVA,), padded=((VOC, "False"), (BLUR, "True")), pictures=True):
    """A tree of four pictures."""
    names = (VOC, BLUR, EE, AVA)
    write_text(root / f"{at}labels_image.csv", ["name,mos", *(f"{name},72.5" for name in names)])
    if test is not None:
        write_text(root / f"{at}{TEST}", ["name_image,mos_image", *(f"{one},72.5" for one in test)])
    if padded is not None:
        lines = [f"{name},{valid}" for name, valid in padded]
        write_text(root / f"{at}{PADDED}", ["name_image,is_valid", *lines])
    if pictures:
        for seed, name in enumerate(names):
            tiny(root / f"{at}{name}", 0, seed)


def test_scores_and_official_split(full):
    """39,810 rows; 1,827 for test, 7,727 for validation, 30,253 for training, 3 in no part."""
    database, labels = opened(FLIVE, full)
    table = labels.table
    assert list(table.columns) == ["name", "file", "mos", "split"]
    assert list(table["name"]) == flive_names() and len(table) == 39810
    assert list(table["mos"][:3]) == pytest.approx([90, 90 - 50 / 9, 90 - 100 / 9])
    assert table["split"].value_counts().to_dict() == {**FLIVE.split, "": 3}
    assert FLIVE.split == {"train": 30253, "val": 7727, "test": 1827}
    parts = flive_parts()
    assert list(table["split"]) == [parts.get(name, "") for name in flive_names()]
    assert set(table["name"][table["split"] == ""]) == {f"EE371R/rq{n}.jpg" for n in (59, 73, 85)}
    assert database.targets == {"mos": Target(0, 100)}
    assert [path.name for path in database.labels] == ["labels_image.csv", PADDED, TEST]
    assert database.problems == () and database.unlabelled == ()


def test_names_as_published(full):
    """Names keep their folder; 42 of the blurred ones have upper case; nothing else is a group."""
    database, labels = opened(FLIVE, full)
    name = labels.table["name"]
    assert name.str.partition("/")[0].value_counts().to_dict() == {
        "voc_emotic_ava": 38808,
        "blur_dataset": 999,
        "EE371R": 3,
    }
    assert name.str.endswith(".JPG").sum() == 42
    table = database.table
    assert len(table) + len(database.missing) == 39810 and len(table) >= 38
    assert all(table["image"] == "database/" + table["name"])
    assert list(table["group"]) == list(table["name"])
    assert "file" not in table


@pytest.mark.parametrize("at", ["", "database/"])
def test_root_above_or_at_database(tmp_path, at):
    """The label files beside the pictures' folders, in database/ or in the root."""
    small(tmp_path, at)
    database, _ = opened(FLIVE, tmp_path)
    assert list(database.table["image"]) == [f"{at}{name}" for name in (VOC, BLUR, EE, AVA)]
    assert list(database.table["split"]) == ["train", "val", "", "test"]
    assert database.problems == ()


def test_labels_in_the_root_and_pictures_in_database(tmp_path):
    """The third way."""
    small(tmp_path)
    for folder in ("voc_emotic_ava", "blur_dataset", "EE371R"):
        (tmp_path / "database").mkdir(exist_ok=True)
        (tmp_path / folder).rename(tmp_path / "database" / folder)
    database, _ = opened(FLIVE, tmp_path)
    assert list(database.table["image"]) == [f"database/{name}" for name in (VOC, BLUR, EE, AVA)]


@pytest.mark.parametrize("folder", ["FLIVE/", "", "database/"])
def test_all_in_one_folder(tmp_path, folder):
    """Pictures by their last names alone; the names of the table stay as published."""
    small(tmp_path, pictures=False)
    for seed, name in enumerate((VOC, BLUR, EE, AVA)):
        tiny(tmp_path / f"{folder}{name.rpartition('/')[2]}", 0, seed)
    database, _ = opened(FLIVE, tmp_path)
    assert list(database.table["name"]) == [VOC, BLUR, EE, AVA]
    assert database.table["image"][0] == f"{folder}VOC2012__2007_000003.jpg"
    assert database.missing == () and database.unlabelled == ()


@pytest.mark.parametrize("place", ["database/voc_emotic_ava", "FLIVE"])
def test_pictures_of_voc_as_the_notebook_calls_them(tmp_path, place):
    """VOC2007_000003.jpg is VOC2012__2007_000003.jpg, and the right name goes first."""
    small(tmp_path, "database/")
    (tmp_path / "database" / VOC).unlink()
    tiny(tmp_path / place / "VOC2007_000003.jpg", 0)
    database, _ = opened(FLIVE, tmp_path)
    assert database.table["name"][0] == VOC
    assert database.table["image"][0] == f"{place}/VOC2007_000003.jpg"
    tiny(tmp_path / "database" / VOC, 0)
    assert opened(FLIVE, tmp_path)[0].table["image"][0] == f"database/{VOC}"


def test_any_case_of_names(tmp_path):
    """.JPG and .jpg, Database and database."""
    small(tmp_path, "Database/")
    path = tmp_path / "Database" / BLUR
    path.rename(path.with_suffix(".jpg"))
    database, _ = opened(FLIVE, tmp_path)
    assert list(database.table["name"]) == [VOC, BLUR, EE, AVA]
    assert database.table["image"][1] == "Database/blur_dataset/out_of_focus0001.jpg"
    assert list(database.table["split"]) == ["train", "val", "", "test"]


def test_patches_are_no_pictures_of_it(tmp_path):
    """Neither rows nor pictures without a label."""
    small(tmp_path, "database/")
    tiny(tmp_path / "database" / "patches" / "rq59.jpg_patch_1.jpg", 0)
    database, labels = opened(FLIVE, tmp_path)
    assert len(labels.table) == 4 and database.unlabelled == ()


def test_without_the_list_of_validation_pictures(tmp_path):
    """Test pictures are known, and the others are for training; a line says so."""
    small(tmp_path, padded=None)
    database, _ = opened(FLIVE, tmp_path)
    assert list(database.table["split"]) == ["train", "train", "", "test"]
    (problem,) = database.problems
    assert problem.startswith(f"{PADDED} is not beside labels_image.csv: which pictures are for")


@pytest.mark.parametrize("padded", [None, ((VOC, "False"), (BLUR, "True"))])
def test_without_the_list_of_test_pictures(tmp_path, padded):
    """No split at all: without its test part the validation part would take its place."""
    small(tmp_path, test=None, padded=padded)
    database, labels = opened(FLIVE, tmp_path)
    assert "split" not in labels.table
    (problem,) = database.problems
    assert problem.startswith(f"{TEST} is not beside labels_image.csv, so there is no official")


def test_lists_of_another_release(tmp_path):
    """Names that have no score are counted; is_valid is True or False."""
    small(tmp_path, test=(AVA, "voc_emotic_ava/AVA__8.jpg"))
    database, _ = opened(FLIVE, tmp_path)
    assert list(database.table["split"]) == ["train", "val", "", "test"]
    (problem,) = database.problems
    assert problem == (
        "1 pictures of the official split are not in labels_image.csv, the first is "
        "voc_emotic_ava/AVA__8.jpg"
    )
    small(tmp_path, padded=((VOC, "maybe"),))
    with pytest.raises(InputError, match="True or False in the column is_valid, found 'maybe'"):
        opened(FLIVE, tmp_path)


@pytest.mark.parametrize(
    ("name", "lines", "says"),
    [
        ("labels_image.csv", ["image,score", "a.jpg,1"], "expected the columns name, mos"),
        ("labels_image.csv", ["<html>"], "is a web page and no label file"),
        (TEST, ["name,mos", "a.jpg,1"], "expected the columns name_image, found name, mos"),
        (PADDED, ["name_image,mos", "a.jpg,1"], "expected the columns name_image, is_valid"),
    ],
)
def test_other_files(tmp_path, name, lines, says):
    """Other columns, and a web page."""
    small(tmp_path)
    write_text(tmp_path / name, lines)
    with pytest.raises(InputError, match=says):
        opened(FLIVE, tmp_path)


def test_roots_that_are_wrong(tmp_path):
    """Two levels too high, and the folder of the pictures."""
    root = tmp_path / "data" / "PaQ-2-PiQ"
    small(root, "database/")
    with pytest.raises(InputError, match=f"--root {root}$"):
        opened(FLIVE, tmp_path)
    with pytest.raises(InputError, match=f"--root {root}"):
        opened(FLIVE, root / "database" / "voc_emotic_ava")


def test_real_label_files(shared, tmp_path):
    """39,810 rows and the 1,827 test pictures of labels640.csv; validation is not known."""
    labels = shared / "data" / "labels"
    shutil.copy(labels / "flive_labels_image.csv", tmp_path / "labels_image.csv")
    shutil.copy(labels / "flive_labels640.csv", tmp_path / TEST)
    lines = (tmp_path / "labels_image.csv").read_text().splitlines()[1:51]
    for name in (line.partition(",")[0] for line in lines):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    database, read = opened(FLIVE, tmp_path)
    table = read.table
    assert len(table) == 39810 and table["name"].is_unique
    assert table["split"].value_counts().to_dict() == {"train": 37980, "test": 1827, "": 3}
    assert table["mos"].agg(["min", "max", "mean", "std"]).tolist() == pytest.approx(
        [0, 94.33323, 72.13247, 6.16247], abs=1e-5
    )
    assert table["name"].str.endswith(".JPG").sum() == 42
    assert len(database.table) == 50
    assert [problem.partition(" ")[0] for problem in database.problems] == [PADDED]
