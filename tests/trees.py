"""Small trees of files in the published layout of each database.

Each builder writes label files of the documented names, shapes and quirks, and tiny pictures for
some of their rows, spread over ten groups or more, so that heads can be fitted. The scores follow
the pictures' noise: `level` 0 is the best picture and 9 the worst.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from conftest import picture
from PIL import Image

LEVELS = 10


def tiny(path: Path, level: int, seed: int = 0) -> None:
    """Write a 64x48 picture with noise of a level 0..9, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    Image.fromarray(picture(10 * seed + level)).save(path, **options)


def quality(level: int, low: float = 0, high: float = 1) -> float:
    """The score of a level: `high` for 0, falling to `low` for 9."""
    return high - (high - low) * level / (LEVELS - 1)


def write_xlsx(path: Path, sheets: dict[str, Iterable[Sequence]]) -> None:
    """Write an Excel file; None is an empty cell."""
    import openpyxl

    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)


def write_xls(path: Path, sheets: dict[str, Iterable[Sequence]]) -> None:
    """Write a legacy Excel file (BIFF); None is an empty cell."""
    import xlwt

    path.parent.mkdir(parents=True, exist_ok=True)
    book = xlwt.Workbook()
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                if cell is not None:
                    sheet.write(y, x, cell)
    book.save(str(path))


def write_mat(path: Path, **variables) -> None:
    """Write a MATLAB file; a list of str becomes a cell array (1, n), as MATLAB makes it."""
    import scipy.io

    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {name: _variable(value) for name, value in variables.items()})


def _variable(value: object) -> np.ndarray:
    if isinstance(value, list) and value and isinstance(value[0], str):
        cells = np.empty((1, len(value)), object)
        cells[0, :] = value
        return cells
    return np.atleast_2d(np.asarray(value, float))


def write_text(path: Path, lines: Iterable[str], end: str = "\n") -> None:
    """Write lines of UTF-8 text with the given line end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode())
