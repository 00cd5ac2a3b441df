"""Splits that are given: `fit --splits FILE`.

Either by name, as a run's splits.csv: `name` and a column for each split with train, val, test,
train+test, or nothing. Or by number, as some repositories publish them: NumPy arrays `train`,
`test` and perhaps `val`, in one .npz or as .npy files in a folder; one row a split, padded with -1.
A number is the row of a picture in the database's label file, counted from 0 after the reader has
left out what it leaves out. The padding is dropped: read as an index, -1 is the last picture, which
would then be in every part.
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError
from pipeline.databases.sheets import read_table
from pipeline.splits import SIDES, Fold, draw_folds, fold_of_parts
from pipeline.tables import CachedTable
from regressors.errors import DataError

_PARTS = ("train", "val", "test")
# Splits name the files of their studies; these are names of other studies.
_NAME = re.compile(r"\w[\w-]{0,63}")
_TAKEN = ("final", "together")
_FEW = 0.9  # of all rows; a list that names fewer may be another database's


@dataclass(frozen=True)
class Given:
    """Splits as they were read.

    Attributes
    ----------
    folds : the splits, and `final` last
    warnings : lines on what a reader of the numbers should know
    """

    folds: list[Fold]
    warnings: tuple[str, ...]


def read_splits(path: Path, database: CachedTable) -> Given:
    """Read splits and put them into the names of a database.

    Raises
    ------
    InputError
        When the file is none of the known kinds, names no picture of the database, or has a split
        without a training or a test part.
    """
    reader = _by_number if path.is_dir() or path.suffix == ".npz" else _by_name
    splits, warnings = reader(path, database)
    table = database.table
    known, folds = set(table["name"]), []
    for seed, (name, parts) in enumerate(splits.items()):
        there = {part: frozenset(parts.get(part, ())) & known for part in _PARTS}
        absent = sum(len(set(parts.get(part, ())) - known) for part in _PARTS)
        if absent:
            warnings.append(f"{path.name}: {name}: {absent} pictures are not on this disk")
        for part in ("train", "test"):
            if not there[part]:
                raise InputError(f"{path}: {name} has no picture of {database.name} in its {part}")
        for one, other in (("train", "test"), ("val", "test"), ("train", "val")):
            both = there[one] & there[other]
            if both:
                warnings.append(
                    f"{path.name}: {name}: {len(both)} pictures are in {one} and in {other}, the "
                    f"first is {min(both)}"
                )
        try:
            folds.append(fold_of_parts(name, seed, table, *(there[part] for part in _PARTS)))
        except DataError as error:
            raise InputError(f"{path}: {name}: its training part is too small: {error}") from error
    return Given([*folds, draw_folds(table, 0)[-1]], tuple(warnings))


def _by_name(path: Path, database: CachedTable) -> tuple[dict, list[str]]:
    raw = read_table(path, "name")
    columns = [column for column in raw.columns if column not in ("name", "group")]
    if not columns:
        raise InputError(f"{path}: expected a column for each split beside name, found none")
    names = raw["name"].map(_lookup(database.table))
    lost = raw["name"][names.isna()]
    warnings = []
    if len(lost) == len(raw):
        raise InputError(f"{path}: none of its {len(raw)} names is a picture of {database.name}")
    if len(lost):
        warnings.append(
            f"{path.name}: {len(lost)} names are no pictures of {database.name} on this disk, the "
            f"first is {lost.iloc[0]}"
        )
    splits = {}
    for column in columns:
        if not _NAME.fullmatch(column) or column in _TAKEN:
            raise InputError(
                f"{path}: the column {column[:80]!r} cannot name a split: expected letters, "
                f"digits, - and _, at most 64, and none of {', '.join(_TAKEN)}"
            )
        cells = raw[column].str.strip().str.lower()
        sides = cells.str.split("+")
        odd = [
            not (cell == "" or set(parts) <= set(SIDES))
            for cell, parts in zip(cells, sides, strict=True)
        ]
        if any(odd):
            raise InputError(
                f"{path}: expected train, val, test or nothing in the column {column}, found "
                f"{raw[column][odd].iloc[0]!r}"
            )
        splits[column] = {
            part: set(names[[part in map(SIDES.get, parts) for parts in sides]].dropna())
            for part in _PARTS
        }
    return splits, warnings


def _lookup(table: pd.DataFrame) -> dict[str, str]:
    """Return what may be written for a picture: its name, its path, or a last name of its own."""
    last = table["name"].str.rpartition("/")[2]
    alone = ~last.duplicated(keep=False)
    return {
        **dict(zip(last[alone], table["name"][alone], strict=True)),
        **dict(zip(table["image"], table["name"], strict=True)),
        **dict(zip(table["name"], table["name"], strict=True)),
    }


def _by_number(path: Path, database: CachedTable) -> tuple[dict, list[str]]:
    arrays = _arrays(path)
    if "row" not in database.table:
        raise InputError(
            f"the table of {database.name} is of an older version, without row numbers: extract "
            "again (nothing is embedded anew)"
        )
    lengths = {part: len(array) for part, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{path}: the parts have different numbers of splits: {lengths}")
    n_rows = len(database.table) + len(database.missing)
    names = dict(zip(database.table["row"], database.table["name"], strict=True))
    splits: dict[str, dict] = {}
    if not any(map(len, arrays.values())):
        raise InputError(f"{path}: holds no split: expected one line for each")
    named: set[int] = set()
    for part, array in arrays.items():
        for number, rows in enumerate(array):
            rows = rows[rows != -1]
            if len(rows) and (rows.min() < 0 or rows.max() >= n_rows):
                odd = rows.min() if rows.min() < 0 else rows.max()
                raise InputError(
                    f"{path}: {part} names row {odd}, and {database.name} has rows 0 to "
                    f"{n_rows - 1}: is it the split of this database?"
                )
            named.update(rows.tolist())
            # a picture that is not on this disk keeps a name, so that it is counted
            found = {names.get(row, f"row {row}") for row in rows.tolist()}
            splits.setdefault(f"split-{number}", {})[part] = found
    if len(named) < _FEW * n_rows:
        return splits, [
            f"{path.name}: it names {len(named)} of {n_rows} rows: is it the split of "
            f"{database.name}?"
        ]
    return splits, []


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return part -> (n_splits, n) whole numbers."""
    try:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".npy")
            found = {file.stem: np.load(file, allow_pickle=False) for file in files}
        else:
            with np.load(path, allow_pickle=False) as archive:
                found = {part: archive[part] for part in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as NumPy arrays of numbers: {error}") from error
    known = {name: SIDES[name.lower()] for name in found if name.lower() in SIDES}
    if len(set(known.values())) < len(known):
        raise InputError(f"{path}: two arrays are one part of the splits: {', '.join(known)}")
    arrays = {part: found[name] for name, part in known.items()}
    if not {"train", "test"} <= set(arrays):
        raise InputError(
            f"{path}: expected arrays train and test (and perhaps val), found "
            f"{', '.join(found) or 'none'}"
        )
    for part, array in arrays.items():
        if array.ndim not in (1, 2) or array.dtype.kind not in "iuf" or (array % 1 != 0).any():
            raise InputError(
                f"{path}: expected {part} to hold row numbers, one line a split, found shape "
                f"{array.shape} of {array.dtype}"
            )
    return {part: np.atleast_2d(array).astype(np.int64) for part, array in arrays.items()}
