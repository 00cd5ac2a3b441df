"""UHD-IQA: the whole and the challenge's part, the official split, photographers."""

import shutil

import pytest
from trees import write_text
from trees_generated import UHDIQA_PARTS, build_uhdiqa, build_uhdiqa_challenge, uhdiqa_rows

from features.errors import InputError
from pipeline.databases.known import open_labels
from pipeline.databases.tree import Tree
from pipeline.databases.uhdiqa import UHDIQA

HEAD = "image_name,quality_mos,set,user_name"


def labels(root):
    """What the reader says, of all rows."""
    return UHDIQA.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("uhd-iqa", UHDIQA, Tree(root), labels(root))


def test_whole(tmp_path):
    """Names with their part, in the order of the file; the split of 4,269, 904 and 900."""
    build_uhdiqa(tmp_path)
    table = labels(tmp_path).table
    assert list(table) == ["name", "mos", "photographer", "split"]
    assert len(table) == UHDIQA.n_pictures == 6073
    assert table["split"].value_counts().to_dict() == dict(UHDIQA.split)
    rows = uhdiqa_rows()
    assert list(table["name"]) == [f"{row['set']}/{row['image_name']}" for row in rows]
    row = table.iloc[1].to_dict()
    assert row.pop("mos") == pytest.approx(0.587 + (0.8365 - 0.587) * 8 / 9, abs=1e-4)
    assert row == {"name": "training/2.jpg", "photographer": "user0007", "split": "train"}
    assert table["photographer"].nunique() == 1238
    database = opened(tmp_path)
    assert len(database.table) == 40 and set(database.table["split"]) == {"train", "val", "test"}
    assert list(database.table["group"]) == list(database.table["name"])
    assert database.targets["mos"].higher_is_better
    assert database.problems == database.unlabelled == ()
    assert len(database.missing) == 6033


def test_challenge(tmp_path):
    """Training labels alone, without two columns; names are those of the whole."""
    build_uhdiqa_challenge(tmp_path)
    build_uhdiqa(tmp_path / "whole")
    ours, whole = labels(tmp_path).table, labels(tmp_path / "whole").table
    assert len(ours) == 4269 and set(ours["split"]) == {"train"}
    assert ours.equals(whole[whole["split"] == "train"].reset_index(drop=True))
    database = opened(tmp_path)
    assert len(database.table) == 36
    assert database.table["image"][0] == "challenge/training/1.jpg"
    assert database.table["name"][0] == "training/1.jpg"


def test_challenge_folder_as_root_with_its_other_parts(tmp_path):
    """Labels of several parts are put together, training first."""
    build_uhdiqa_challenge(tmp_path)
    root = tmp_path / "challenge"
    (tmp_path / "uhd-iqa-training-metadata.csv").rename(root / "UHD-IQA-training-metadata.csv")
    write_text(root / "uhd-iqa-validation-metadata.csv", [HEAD, "5000.jpg,0.6,validation,user1"])
    for folder in (tmp_path, root):
        read = labels(folder)
        assert read.table["split"].value_counts().to_dict() == {"train": 4269, "val": 1}
        assert [path.name.lower() for path in read.files] == [
            f"uhd-iqa-{part}-metadata.csv" for part in ("training", "validation")
        ]
        assert len(opened(folder).table) == 36


def test_layouts_of_the_archives(tmp_path):
    """Both archives unpacked into folders of their own; the whole goes before a part of it."""
    build_uhdiqa(tmp_path)
    for folder in ("uhd-iqa-metadata", "UHD-IQA-database"):
        (tmp_path / folder).mkdir()
    (tmp_path / "uhd-iqa-metadata.csv").rename(
        tmp_path / "uhd-iqa-metadata" / "uhd-iqa-metadata.csv"
    )
    for part in UHDIQA_PARTS:
        (tmp_path / part).rename(tmp_path / "UHD-IQA-database" / part.capitalize())
    write_text(tmp_path / "uhd-iqa-training-metadata.csv", [HEAD, "1.jpg,0.6,training,user1"])
    database = opened(tmp_path)
    assert len(database.table) == 40
    assert database.table["image"][0] == "UHD-IQA-database/Training/1.jpg"
    assert [path.name for path in database.labels] == ["uhd-iqa-metadata.csv"]


WRONG = {
    "columns": ("image_name,mos\n1.jpg,0.5", "expected the columns image_name, quality_mos, set"),
    "part": (f"{HEAD}\n1.jpg,0.5,Extra,u", "expected training, .* in the column set, .*'Extra'"),
    "score": (f"{HEAD}\n1.jpg,,training,u", "1 values of quality_mos are not numbers"),
    "page": ("<!DOCTYPE html>", "is a web page and no label file"),
    "pointer": ("version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(tmp_path, case):
    """One line: what was expected, what came, what to do."""
    text, message = WRONG[case]
    write_text(tmp_path / "uhd-iqa-metadata.csv", text.split("\n"))
    with pytest.raises(InputError, match=message):
        labels(tmp_path)


def test_wrong_root(tmp_path):
    """One folder too high, and one too deep."""
    build_uhdiqa(tmp_path / "db")
    for root in (tmp_path, tmp_path / "db" / "training"):
        with pytest.raises(InputError, match=r"uhd-iqa-metadata.csv is not in .*--root .*db$"):
            labels(root)
    (tmp_path / "db" / "uhd-iqa-metadata.csv").unlink()
    with pytest.raises(InputError, match="expected UHD-IQA's label file uhd-iqa-metadata.csv or"):
        labels(tmp_path / "db")


def test_scores_out_of_range(tmp_path):
    """Somebody's scale of 0..100 is doubted."""
    build_uhdiqa(tmp_path)
    write_text(tmp_path / "uhd-iqa-metadata.csv", [HEAD, "1.jpg,60,training,user1"])
    assert "1 scores of mos are outside the known range 0 to 1" in opened(tmp_path).problems[0]


def test_real_labels(tmp_path, shared):
    """4,269 rows of the training part, of 979 photographers."""
    name = "uhd-iqa-training-metadata.csv"
    shutil.copy(shared / "data" / "labels" / name, tmp_path / name)
    table = labels(tmp_path).table
    assert len(table) == 4269 and set(table["split"]) == {"train"}
    assert table["mos"].min() == 0.587 and table["mos"].max() == 0.8365
    assert table["photographer"].nunique() == 979
    assert table["photographer"].value_counts().iloc[0] == 383
    # numbers run over all parts, so they have gaps here
    assert list(table["name"].iloc[[0, -1]]) == ["training/1.jpg", "training/6073.jpg"]
    (tmp_path / "training").mkdir()
    for picture in table["name"]:
        (tmp_path / picture).touch()
    database = opened(tmp_path)
    assert len(database.table) == 4269 and database.missing == database.unlabelled == ()
    assert database.problems == ()
