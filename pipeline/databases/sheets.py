"""Label files as people publish them: CSV, text lists, Excel old and new, MATLAB.

Everything is read as data: no macro, no pickle, no formula. A download that went wrong (a web page
under the name of a spreadsheet) is said to be one.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError
from pipeline.databases.downloads import one_line, refuse_others
from pipeline.databases.excel import header, lacking, no_rows, read_cells, read_sheet, some

__all__ = [
    "integers",
    "mat_texts",
    "name_parts",
    "read_cells",
    "read_lines",
    "read_mat",
    "read_sheet",
    "read_table",
    "refuse_others",
    "text",
]


def read_table(path: Path, *columns: str) -> pd.DataFrame:
    """Read a CSV as text, column names in lower case.

    Parameters
    ----------
    columns : names, in lower case, that must be there, and then with a row below them

    Raises
    ------
    InputError
        When the file is not there, is no CSV in UTF-8, or lacks a column.
    """
    _refuse_binary(path, "a CSV")
    try:
        # the names are a row like any other, so that a longer row is an error and loses no end
        raw = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", header=None)
    except pd.errors.ParserError as error:
        if "Expected" not in str(error):
            raise _no_text(path, "a CSV", one_line(error)) from error
        raise InputError(
            f"{path}: a row has more values than there are columns "
            f"({one_line(error).rpartition('error: ')[2]}); put values with a comma in quotation "
            "marks, and write decimals with a point"
        ) from error
    except (OSError, UnicodeDecodeError, pd.errors.EmptyDataError) as error:
        raise _no_text(path, "a CSV", one_line(error)) from error
    raw = _with_columns(raw, path, columns)
    if columns:
        # spreadsheets leave rows of mere commas
        blank = raw.index[raw[columns[0]] == ""]
        padding = blank[(raw.loc[blank] == "").all(axis=1)]
        raw = raw.drop(index=padding).reset_index(drop=True)
        if raw.empty:
            raise no_rows(path)
    return raw


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
    except NotImplementedError as error:
        raise InputError(
            f"{path} is a MATLAB file of version 7.3, expected 7 or older: save it with -v7, or "
            "download the published one"
        ) from error
    except Exception as error:  # of many classes, from what is no MATLAB file
        raise InputError(
            f"{path} cannot be read as a MATLAB file ({one_line(error)}): download it again"
        ) from error
    arrays = {name: np.ravel(found[name]) for name in names if name in found}
    if not arrays:
        there = [name.strip("\0") for name, _, _ in scipy.io.whosmat(path)]
        raise InputError(
            f"{path}: expected a variable {' or '.join(names)}, found {some(there)}: is it the "
            "label file of another release?"
        )
    return arrays


def mat_texts(cells: np.ndarray) -> list[str]:
    """Return the strings of a MATLAB cell array."""
    return [_mat_text(cell) for cell in np.ravel(cells)]


def _mat_text(cell: object) -> str:
    while isinstance(cell, np.ndarray):  # each cell is an array, and may hold another cell
        cell = cell.flat[0] if cell.size else ""
    return text(cell)


def read_lines(path: Path, n_parts: int, separator: str | None = None) -> list[list[str]]:
    """Return the lines of a text file, each split into so many parts; empty ones are passed by.

    Raises
    ------
    InputError
        When a line has another number of parts, with that line.
    """
    _refuse_binary(path, "text")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _no_text(path, "text", one_line(error)) from error
    # some files end their lines with \r\r, or have blank lines in between
    lines = [line.strip() for line in re.split(r"[\r\n]+", content) if line.strip()]
    if not lines:
        raise no_rows(path)
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
    if cell is None:
        return ""
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
    bad = ~(found % 1 == 0) | (found.abs() > 2**53)  # beyond, decimals have lost their last digits
    if bad.any():
        first = int(bad.to_numpy().argmax())
        raise InputError(
            f"{path}: expected whole numbers in the column {column}, found {list(values)[first]!r} "
            f"in row {first + 1}"
        )
    return found.astype(int)


def name_parts(names: pd.Series, pattern: str, example: str, path: Path) -> pd.DataFrame:
    """Return what the named groups of a pattern find in names, whatever their case.

    Parameters
    ----------
    pattern : regular expression that a whole name follows
    example : a name that follows it, for the error

    Raises
    ------
    InputError
        With the first name that does not follow it.
    """
    parts = names.str.extract(rf"^(?:{pattern})\Z", flags=re.IGNORECASE)
    bad = parts.isna().any(axis=1)
    if bad.any():
        raise InputError(
            f"{path}: expected names such as {example}, found {names[bad].iloc[0]!r}: is it the "
            "label file of another release?"
        )
    return parts


def _refuse_binary(path: Path, what: str) -> None:
    """Refuse also what is no text in UTF-8 by its first line; a zero is in none."""
    refuse_others(path)
    with open(path, "rb") as file:
        if b"\0" in file.readline(4096):
            raise _no_text(path, what, "it is in UTF-16 or no text")


def _no_text(path: Path, what: str, why: str) -> InputError:
    return InputError(
        f"{path} cannot be read as {what} in UTF-8: {why}; save it as {what} in UTF-8, or download "
        "it again"
    )


def _with_columns(raw: pd.DataFrame, path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Take the first row for the names of the columns; leave out columns without one."""
    names = pd.Series([header(cell) for cell in raw.iloc[0]])
    twice = names[names.duplicated() & (names != "")]
    if len(twice):
        raise InputError(f"{path}: two columns are called {twice.iloc[0]!r}; leave one of them")
    if not set(columns) <= set(names):
        raise lacking(path, columns, names.tolist())
    keep = (names != "").to_numpy()
    raw = raw.iloc[1:, keep]
    raw.columns = names[keep].tolist()
    return raw.reset_index(drop=True)
