"""Label files of all kinds, whole, odd and damaged."""

import datetime
import shutil
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import scipy.io
import xlwt
from trees import write_mat, write_xls, write_xlsx

from features.errors import InputError
from pipeline.databases import excel
from pipeline.databases.sheets import (
    integers,
    mat_texts,
    read_cells,
    read_lines,
    read_mat,
    read_sheet,
    read_table,
    text,
)

CSV = "image,mos\r\n图片1.png,3.5\r\n"


@pytest.fixture
def write(tmp_path):
    """Writes a file and returns its path."""

    def write(content, name="labels.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refusal(function, *arguments, match: str | None = None, **options) -> str:
    """What is said when a file is refused: one line that names the file, and is not too long."""
    with pytest.raises(InputError, match=match) as error:
        function(*arguments, **options)
    line = str(error.value)
    assert line.isprintable() and len(line) < 500
    assert str(arguments[0]) in line
    return line


# CSV


TABLES = {
    "plain": "image,mos\na.png,1\nb.png,2\n",
    "windows": "\ufeffImage , MOS\r\na.png,1\r\nb.png,2\r\n",
    "old mac": "IMAGE,MOS\ra.png,1\rb.png,2",
    "blank lines": "\n\nimage,mos\n\na.png,1\n\nb.png,2\n\n",
    "quotes": '\ufeff"image","mos"\n"a.png","1"\n"b.png","2"\n',
    "padding": "image,mos\na.png,1\n,\nb.png,2\n,\n,\n",
    "empty columns": "image,mos,,\na.png,1,,\nb.png,2,,\n",
}


@pytest.mark.parametrize("case", TABLES)
def test_csv_as_people_write_them(write, case):
    """Line ends, marks of the encoding, blank lines and cells change nothing."""
    table = read_table(write(TABLES[case]), "image", "mos")
    assert table.to_dict("list") == {"image": ["a.png", "b.png"], "mos": ["1", "2"]}
    assert table.index.tolist() == [0, 1]


def test_csv_cells_are_text(write):
    """As they stand: no number, no missing value, no date is made of them."""
    path = write('image,mos,n\n007,NA,"a, ""b""\nc"\nnan.png,1e3\n图.png,1,None\n')
    table = read_table(path, "image")
    assert table["image"].tolist() == ["007", "nan.png", "图.png"]
    assert table["mos"].tolist() == ["NA", "1e3", "1"]
    assert table["n"].tolist() == ['a, "b"\nc', "", "None"]


def test_csv_without_wanted_columns_may_have_no_rows(write):
    """Whoever asks for columns gets rows; others see for themselves."""
    assert len(read_table(write("image,mos\n"))) == 0
    assert list(read_table(write("image,mos\n"))) == ["image", "mos"]
    assert read_table(write(",,\n1,2,3\n")).shape == (1, 0)


BAD_CSV = {
    "no rows": ("image,mos\n", "expected rows of labels, found none: download it again"),
    "commas alone": ("image,mos\n,\n,\n", "expected rows of labels, found none"),
    "other columns": ("a,b\n1,2\n", "expected the columns image, mos, found a, b: is it the label"),
    "no names": (",\n1,2\n", "expected the columns image, mos, found nothing"),
    "many columns": (",".join(f"c{k}" for k in range(9999)) + "\n", "found c0, c1, .* c11 ...: is"),
    "long column": ("x" * 9999 + ",b\n1,2\n", r"found x{40}\.\.\., b: is it"),
    "semicolons": ("image;mos\na;1\n", "found image;mos: put commas between the columns"),
    "twice": ("image,mos,mos\na,1,2\n", "two columns are called 'mos'; leave one of them"),
    "twice in two cases": ("image,mos,MOS\na,1,2\n", "two columns are called 'mos'"),
    "longer row": ("image,mos\na,1\nb,1,5\n", "more values than .*in line 3, saw 3.; put values"),
    "all rows longer": ("image,mos\na,1,5\nb,1,5\n", "more values than there are columns"),
    "decimal comma at the end": ("image,mos\na,1,\n", "more values than there are columns"),
    "open quote": ('image,mos\n"a,1\nb,2\n', "cannot be read as a CSV in UTF-8: .*inside string"),
    "UTF-16": (CSV.encode("utf-16"), "as a CSV in UTF-8: it is in UTF-16 or no text; save it as"),
    "UTF-16 without mark": (CSV.encode("utf-16-le"), "it is in UTF-16 or no text"),
    "latin": ("image,mos\né.png,1\n".encode("latin-1"), "can't decode byte 0xe9 .*; save it as a"),
    "zeros": (bytes(5000), "it is in UTF-16 or no text"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "cannot be read as a CSV in UTF-8"),
    "workbook": (b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(256)), "cannot be read as a CSV"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv(write, case):
    """What was expected, what came, what to do."""
    content, message = BAD_CSV[case]
    refusal(read_table, write(content), "image", "mos", match=message)


# what failed downloads leave

READERS = {
    ".csv": lambda path: read_table(path),
    ".xlsx": lambda path: read_sheet(path, "image"),
    ".xls": lambda path: read_cells(path),
    ".mat": lambda path: read_mat(path, "mos"),
    ".txt": lambda path: read_lines(path, 2),
}
FAILED = {
    "page": (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "is a web page and no label file: download"),
    "saved page": (b"<!-- saved from url --><HTML>", "is a web page"),
    "page in UTF-16": ("<html>".encode("utf-16"), "is a web page"),
    "answer": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS .*: run git lfs pull"),
    "empty": (b"", "is empty: download it again"),
    "blank": (b"\xef\xbb\xbf\r\n \n", "is empty: download it again"),
    "nothing": (None, "there is no file"),
}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("case", FAILED)
def test_failed_downloads(write, tmp_path, suffix, case):
    """The same under each name."""
    content, message = FAILED[case]
    path = tmp_path / f"none{suffix}" if content is None else write(content, f"labels{suffix}")
    refusal(READERS[suffix], path, match=message)


@pytest.mark.parametrize("suffix", READERS)
def test_a_folder_under_the_name_of_a_file(tmp_path, suffix):
    """Somebody unpacked into it."""
    (tmp_path / f"labels{suffix}").mkdir()
    assert "cannot be read: Is a directory" in refusal(
        READERS[suffix], tmp_path / f"labels{suffix}"
    )


@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".mat"])
@pytest.mark.parametrize(
    "content", [CSV.encode(), bytes(600), b'{"message": "Not Found"}', b"Sorry, quota exceeded."]
)
def test_text_under_the_name_of_another_kind(write, suffix, content):
    """One line, not what a library makes of it."""
    line = refusal(READERS[suffix], write(content, f"labels{suffix}"))
    assert "download it again" in line or "is it the label file of another release?" in line
    if suffix != ".mat":
        assert "is no Excel file, whatever it is called (it starts with b" in line


# Excel


ROWS = [("Image", "MOS ", "Mean\nScore"), (1600.0, 3.5, 1), ("图 1.png", 4, 2)]


@pytest.mark.parametrize("name", ["labels.xlsx", "labels.xls", "LABELS.XLSX", "labels.dat"])
@pytest.mark.parametrize("writer", [write_xlsx, write_xls])
def test_both_kinds_whatever_the_name(tmp_path, name, writer):
    """An old file may be called .xlsx, and a new one .xls."""
    writer(tmp_path / name, {"Sheet1": ROWS})
    table = read_sheet(tmp_path / name, "image", "mos", "mean score")
    assert table["image"].map(text).tolist() == ["1600", "图 1.png"]
    assert table["mos"].tolist() == [3.5, 4]
    assert list(table) == ["image", "mos", "mean score"]


def shifted(rows) -> list[tuple]:
    """Rows as they stand in a sheet whose table starts at D4."""
    return [(), (), (), *((None, None, None, *row) for row in rows)]


def test_a_table_that_starts_at_d4(tmp_path):
    """With titles above, notes beside, padding below and other tables under that."""
    rows = shifted([*ROWS, (None, None), (" ", None), ("after", 1, 2)])
    rows[1] = ("Image", None, "scores of 2010")
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": rows})
    table = read_sheet(tmp_path / "a.xlsx", "image", "mos")
    assert table["image"].map(text).tolist() == ["1600", "图 1.png"]
    assert read_cells(tmp_path / "a.xlsx")[3][3] == "Image"


def test_sheets_are_found_by_name(tmp_path):
    """In any case; the first when none is asked for."""
    write_xlsx(tmp_path / "a.xlsx", {"z_crit": [("N",), (1,)], "All by Image": ROWS})
    assert len(read_sheet(tmp_path / "a.xlsx", "image", sheet="all by image")) == 2
    assert list(read_sheet(tmp_path / "a.xlsx", "n")) == ["n"]
    line = refusal(read_sheet, tmp_path / "a.xlsx", "image", sheet="all")
    assert "expected a sheet 'all', found z_crit, All by Image: is it" in line


@pytest.mark.parametrize("kind", ["xlsx", "xls"])
def test_cells_that_are_errors_or_odd(tmp_path, kind):
    """#REF! and its like are missing values; the rest is what it is."""
    path = tmp_path / f"a.{kind}"
    day = datetime.date(2020, 1, 2)
    if kind == "xlsx":
        book = openpyxl.Workbook()
        for row in [("image", "mos"), ("a", "#REF!"), ("b", "#DIV/0!"), ("c", True), (day, 2)]:
            book.active.append(row)
        for y in (2, 3):
            book.active.cell(y, 2).data_type = "e"
        book.save(path)
    else:
        book = xlwt.Workbook()
        sheet = book.add_sheet("Sheet1")
        rows = [("image", "mos"), ("a", None), ("b", None), ("c", True), ("2020-01-02", 2)]
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                if cell is not None:
                    sheet.write(y, x, cell)
        for y in (1, 2):
            sheet.row(y).set_cell_error(1, 0x17)  # #REF!
        book.save(str(path))
    table = read_sheet(path, "image", "mos")
    assert table["mos"].tolist() == ["", "", True, 2]
    assert table["image"].map(text).tolist() == ["a", "b", "c", "2020-01-02"]


def test_a_name_that_was_lost_ends_no_table(tmp_path):
    """Or half of a database would be left out; a sum below a table is no row."""
    lost = [*ROWS, (None, 5, 1), ("b.png", 4, 2)]
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": lost})
    line = refusal(read_sheet, tmp_path / "a.xlsx", "image", "mos")
    assert "row 4 has no image, and the table goes on after it: write it there" in line
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": [*ROWS, (None, 3.75, 1.5), (None, "sum", 3)]})
    assert len(read_sheet(tmp_path / "a.xlsx", "image", "mos")) == 2


BAD_SHEETS = {
    "empty": ([], "expected rows of labels, found none"),
    "no rows": (ROWS[:1], "expected rows of labels, found none: download it again"),
    "other columns": ([("a", "b"), (1, 2)], "expected the columns image, mos, found a, b: is it"),
    "one lacks": (shifted([("Image", "x"), (1, 2)]), "columns image, mos, found image"),
    "no header": (shifted([("a.png", 1.5), ("b.png", 2)]), "image, mos, found a.png, 1.5: is it"),
}


@pytest.mark.parametrize("case", BAD_SHEETS)
def test_bad_sheets(tmp_path, case):
    """The header that comes nearest is shown, wherever it stands."""
    rows, message = BAD_SHEETS[case]
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": rows})
    assert message in refusal(read_sheet, tmp_path / "a.xlsx", "image", "mos")


def test_a_chart_is_no_table(tmp_path):
    """The first sheet may hold no cells at all."""
    book = openpyxl.Workbook()
    book.create_chartsheet("chart", 0)
    book.save(tmp_path / "a.xlsx")
    refusal(read_sheet, tmp_path / "a.xlsx", "image")


def test_damaged_workbooks(tmp_path, write):
    """Cut anywhere, or with bytes changed: one line, and never the reader's own end."""
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": ROWS * 50})
    whole = (tmp_path / "a.xlsx").read_bytes()
    for length in (5, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        line = refusal(read_sheet, write(whole[:length], "b.xlsx"), "image")
        assert "cannot be read as an Excel file (" in line and "download it again" in line
    spoilt = bytearray(whole)
    for place in (len(whole) // 3, len(whole) // 2):
        spoilt[place] ^= 0xFF
    assert "cannot be read" in refusal(read_sheet, write(bytes(spoilt), "b.xlsx"), "image")
    write_xls(tmp_path / "a.xls", {"Sheet1": ROWS * 50})
    whole = (tmp_path / "a.xls").read_bytes()
    for length in (600, len(whole) // 2):
        line = refusal(read_sheet, write(whole[:length], "b.xls"), "image")
        assert "cannot be read as an Excel file (" in line


def test_an_archive_that_is_no_workbook(tmp_path):
    """The pictures under the name of the labels."""
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("readme.txt", "x")
    assert "cannot be read as an Excel file" in refusal(read_cells, tmp_path / "a.xlsx")


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    """Neither parts that unpack to gigabytes, nor one cell at the far end of a sheet."""
    book = openpyxl.Workbook()
    book.active["A1"], book.active["A2"], book.active["XFD1048576"] = "image", "a", 1
    book.save(tmp_path / "far.xlsx")
    line = refusal(read_sheet, tmp_path / "far.xlsx", "image")
    assert "a sheet has 1,048,576 rows and 16,384 columns: clear cells" in line
    # a colour there is no cell
    book.active["XFD1048576"].value = None
    book.active["XFD1048576"].font = openpyxl.styles.Font(bold=True)
    book.save(tmp_path / "far.xlsx")
    assert len(read_sheet(tmp_path / "far.xlsx", "image")) == 1
    shutil.copy(tmp_path / "far.xlsx", tmp_path / "bomb.xlsx")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/a.bin", bytes(2**22))
    assert len(read_sheet(tmp_path / "bomb.xlsx", "image")) == 1
    monkeypatch.setattr(excel, "MAX_UNPACKED", 2**22)
    assert "unpacks to" in refusal(read_sheet, tmp_path / "bomb.xlsx", "image")


# MATLAB


def test_cells_of_matlab_lie_either_way(tmp_path):
    """1 x n and n x 1 are one list; a number, an empty and a nested cell have a text."""
    row = np.empty((1, 4), object)
    row[0, :] = ["a.bmp ", "图.bmp", "", np.array([[1600.0]])]
    scipy.io.savemat(tmp_path / "a.mat", {"row": row, "column": row.T, "mos": [[1.0], [2.0]]})
    found = read_mat(tmp_path / "a.mat", "row", "column", "mos", "none")
    assert list(found) == ["row", "column", "mos"]
    for name in ("row", "column"):
        assert mat_texts(found[name]) == ["a.bmp", "图.bmp", "", "1600"]
    assert found["mos"].tolist() == [1, 2]
    inner = np.empty((1, 1), object)
    inner[0, 0] = "deep"
    outer = np.empty((1, 2), object)
    outer[0, :] = [inner, "flat"]
    scipy.io.savemat(tmp_path / "b.mat", {"names": outer, "rows": np.array(["abc", "de "])})
    found = read_mat(tmp_path / "b.mat", "names", "rows")
    assert mat_texts(found["names"]) == ["deep", "flat"]
    assert mat_texts(found["rows"]) == ["abc", "de"]


@pytest.mark.parametrize("form", ["4", "5", "compressed"])
def test_versions_of_matlab(tmp_path, form):
    """4 and all up to 7."""
    options = {"format": "4"} if form == "4" else {"do_compression": form == "compressed"}
    scipy.io.savemat(tmp_path / "a.mat", {"mos": np.arange(5.0)}, **options)
    assert read_mat(tmp_path / "a.mat", "mos")["mos"].tolist() == [0, 1, 2, 3, 4]


def test_version_7_3_is_told(tmp_path):
    """HDF5 inside: downloading again would not help."""
    import h5py

    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["mos"] = np.arange(3)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    line = refusal(read_mat, path, "mos")
    assert "is a MATLAB file of version 7.3, expected 7 or older: save it with -v7" in line
    with h5py.File(path, "w") as file:
        file["mos"] = np.arange(3)
    assert "cannot be read as a MATLAB file (" in refusal(read_mat, path, "mos")


def test_bad_matlab(tmp_path, write):
    """Other variables, none, and files that were cut."""
    write_mat(tmp_path / "a.mat", dmos=[1.0] * 500, names=["a"] * 500)
    line = refusal(read_mat, tmp_path / "a.mat", "dmos_new", "mos")
    assert "expected a variable dmos_new or mos, found dmos, names: is it the label file" in line
    whole = (tmp_path / "a.mat").read_bytes()
    assert "found nothing: is it" in refusal(read_mat, write(whole[:128], "b.mat"), "dmos")
    for length in (5, 50, 200, 3000):
        line = refusal(read_mat, write(whole[:length], "b.mat"), "dmos")
        assert "cannot be read as a MATLAB file (" in line and "download it again" in line


# text


LINES = {
    "plain": "a.bmp 1\nb.bmp 2\n",
    "windows": "\ufeffa.bmp 1\r\nb.bmp 2\r\n",
    "two returns": "a.bmp 1\r\rb.bmp 2\r\r",
    "blank lines": "\n\na.bmp\t1\n \n  b.bmp   2  \n\n",
    "no last end": "a.bmp 1\nb.bmp 2",
}


@pytest.mark.parametrize("case", LINES)
def test_lines(write, case):
    """Whatever ends them, and however much space is in between."""
    assert read_lines(write(LINES[case]), 2) == [["a.bmp", "1"], ["b.bmp", "2"]]


def test_lines_with_another_separator(write):
    """Names may hold spaces, and signs that only Unicode takes for ends of lines."""
    path = write("a b.png , 1\nc\u2028\x0bd\x85.png,2\n")
    assert read_lines(path, 2, ",") == [["a b.png", "1"], ["c\u2028\x0bd\x85.png", "2"]]
    assert read_lines(write("a b\t图 1\n"), 2, "\t") == [["a b", "图 1"]]
    assert read_lines(write("1\n\n2\n"), 1) == [["1"], ["2"]]


BAD_LINES = {
    "one part": ("a 1\nb\n", "expected 2 values in a line, found 'b': is it the label file of"),
    "three parts": ("a 1 2\n", "expected 2 values in a line, found 'a 1 2'"),
    "endless": ("x" * 9999, "found 'x{80}': is it"),
    "blank": ("\n" * 999 + " \n", "is empty"),
    "UTF-16": ("a 1\n".encode("utf-16"), "as text in UTF-8: it is in UTF-16 or no text; save it"),
    "latin": ("é 1\n".encode("latin-1"), "cannot be read as text in UTF-8: .*0xe9.*; save it"),
    "zeros": (bytes(999), "UTF-16 or no text"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_bad_lines(write, case):
    """With the line that is wrong."""
    content, message = BAD_LINES[case]
    refusal(read_lines, write(content), 2, match=message)


# cells


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (1600.0, "1600"),
        (np.float64(1600), "1600"),
        (1600, "1600"),
        (16.5, "16.5"),
        (" a b ", "a b"),
        ("1600.0", "1600.0"),
        ("", ""),
        (None, ""),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
    ],
)
def test_text_of_a_cell(cell, expected):
    """A number in a column of names was typed without decimals."""
    assert text(cell) == expected


def test_integers():
    """From numbers and texts, by position whatever the index."""
    texts = ["1", "2.0", " 30 "]
    for values in ([1.0, 2, 30], texts, pd.Series(texts, index=[5, 5, 5])):
        found = integers(values, "id", Path("f"))
        assert found.tolist() == [1, 2, 30] and found.dtype.kind == "i"
        assert found.index.tolist() == [0, 1, 2]
    assert integers([], "id", Path("f")).tolist() == []


@pytest.mark.parametrize(
    "value", [float("nan"), None, "", "x", 1.5, "2,5", float("inf"), 1e300, datetime.date.min]
)
def test_no_integers(value):
    """The first that is none, and its row."""
    with pytest.raises(InputError) as error:
        integers([1, value, "y"], "image_id", Path("f.csv"))
    assert str(error.value) == (
        f"f.csv: expected whole numbers in the column image_id, found {value!r} in row 2"
    )
