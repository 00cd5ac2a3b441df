"""AGIQA-1k: both label files, the row that stands there twice, prompts that follow from names."""

import shutil

import pytest
from trees import write_text, write_xlsx
from trees_generated import agiqa1k_rows, build_agiqa1k, build_agiqa1k_means

from features.errors import InputError
from pipeline.databases.agiqa1k import AGIQA1K
from pipeline.databases.known import open_labels
from pipeline.databases.tree import Tree

HEAD = ("Image", "Prompt", "MOS")


def labels(root):
    """What the reader says, of all rows."""
    return AGIQA1K.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("agiqa-1k", AGIQA1K, Tree(root), labels(root))


def test_spreadsheet(tmp_path):
    """Names, scores and prompts in the order of the sheet; a group is a prompt."""
    build_agiqa1k(tmp_path)
    table = labels(tmp_path).table
    assert list(table) == ["name", "mos", "prompt", "group"]
    first = table.iloc[:3].to_dict("list")
    assert first["name"] == [f"deepai_0_0_{end}.jpg" for end in ("0_0", "0_1", "1_0")]
    assert first["mos"] == pytest.approx([5, 5 - 5 / 9, 5 - 10 / 9])
    assert first["prompt"] == first["group"]
    assert first["prompt"][:2] == [
        "bird, driving aircraft, city, anime style",
        "bird, driving aircraft, city, realistic style",
    ]
    assert table["group"].nunique() == AGIQA1K.n_groups == 720
    # one group over both models, whose numbers for it differ
    same = table["name"][table["group"] == "man, having pizza, wild, anime style"]
    assert list(same) == ["deepai_7_5_1_0.jpg", "dreamStudio_6_0_1_0.jpg"]


def test_the_name_that_stands_there_twice(tmp_path):
    """1,080 rows are read, both rows are left out and named; their files are no strangers."""
    build_agiqa1k(tmp_path)
    for name in ("dreamStudio_8_9_1_1.jpg", "dreamStudio_8_5_0_0.jpg"):
        (tmp_path / "images" / name).touch()
    (tmp_path / "images" / "deepai_99_0_0_0.jpg").touch()
    read = labels(tmp_path)
    assert read.n_read == 1080 and len(read.table) == 1078
    assert not read.table["name"].isin(["dreamStudio_8_9_1_1.jpg", "dreamStudio_8_5_0_0.jpg"]).any()
    database = opened(tmp_path)
    assert database.problems == ()
    assert database.remarks == (
        "2 of 1080 rows of AIGC_MOS_Zscore.xlsx are left out, of dreamStudio_8_9_1_1.jpg and "
        "dreamStudio_8_5_0_0.jpg: their names are wrong, and nothing tells which score belongs to "
        "which",
    )
    assert len(database.table) + len(database.missing) == 1078
    assert database.unlabelled == ("images/deepai_99_0_0_0.jpg",)
    assert list(database.targets) == ["mos"] and database.targets["mos"].higher_is_better
    assert database.group_by == "prompt"


def test_a_corrected_spreadsheet_is_read_wholly(tmp_path):
    """Where somebody knew which was which, nothing is left out."""
    build_agiqa1k(tmp_path)
    rows = [(name, prompt, 2.5) for name, prompt in agiqa1k_rows()]
    write_xlsx(tmp_path / "AIGC_MOS_Zscore.xlsx", {"Sheet1": [HEAD, *rows]})
    read = labels(tmp_path)
    assert len(read.table) == 1080 and read.problems == () and read.extras == frozenset()


def test_means_alone(tmp_path):
    """Raw means are another score; prompts and groups are those of the spreadsheet."""
    build_agiqa1k_means(tmp_path)
    read = labels(tmp_path)
    assert list(read.table) == ["name", "mos_ratings", "prompt", "group"]
    assert read.n_read == 1080 and len(read.table) == 1078
    wrong = ("dreamStudio_8_9_1_1.jpg", "dreamStudio_8_5_0_0.jpg")
    assert dict(zip(read.table["name"], read.table["group"], strict=True)) == {
        name: prompt for name, prompt in agiqa1k_rows() if name not in wrong
    }
    scores = read.table.set_index("name")["mos_ratings"]
    assert scores["deepai_0_0_0_0.jpg"] == 5
    assert scores["deepai_0_2_0_1.jpg"] == pytest.approx(1 / 11)  # row 9
    database = opened(tmp_path)
    assert list(database.targets) == ["mos_ratings"]
    assert "2 of 1080 rows of AIGC_all.csv are left out" in database.remarks[0]


def test_the_spreadsheet_is_preferred_and_may_lie_in_the_repository(tmp_path):
    """As people clone the repository beside images/; names of files in any case."""
    build_agiqa1k_means(tmp_path)
    clone = tmp_path / "AGIQA-1k-Database-main"
    build_agiqa1k(tmp_path / "other")
    clone.mkdir()
    (tmp_path / "other" / "AIGC_MOS_Zscore.xlsx").rename(clone / "aigc_mos_zscore.XLSX")
    shutil.rmtree(tmp_path / "other")
    picture = tmp_path / "images" / "deepai_0_0_0_0.jpg"
    picture.rename(picture.with_name("Deepai_0_0_0_0.JPG"))
    database = opened(tmp_path)
    assert database.labels == (clone / "aigc_mos_zscore.XLSX",)
    assert database.table["name"][0] == "deepai_0_0_0_0.jpg"
    assert database.table["image"][0] == "images/Deepai_0_0_0_0.JPG"


@pytest.mark.parametrize("folder", ["images", "file", ""])
def test_folders_of_pictures(tmp_path, folder):
    """images/ as people name it, file/ as the archive is called, or beside the sheet."""
    build_agiqa1k(tmp_path)
    if folder != "images":
        (tmp_path / folder).mkdir(exist_ok=True)
        for path in (tmp_path / "images").iterdir():
            path.rename(tmp_path / folder / path.name)
    assert len(opened(tmp_path).table) == 38


def test_wrong_files(tmp_path):
    """One line: what was expected, what came, what to do."""
    build_agiqa1k(tmp_path / "db")
    with pytest.raises(InputError, match=r"but in .*db: give --root"):
        labels(tmp_path)
    with pytest.raises(InputError, match=r"but in .*db: give --root"):
        labels(tmp_path / "db" / "images")
    sheet = tmp_path / "db" / "AIGC_MOS_Zscore.xlsx"
    write_xlsx(sheet, {"Sheet1": [("Image", "MOS"), ("deepai_0_0_0_0.jpg", 1.0)]})
    with pytest.raises(InputError, match="expected the columns image, prompt, mos, found image"):
        labels(tmp_path / "db")
    write_xlsx(sheet, {"Sheet1": [HEAD, ("deepai_0_0_0_0.jpg", "bird", "good")]})
    with pytest.raises(InputError, match="1 values of mos are not numbers"):
        labels(tmp_path / "db")
    sheet.write_text("<!DOCTYPE html><html>")
    with pytest.raises(InputError, match="is a web page and no label file"):
        labels(tmp_path / "db")
    sheet.unlink()
    with pytest.raises(InputError, match=r"expected AGIQA-1k's label file AIGC_MOS_Zscore.xlsx"):
        labels(tmp_path / "db")


@pytest.mark.parametrize(
    "name", ["deepai_12_0_0_0.jpg", "dreamStudio_0_10_0_0.jpg", "deepai_0_0_2_0.jpg", "cat.jpg"]
)
def test_names_that_stand_for_no_prompt(tmp_path, name):
    """dreamStudio has fewer words than deepai, and a name must fit."""
    write_text(tmp_path / "AIGC_all.csv", ["Image,Score", f"{name},1.0"])
    with pytest.raises(InputError, match=f"expected names such as deepai.*found '{name}'"):
        labels(tmp_path)


def test_score_out_of_range(tmp_path):
    """Scores of 0 to 5."""
    build_agiqa1k(tmp_path)
    rows = [(name, prompt, 50.0) for name, prompt in agiqa1k_rows()]
    write_xlsx(tmp_path / "AIGC_MOS_Zscore.xlsx", {"Sheet1": [HEAD, *rows]})
    assert "1080 scores of mos are outside the known range 0 to 5" in opened(tmp_path).problems[0]


def test_real_labels(tmp_path, shared):
    """1,080 rows of the published sheet, 1,078 kept; words of names agree with its prompts."""
    source = shared / "data" / "labels"
    shutil.copy(source / "agiqa1k_AIGC_all.csv", tmp_path / "AIGC_all.csv")
    means = labels(tmp_path)
    assert means.n_read == 1080 and len(means.table) == 1078
    assert means.table["mos_ratings"].between(0.09, 5).all()
    shutil.copy(source / "agiqa1k_AIGC_MOS_Zscore.xlsx", tmp_path / "AIGC_MOS_Zscore.xlsx")
    read = labels(tmp_path)
    assert read.n_read == 1080 and len(read.table) == 1078
    assert "dreamStudio_8_9_1_1.jpg" in read.remarks[0]
    assert read.table["group"].nunique() == 720
    assert (read.table["mos"] == 0).sum() == 7 and read.table["mos"].max() == 5
    both = read.table.merge(means.table, on="name")
    assert set(read.table["name"]) == set(means.table["name"])
    assert len(both) == 1078 and (both["prompt_x"] == both["prompt_y"]).all()
    for name in read.table["name"]:
        (tmp_path / name).touch()
    database = opened(tmp_path)
    assert len(database.table) == 1078 and database.missing == database.unlabelled == ()
