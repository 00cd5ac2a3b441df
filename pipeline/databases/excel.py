"""Tables in Excel files, old and new, read as data: no macro and no formula runs."""

import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.downloads import one_line, refuse_others

MAX_UNPACKED = 2**30  # bytes of a spreadsheet's parts together; the largest known has 20 MB
MAX_CELLS = 2**25  # of the rectangle that holds all cells; the largest known has 300,000
_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # of .xlsx and of .xls, whatever the file is called
_CELL = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"(?![^>]*/>)')  # one that holds something


def read_sheet(path: Path, *columns: str, sheet: str | None = None) -> pd.DataFrame:
    """Read a table of an Excel file, old or new, column names in lower case.

    The table starts at the first row that holds all names of `columns`, wherever that is, and ends
    before the first row whose cell under the first of them is empty.

    Parameters
    ----------
    columns : names, in lower case and with single spaces, that must be there
    sheet : its name; the first one when not given

    Returns
    -------
    table : cells as they are: str, float, int, bool; missing ones and errors are ""

    Raises
    ------
    InputError
        When it is no Excel file, has no such sheet or columns, no row, or a row without a name
        among the others.
    """
    rows = read_cells(path, sheet)
    headers = [[header(cell) for cell in row] for row in rows]
    start = next((k for k, names in enumerate(headers) if set(columns) <= set(names)), None)
    if start is None:
        nearest = max(headers, key=lambda names: (len(set(columns) & set(names)), any(names)))
        raise lacking(path, columns, nearest)
    names = headers[start]
    first, *others = (names.index(column) for column in columns)
    body = rows[start + 1 :]
    end = next((k for k, row in enumerate(body) if is_blank(row[first])), len(body))
    if end == 0:
        raise no_rows(path)
    lost = body[end : end + 2]  # no end, where a row with a name follows one with other values
    if len(lost) == 2 and not is_blank(lost[1][first]) and any(lost[0][k] != "" for k in others):
        raise InputError(
            f"{path}: row {start + end + 2} has no {columns[0]}, and the table goes on after it: "
            "write it there, or download the file again"
        )
    keep = [index for index, name in enumerate(names) if name and name not in names[:index]]
    return pd.DataFrame(
        {
            names[index]: pd.Series([row[index] for row in body[:end]], dtype=object)
            for index in keep
        }
    )


def read_cells(path: Path, sheet: str | None = None) -> list[list]:
    """Return all cells of a sheet, row by row, from A1 on; see `read_sheet`."""
    import python_calamine

    refuse_others(path)
    try:
        with open(path, "rb") as file:
            start = file.read(16)
            if not start.startswith(_STARTS):
                raise InputError(
                    f"{path} is no Excel file, whatever it is called (it starts with {start!r}): "
                    "download it again"
                )
            _refuse_bombs(path)
            file.seek(0)
            book = python_calamine.CalamineWorkbook.from_filelike(file)
            names = {name.casefold(): name for name in book.sheet_names}
            chosen = names.get(sheet.casefold()) if sheet else book.sheet_names[0]
            if chosen is None:
                raise InputError(
                    f"{path}: expected a sheet {sheet!r}, found {some(book.sheet_names)}: is it "
                    "the label file of another release?"
                )
            rows = book.get_sheet_by_name(chosen).to_python(skip_empty_area=False)
    except (InputError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # of the reader's own classes, of which one is no Exception
        raise InputError(
            f"{path} cannot be read as an Excel file ({one_line(error)}): download it again"
        ) from error
    if not rows:
        raise no_rows(path)
    return rows


def _refuse_bombs(path: Path) -> None:
    """Refuse what would not fit into memory: the reader would take the whole process with it."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
        if size > MAX_UNPACKED:
            raise InputError(f"{path} unpacks to {size / 2**30:.0f} GB: this is no label file")
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                cells = set(_CELL.findall(archive.read(name)))
                n_rows = max((int(row) for _, row in cells), default=0)
                n_columns = max((_number(column) for column, _ in cells), default=0)
                if n_rows * n_columns > MAX_CELLS:
                    raise InputError(
                        f"{path}: a sheet has {n_rows:,} rows and {n_columns:,} columns: clear "
                        "cells that are far from the table, or download it again"
                    )


def _number(column: bytes) -> int:
    """Return the number of a column: 1 of A, 28 of AB."""
    number = 0
    for letter in column:
        number = 26 * number + letter - ord("A") + 1
    return number


def header(cell: object) -> str:
    """Return a column's name in lower case, with single spaces."""
    return " ".join(str("" if cell is None else cell).lower().split())


def is_blank(cell: object) -> bool:
    """Say whether nothing stands in a cell."""
    return cell is None or not str(cell).strip()


def some(names: Iterable[str], limit: int = 12) -> str:
    """Return the first of some names, cut where they are long, for an error."""
    names = [name if len(name) <= 40 else f"{name[:40]}..." for name in filter(None, names)]
    return ", ".join(names[:limit]) + (" ..." if len(names) > limit else "") or "nothing"


def lacking(path: Path, columns: Sequence[str], found: Sequence[str]) -> InputError:
    """Return the error of a table without its columns."""
    release = "is it the label file of another release?"
    if len(found) == 1 and ";" in found[0]:
        release = "put commas between the columns"
    return InputError(
        f"{path}: expected the columns {', '.join(columns)}, found {some(found)}: {release}"
    )


def no_rows(path: Path) -> InputError:
    """Return the error of a table that has nothing below its columns."""
    return InputError(f"{path}: expected rows of labels, found none: download it again")
