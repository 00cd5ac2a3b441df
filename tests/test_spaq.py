"""SPAQ: quality and five attributes, scenes, and pictures that somebody made smaller."""

import shutil

import pytest
from trees import tiny, write_text, write_xlsx
from trees_authentic import SPAQ_HEADER, build_spaq, build_spaq_resized, opened

from features.errors import InputError
from pipeline.databases.spaq import SPAQ, SPAQ_RESIZED
from pipeline.databases.table import Target

SHEET = "MOS and Image attribute scores.xlsx"
SCENES = (
    *("Animal", "Cityscape", "Human", "Indoor scene", "Landscape", "Night scene", "Plant"),
    *("Still-life", "Others"),
)
COLUMNS = [
    *("name", "mos", "mos_brightness", "mos_colorfulness", "mos_contrast"),
    *("mos_noisiness", "mos_sharpness"),
]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The tree of the authors."""
    root = tmp_path_factory.mktemp("spaq")
    build_spaq(root)
    return root


def small(root, sheet=f"Annotations/{SHEET}", folder="TestImage"):
    """A tree of three pictures."""
    rows = [(f"{number:05d}.jpg", 60, 61, 62, 63, 64, 65) for number in (1, 2, 3)]
    write_xlsx(root / sheet, {"Sheet1": [SPAQ_HEADER, *rows]})
    for number in (1, 2, 3):
        tiny(root / folder / f"{number:05d}.jpg", 0, number)


def test_scores_as_published(full):
    """11,125 rows; MOS 96 and 86; each attribute has its own offset, noisiness is not turned."""
    database, labels = opened(SPAQ, full)
    table = labels.table
    assert list(table.columns) == COLUMNS
    assert len(table) == 11125
    assert list(table["name"].iloc[[0, -1]]) == ["00001.jpg", "11125.jpg"]
    assert list(table.iloc[0, 1:]) == [96, 97, 98, 99, 95, 94]
    assert list(table.iloc[1, 1:]) == [86, 87, 88, 89, 85, 84]
    assert list(database.targets) == COLUMNS[1:]
    assert set(database.targets.values()) == {Target(0, 100, higher_is_better=True)}
    assert not any(column.endswith("_std") for column in table)
    assert len(database.table) == 40 and len(database.missing) == 11085
    assert database.table["image"][0] == "TestImage/00001.jpg"
    assert list(database.table["group"]) == list(database.table["name"])
    assert database.unlabelled == () and database.problems == ()


def test_pictures_made_smaller_are_another_database(tmp_path, full):
    """img_resize/ and a name with underscores; neither name finds the other's pictures."""
    build_spaq_resized(tmp_path)
    database, labels = opened(SPAQ_RESIZED, tmp_path)
    assert len(labels.table) == 11125 and len(database.table) == 40
    assert database.table["image"][0] == "img_resize/00001.jpg"
    assert SPAQ_RESIZED.pictures_of == SPAQ.title
    with pytest.raises(InputError, match="SPAQ: no picture found"):
        opened(SPAQ, tmp_path)
    with pytest.raises(InputError, match="SPAQ, resized: no picture found"):
        opened(SPAQ_RESIZED, full)


@pytest.mark.parametrize(
    ("sheet", "folder"),
    [
        (f"annotations/{SHEET}", "TestImage"),
        (SHEET, "TestImage"),
        (SHEET.replace(" ", "_"), "TestImage"),
        (f"Annotations/{SHEET}", "Dataset/TestImage"),
        (f"ANNOTATIONS/{SHEET.upper()}", "testimage"),
    ],
)
def test_places(tmp_path, sheet, folder):
    """Where the file and the pictures lie in one copy or another."""
    small(tmp_path, sheet, folder)
    database, _ = opened(SPAQ, tmp_path)
    assert list(database.table["image"]) == [f"{folder}/{n:05d}.jpg" for n in (1, 2, 3)]


def test_scene_is_the_largest_share(tmp_path):
    """The first of the columns where two are equal; empty for a picture that is not listed."""
    small(tmp_path)
    rows = [
        ("00002.jpg", 0, 0, 0.2, 0, 0, 0.8, 0, 0, 0),
        ("00001.jpg", 0, 0, 0.5, 0.5, 0, 0, 0, 0, 0),
    ]
    scenes = tmp_path / "Annotations" / "Scene category labels.xlsx"
    write_xlsx(scenes, {"Sheet1": [("Image name", *SCENES), *rows]})
    database, labels = opened(SPAQ, tmp_path)
    assert list(labels.table["scene"]) == ["human", "night scene", ""]
    assert database.labels[1].name == scenes.name
    assert list(labels.table.columns) == [*COLUMNS, "scene"]


def test_other_files(tmp_path):
    """A sheet of another kind, and a web page under the name of the sheet."""
    small(tmp_path)
    path = tmp_path / "Annotations" / SHEET
    write_xlsx(path, {"Sheet1": [("Image name", "MOS"), ("00001.jpg", 50)]})
    with pytest.raises(InputError, match="expected the columns image name, mos, brightness"):
        opened(SPAQ, tmp_path)
    write_text(path, ["<html><body>quota exceeded</body></html>"])
    with pytest.raises(InputError, match="is a web page and no label file"):
        opened(SPAQ, tmp_path)


def test_scores_out_of_range_are_said(tmp_path):
    """The file of another scale is read, and the doubt is printed."""
    small(tmp_path)
    rows = [(f"{number:05d}.jpg", 60, 61, 62, 63, 101, 65) for number in (1, 2, 3)]
    write_xlsx(tmp_path / "Annotations" / SHEET, {"Sheet1": [SPAQ_HEADER, *rows]})
    (problem,) = opened(SPAQ, tmp_path)[0].problems
    assert problem.startswith("3 scores of mos_noisiness are outside the known range 0 to 100")


def test_roots_that_are_wrong(tmp_path):
    """One level too high, one too deep, and a part of the archive that is not unpacked."""
    root = tmp_path / "SPAQ"
    small(root)
    with pytest.raises(InputError, match=f"--root {root}$"):
        opened(SPAQ, tmp_path)
    with pytest.raises(InputError, match=f"--root {root}$"):
        opened(SPAQ, root / "TestImage")
    shutil.rmtree(root / "TestImage")
    (root / "SPAQ.zip").write_bytes(b"the last part of seven")
    with pytest.raises(InputError, match="SPAQ.zip is no whole archive: .* join its parts"):
        opened(SPAQ, root)
