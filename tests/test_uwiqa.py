"""UWIQA: numbers become names of four digits."""

import pytest
from trees import write_xlsx
from trees_generated import build_uwiqa

from features.errors import InputError
from pipeline.databases.known import open_labels
from pipeline.databases.tree import Tree
from pipeline.databases.uwiqa import UWIQA


def labels(root):
    """What the reader says, of all rows."""
    return UWIQA.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("uwiqa", UWIQA, Tree(root), labels(root))


def test_sheet(tmp_path):
    """890 names and scores, each picture its own group."""
    build_uwiqa(tmp_path)
    table = labels(tmp_path).table
    assert list(table) == ["name", "mos"] and len(table) == UWIQA.n_pictures == 890
    assert list(table["name"][[0, 8, 889]]) == ["0001.png", "0009.png", "0890.png"]
    assert list(table["mos"][[0, 8, 9]]) == pytest.approx([1 - 1 / 9, 0, 1])
    database = opened(tmp_path)
    assert len(database.table) == 35 and len(database.missing) == 855
    assert database.table["image"][0] == "img/0001.png"
    assert list(database.table["group"]) == list(database.table["name"])
    assert database.targets["mos"].higher_is_better and database.problems == ()
    assert database.unlabelled == ()


SHEETS = {
    "numbers as text": [("no", "score"), ("0002", 0.5), ("3", "0.25")],
    "numbers with decimals": [("no", "score", "more"), (2.0, 0.5, 1), (3.0, 0.25, 1)],
    "without headings": [(2, 0.5), (3, 0.25)],
    "empty rows": [("no", "score"), (2, 0.5), (None, None), (3, 0.25), (None, None)],
    "headings that are numbers in words": [("1st", "2nd"), (2, 0.5), (3, 0.25)],
}


@pytest.mark.parametrize("case", SHEETS)
def test_forms_of_the_sheet(tmp_path, case):
    """The words of the headings are not relied upon, nor the kind of the numbers."""
    write_xlsx(tmp_path / "IQA_Value.xlsx", {"any": SHEETS[case], "other": [("x", "y")]})
    table = labels(tmp_path).table
    assert list(table["name"]) == ["0002.png", "0003.png"]
    assert list(table["mos"]) == [0.5, 0.25]


@pytest.mark.parametrize("folder", ["IMG", "images", ""])
def test_folders_of_pictures(tmp_path, folder):
    """img/ in any case, images/, or beside the sheet."""
    build_uwiqa(tmp_path)
    unpacked = (tmp_path / "img").rename(tmp_path / "new")
    (tmp_path / folder).mkdir(exist_ok=True)
    for path in unpacked.iterdir():
        path.rename(tmp_path / folder / path.name.replace(".png", ".PNG"))
    assert len(opened(tmp_path).table) == 35


WRONG = {
    "no numbers": ([("no", "score")], "expected numbers of pictures in the first column"),
    "one column": ([("score",), (0.5,)], "expected numbers of pictures in the first column"),
    "names": ([("no", "score"), ("a.png", 0.5)], "expected whole numbers in the column 1.*'a.png'"),
    "score": ([("no", "score"), (1, "good")], "1 values of MOS are not numbers.*'0001.png'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_sheets(tmp_path, case):
    """One line: what was expected, what came, what to do."""
    rows, message = WRONG[case]
    write_xlsx(tmp_path / "IQA_Value.xlsx", {"Sheet1": rows})
    with pytest.raises(InputError, match=message):
        labels(tmp_path)


def test_wrong_root_and_page(tmp_path):
    """The right folder is named; a web page is no sheet; a range of 0..100 is doubted."""
    build_uwiqa(tmp_path / "db")
    for root in (tmp_path, tmp_path / "db" / "img"):
        with pytest.raises(InputError, match=r"IQA_Value.xlsx is not in .*give --root .*db$"):
            labels(root)
    sheet = tmp_path / "db" / "IQA_Value.xlsx"
    write_xlsx(sheet, {"Sheet1": [("no", "score"), (1, 55), (2, 0.5)]})
    assert "1 scores of mos are outside the known range 0 to 1" in opened(sheet.parent).problems[0]
    sheet.write_text("<html>")
    with pytest.raises(InputError, match="is a web page"):
        labels(sheet.parent)
