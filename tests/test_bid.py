"""BID: a sheet of old Excel with single grades, and numbers that are not in a row."""

import shutil

import numpy as np
import pytest
from trees import tiny, write_text, write_xls, write_xlsx
from trees_authentic import BID_ABSENT, BID_HEADER, bid_rows, build_bid, build_bid_xlsx, opened

from features.errors import InputError
from pipeline.databases.bid import BID
from pipeline.databases.sheets import read_cells
from pipeline.databases.table import Target


@pytest.mark.parametrize(
    ("build", "folder", "sheet"),
    [
        (build_bid, "ImageDatabase/", "DatabaseGrades.xls"),
        (build_bid_xlsx, "", "DatabaseGrades.xlsx"),
    ],
)
def test_both_layouts(tmp_path, build, folder, sheet):
    """586 rows by their numbers; what follows the table in the new sheet is not read."""
    build(tmp_path)
    database, labels = opened(BID, tmp_path)
    table = labels.table
    assert list(table.columns) == ["name", "mos", "mos_std"]
    numbers = [number for number in range(1, 591) if number not in BID_ABSENT]
    assert list(table["name"]) == [f"DatabaseImage{number:04d}.JPG" for number in numbers]
    assert len(table) == 586
    assert list(table["mos"][:3]) == pytest.approx([4.9, 4.9 - 4.7 / 9, 4.9 - 9.4 / 9])
    # ten grades .1 off the average: .1 * sqrt(10 / 9); eleven, the last on it: .1 * sqrt(10 / 10)
    assert list(table["mos_std"][:3]) == pytest.approx([0.1054093, 0.1, 0.1 * (12 / 11) ** 0.5])
    assert database.targets == {"mos": Target(0, 5)}
    assert len(database.table) == 40 and len(database.missing) == 546
    assert database.table["image"][0] == f"{folder}DatabaseImage0001.JPG"
    assert list(database.table["group"]) == list(database.table["name"])
    assert [path.name for path in database.labels] == [sheet]
    assert database.unlabelled == () and database.problems == ()


def test_old_sheet_first_and_any_case(tmp_path):
    """Where both are there; .jpg for .JPG; the sheet among the pictures."""
    build_bid(tmp_path)
    rows = [BID_HEADER, *([number, 0.5, 1, 0.5] for number, *_ in bid_rows())]
    write_xlsx(tmp_path / "DatabaseGrades.xlsx", {"Plan1": rows})
    folder = tmp_path / "ImageDatabase"
    for path in folder.iterdir():
        path.rename(path.with_suffix(".jpg"))
    database, _ = opened(BID, tmp_path)
    assert database.table["mos"][0] == pytest.approx(4.9)
    assert database.table["name"][0] == "DatabaseImage0001.JPG"
    assert database.table["image"][0] == "ImageDatabase/DatabaseImage0001.jpg"
    (tmp_path / "DatabaseGrades.xlsx").unlink()
    (tmp_path / "DatabaseGrades.xls").rename(folder / "DatabaseGrades.xls")
    assert len(opened(BID, tmp_path)[0].table) == 40


def test_without_single_grades(tmp_path):
    """A sheet that somebody cut to two columns has no deviations."""
    tiny(tmp_path / "DatabaseImage0003.JPG", 0)
    rows = [BID_HEADER[:2], (3, 2.5), (4, 3.5)]
    write_xlsx(tmp_path / "DatabaseGrades.xlsx", {"Sheet": rows})
    database, labels = opened(BID, tmp_path)
    assert list(labels.table.columns) == ["name", "mos"]
    assert database.missing == ("DatabaseImage0004.JPG",)


def test_other_files(tmp_path):
    """Columns of another sheet, a number that is none, a web page."""
    tiny(tmp_path / "DatabaseImage0001.JPG", 0)
    path = tmp_path / "DatabaseGrades.xls"
    write_xls(path, {"Plan1": [("Image", "Grade"), (1, 2)]})
    with pytest.raises(InputError, match="expected the columns image number, average subjective"):
        opened(BID, tmp_path)
    write_xls(path, {"Plan1": [BID_HEADER[:2], (1.5, 2)]})
    with pytest.raises(InputError, match="whole numbers in the column Image Number, found 1.5"):
        opened(BID, tmp_path)
    write_text(path, ["<html><table><tr><td>Image Number</td></tr></table></html>"])
    with pytest.raises(InputError, match="is a web page and no label file"):
        opened(BID, tmp_path)


def test_roots_that_are_wrong(tmp_path):
    """The folder of the pictures, and the one above."""
    build_bid(tmp_path / "BID")
    for root in (tmp_path, tmp_path / "BID" / "ImageDatabase"):
        with pytest.raises(InputError, match=f"--root {tmp_path / 'BID'}$"):
            opened(BID, root)


def test_real_label_file(shared, tmp_path):
    """586 rows; averages .164 to 4.920, deviations .186 to 1.791; seven odd averages are kept."""
    path = tmp_path / "DatabaseGrades.xls"
    shutil.copy(shared / "data" / "labels" / "bid_DatabaseGrades.xls", path)
    (tmp_path / "ImageDatabase").mkdir()
    numbers = [number for number in range(1, 591) if number not in BID_ABSENT]
    for number in numbers:
        (tmp_path / "ImageDatabase" / f"DatabaseImage{number:04d}.JPG").touch()
    database, _ = opened(BID, tmp_path)
    table = database.table
    assert len(table) == 586 and database.missing == () and database.unlabelled == ()
    assert list(table["name"]) == [f"DatabaseImage{number:04d}.JPG" for number in numbers]
    assert table["mos"].agg(["min", "max"]).tolist() == pytest.approx([0.1638057, 4.9197524])
    assert table["mos_std"].agg(["min", "max"]).tolist() == pytest.approx([0.1856140, 1.7909508])
    assert database.problems == ()
    grades = [[cell for cell in row[3:] if cell != ""] for row in read_cells(path)[1:]]
    assert {len(row) for row in grades} <= set(range(10, 21))
    means = np.array([np.mean(row) for row in grades])
    assert np.sum(np.abs(means - table["mos"]) > 1e-3) == 7
