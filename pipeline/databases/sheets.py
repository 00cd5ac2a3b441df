"""Label files as people publish them: CSV, text lists, Excel old and new, MATLAB.

Everything is read as data: no macro, no pickle, no formula. A download that went wrong (a web page
under the name of a spreadsheet) is said to be one.
"""

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError

MAX_UNPACKED = 2**30  # bytes of a spreadsheet's parts together; the largest known has 20 MB


def read_table(path: Path, *columns: str) -> pd.DataFrame:
    """Read a CSV as text, column names in lower case.

    Parameters
    ----------
    columns : names, in lower case, that must be there

    Raises
    ------
    InputError
        When the file is not there, is no CSV in UTF-8, or lacks a column.
    """
    refuse_others(path)
    try:
        with warnings.catch_warnings():
            # a row longer than the header, as from a decimal comma, would lose its end
            warnings.simplefilter("error", pd.errors.ParserWarning)
            raw = pd.read_csv(
                path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
            )
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except pd.errors.ParserWarning as error:
        raise InputError(
            f"{path}: a row has more values than there are columns; put values with a comma in "
            "quotation marks, and write decimals with a point"
        ) from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} cannot be read as a CSV in UTF-8: {error}") from error
    return _with_columns(raw, path, columns)


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
    table : cells as they are: str, float, int, bool; missing ones are ""

    Raises
    ------
    InputError
        When it is no Excel file, or has no such sheet or columns.
    """
    rows = read_cells(path, sheet)
    start = next((k for k, row in enumerate(rows) if set(columns) <= set(map(_header, row))), None)
    if start is None:
        raise InputError(
            f"{path}: expected the columns {', '.join(columns)}, found "
            f"{', '.join(filter(None, map(_header, rows[0] if rows else []))) or 'nothing'}: is it "
            "the label file of another release?"
        )
    names = [_header(cell) for cell in rows[start]]
    first = names.index(columns[0])
    body = []
    for row in rows[start + 1 :]:
        if row[first] in ("", None):
            break
        body.append(row)
    keep = [index for index, name in enumerate(names) if name and name not in names[:index]]
    return pd.DataFrame(
        {names[index]: pd.Series([row[index] for row in body], dtype=object) for index in keep}
    )


def read_cells(path: Path, sheet: str | None = None) -> list[list]:
    """Return all cells of a sheet, row by row, from A1 on; see `read_sheet`."""
    import python_calamine

    refuse_others(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(part.file_size for part in archive.infolist())
            if size > MAX_UNPACKED:
                raise InputError(f"{path} unpacks to {size / 2**30:.0f} GB: this is no label file")
        with python_calamine.CalamineWorkbook.from_path(path) as book:
            names = {name.casefold(): name for name in book.sheet_names}
            chosen = names.get(sheet.casefold()) if sheet else book.sheet_names[0]
            if chosen is None:
                raise InputError(
                    f"{path}: expected a sheet {sheet!r}, found {', '.join(book.sheet_names)}: is "
                    "it the label file of another release?"
                )
            return book.get_sheet_by_name(chosen).to_python(skip_empty_area=False)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except InputError:
        raise
    except Exception as error:  # of the reader's own classes, and a damaged archive's
        raise InputError(
            f"{path} cannot be read as an Excel file ({error}): download it again"
        ) from error


def read_mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Return the variables of a MATLAB file that have one of these names, flattened.

    Raises
    ------
    InputError
        When it is no MATLAB file of version 7 or older, or has none of them.
    """
    import scipy.io

    refuse_others(path)
    try:
        found = scipy.io.loadmat(path, variable_names=names)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except Exception as error:  # of many classes, from what is no MATLAB file
        raise InputError(
            f"{path} cannot be read as a MATLAB file ({error}): download it again"
        ) from error
    arrays = {name: np.ravel(found[name]) for name in names if name in found}
    if not arrays:
        there = [name for name, _, _ in scipy.io.whosmat(path)]
        raise InputError(
            f"{path}: expected a variable {' or '.join(names)}, found {', '.join(there)}: is it "
            "the label file of another release?"
        )
    return arrays


def mat_texts(cells: np.ndarray) -> list[str]:
    """Return the strings of a MATLAB cell array."""
    return [str(np.ravel(cell)[0]).strip() if np.size(cell) else "" for cell in cells]


def read_lines(path: Path, n_parts: int, separator: str | None = None) -> list[list[str]]:
    """Return the lines of a text file, each split into so many parts; empty ones are passed by.

    Raises
    ------
    InputError
        When a line has another number of parts, with that line.
    """
    refuse_others(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text in UTF-8: {error}") from error
    # splitlines() takes \r\r as two ends, and the empty line between them is passed by
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    parts = [[part.strip() for part in line.split(separator)] for line in lines]
    for line, found in zip(lines, parts, strict=True):
        if len(found) != n_parts:
            raise InputError(
                f"{path}: expected {n_parts} values in a line, found {line[:80]!r}: is it the "
                "label file of another release?"
            )
    return parts


def text(cell: object) -> str:
    """Return a cell as text; a name that is a number has no decimals: 1600.0 is 1600."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def integers(values: Sequence | pd.Series, column: str, path: Path) -> pd.Series:
    """Return whole numbers, as of pictures.

    Raises
    ------
    InputError
        With the first that is none.
    """
    found = pd.to_numeric(pd.Series(values).reset_index(drop=True), errors="coerce")
    bad = ~(found % 1 == 0)
    if bad.any():
        first = int(bad.to_numpy().argmax())
        raise InputError(
            f"{path}: expected whole numbers in the column {column}, found {list(values)[first]!r} "
            f"in row {first + 1}"
        )
    return found.astype(int)


def refuse_others(path: Path) -> None:
    """Refuse what a failed download leaves under the name of a label file."""
    try:
        with open(path, "rb") as file:
            start = file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise InputError(f"{path} is empty: download it again")
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<table")):
        raise InputError(
            f"{path} is a web page and no label file: download the file itself, not the page that "
            "shows it"
        )
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a pointer of Git LFS and no label file: run git lfs pull")


def _with_columns(raw: pd.DataFrame, path: Path, columns: Sequence[str]) -> pd.DataFrame:
    raw.columns = [_header(column) for column in raw.columns]
    twice = raw.columns[raw.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path}: two columns are called {twice[0]!r}; leave one of them")
    lacking = [column for column in columns if column not in raw]
    if lacking:
        raise InputError(
            f"{path}: expected the columns {', '.join(columns)}, found "
            f"{', '.join(raw.columns) or 'nothing'}: is it the label file of another release?"
        )
    return raw


def _header(cell: object) -> str:
    """Return a column's name in lower case, with single spaces."""
    return " ".join(str("" if cell is None else cell).lower().split())
