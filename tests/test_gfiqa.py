"""GFIQA-20k: faces, several of one photograph."""

import pytest
from trees import tiny, write_text
from trees_authentic import build_gfiqa, gfiqa_names, opened

from features.errors import InputError
from pipeline.databases.gfiqa import GFIQA
from pipeline.databases.table import Target


def test_faces_of_one_photograph_are_a_group(tmp_path):
    """19,998 faces of 18,456 photographs, 1,366 of which have several."""
    build_gfiqa(tmp_path)
    database, labels = opened(GFIQA, tmp_path)
    table = labels.table
    assert list(table.columns) == ["name", "mos", "group"]
    assert len(table) == 19998 and list(table["name"]) == gfiqa_names()
    assert table["group"].nunique() == GFIQA.n_groups == 18456
    assert (table["group"].value_counts() > 1).sum() == 1366
    assert list(table["name"][:3]) == ["97114257_0.png", "97114257_1.png", "97114910_0.png"]
    assert list(table["group"][:3]) == ["97114257", "97114257", "97114910"]
    assert list(table["mos"][:2]) == pytest.approx([0.94, 0.94 - 0.93 / 9])
    assert database.targets == {"mos": Target(0, 1)}
    assert database.group_by == "photograph"
    assert len(database.table) == 40 and len(database.missing) == 19958
    assert database.table["image"][0] == "image/97114257_0.png"
    assert [path.name for path in database.labels] == ["mos_val_rating.csv"]
    assert database.unlabelled == () and database.problems == ()


@pytest.mark.parametrize("folder", ["images/", "", "IMAGE/"])
def test_two_columns_and_other_folders(tmp_path, folder):
    """mos.csv with Windows line ends; images/, no folder at all, any case."""
    write_text(tmp_path / "mos.csv", ["img_name,mos", "12_0.png,.5", "12_1.png,.25"], "\r\n")
    for face in (0, 1):
        tiny(tmp_path / f"{folder}12_{face}.PNG", 0, face)
    database, _ = opened(GFIQA, tmp_path)
    assert list(database.table["name"]) == ["12_0.png", "12_1.png"]
    assert list(database.table["image"]) == [f"{folder}12_0.PNG", f"{folder}12_1.PNG"]
    assert list(database.table["mos"]) == [0.5, 0.25]
    assert list(database.table["group"]) == ["12", "12"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["img_name,mos", "portrait.png,.5"], "such as 831481558_0.png, found 'portrait.png'"),
        (["image,mos", "12_0.png,.5"], "expected the columns img_name, mos, found image, mos"),
        (["img_name,mos", "12_0.png,"], "1 values of mos are not numbers, the first is ''"),
        (["img_name,mos,ratings", "12_0.png,.5,.4,.6"], "put values with a comma in quotation"),
        (["<!DOCTYPE html>"], "is a web page and no label file"),
    ],
)
def test_other_files(tmp_path, lines, says):
    """Names without a photograph, other columns, no score, ratings in no quotation marks."""
    tiny(tmp_path / "image" / "12_0.png", 0)
    write_text(tmp_path / "mos_val_rating.csv", lines)
    with pytest.raises(InputError, match=says):
        opened(GFIQA, tmp_path)


def test_scores_of_another_scale_are_said(tmp_path):
    """Somebody's file of 0 to 100."""
    tiny(tmp_path / "image" / "12_0.png", 0)
    write_text(tmp_path / "mos.csv", ["img_name,mos", "12_0.png,50"])
    (problem,) = opened(GFIQA, tmp_path)[0].problems
    assert problem.startswith("1 scores of mos are outside the known range 0 to 1, the first is 50")


def test_roots_that_are_wrong(tmp_path):
    """The folder of the pictures, and the one above."""
    root = tmp_path / "GFIQA-20k"
    write_text(root / "mos.csv", ["img_name,mos", "12_0.png,.5"])
    tiny(root / "image" / "12_0.png", 0)
    for wrong in (tmp_path, root / "image"):
        with pytest.raises(InputError, match=f"--root {root}$"):
            opened(GFIQA, wrong)
