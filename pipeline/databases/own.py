"""A user's own data: a folder of pictures, or a CSV with the columns image and mos (or dmos)."""

import hashlib
import os
import posixpath
import re
import warnings
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.table import (
    COLUMNS,
    PICTURE_SUFFIXES,
    Database,
    Target,
    natural,
    numbers,
    under,
)

_TARGET = re.compile(r"d?mos(_(?!std)\w+)?")


def read_folder(folder: Path, name: str = "") -> Database:
    """Return every picture under a folder, without scores."""
    names = picture_names(folder)
    table = pd.DataFrame({"name": names, "group": names})
    return Database(name or own_name(folder), folder, table, {})


def read_csv(path: Path, root: Path | None = None, name: str = "") -> Database:
    """Return the pictures and scores of a CSV.

    Parameters
    ----------
    path : a CSV in UTF-8 with the column image (paths under `root`), and optionally mos or dmos
        (or mos_NAME for further targets), mos_std, group, distortion, level, prompt, split
    root : the folder that the paths start from; the CSV's own folder when not given
    """
    root = root or path.parent
    raw = read_table(path)
    names = image_names(raw, path, root)
    table = pd.DataFrame({"name": names})
    targets = {}
    for column in raw.columns:
        if _TARGET.fullmatch(column):
            table[column] = numbers(raw[column], names, column, path)
            targets[column] = Target(higher_is_better=not column.startswith("dmos"))
        elif column in COLUMNS:
            table[column] = raw[column]
    group_by = "column group" if "group" in raw else "picture"
    if "group" not in table and (table.get("prompt", pd.Series(dtype=str)) != "").any():
        # pictures that were made from one text belong together
        table["group"] = table["prompt"].where(table["prompt"] != "", names)
        group_by = "column prompt"
    elif "group" not in table:
        table["group"] = names
    if table["group"].isna().any() or (table["group"] == "").any():
        raise InputError(f"{path}: the column group is empty in some rows; fill it or remove it")
    there = table["name"].map(lambda n: under(root, n).is_file()).to_numpy(bool)
    unlabelled = set(picture_names(root)) - set(names) if root.is_dir() else set()
    return Database(
        name or own_name(path),
        root,
        table[there].reset_index(drop=True),
        targets,
        group_by,
        tuple(table["name"][~there]),
        tuple(sorted(unlabelled)),
        labels=path,
    )


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV as text, column names in lower case."""
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
    raw.columns = [str(column).strip().lower() for column in raw.columns]
    twice = raw.columns[raw.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path}: two columns are called {twice[0]!r}; leave one of them")
    return raw


def image_names(raw: pd.DataFrame, path: Path, root: Path) -> pd.Series:
    """Return the column image of a table, as names under `root`.

    Raises
    ------
    InputError
        When there is no such column, or a path in it leads out of the folder.
    """
    if "image" not in raw:
        raise InputError(
            f"{path}: expected a column image (and mos or dmos for scores), found "
            f"{', '.join(map(str, raw.columns)) or 'no columns'}"
        )
    return raw["image"].map(lambda image: _relative(str(image), root))


def picture_names(folder: Path) -> list[str]:
    """Return the pictures under a folder, as paths with /, 2 before 10; hidden ones are passed by.

    Raises
    ------
    InputError
        When there is no such folder, or a folder in it cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    names = []
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in PICTURE_SUFFIXES and not name.startswith("."):
                names.append(Path(place, name).relative_to(folder).as_posix())
    return sorted(names, key=natural)


def _unreadable(error: OSError) -> None:
    raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}") from error


def _relative(image: str, root: Path) -> str:
    path = Path(image)
    if path.is_absolute() and path.is_relative_to(root):
        path = path.relative_to(root)
    under(root, str(path))
    # one file has one name: a/../b.png is b.png, or a duplicate would stand on both sides of a fold
    return posixpath.normpath(path.as_posix())


def own_name(path: Path) -> str:
    """Name a user's database after its file, with digits of its path: two data.csv stay apart."""
    stem = re.sub(r"[^\w.-]", "-", path.stem if path.is_file() else path.name) or "pictures"
    return f"{stem}-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:6]}"
