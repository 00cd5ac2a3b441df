"""The one table that every reader returns."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.errors import InputError
from features.sources import Remote, Source

PICTURE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "tif"),
        *("tiff", "webp", "ppm", "pgm", "pnm", "jp2", "avif"),
    )
)
# Beside one column for each target; a database fills in those that it has. A target's standard
# deviation is TARGET_std.
COLUMNS = ("group", "distortion", "level", "prompt", "split")
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Target:
    """One kind of score: the range that it lies within, and whether higher is better."""

    low: float | None = None
    high: float | None = None
    higher_is_better: bool = True


@dataclass(frozen=True)
class Database:
    """A database as it lies on this disk.

    Attributes
    ----------
    name : the folder in the cache
    root : the folder that holds the pictures, or their tars
    table : one row a picture: `name`, the same on every disk; `image`, its path under root with /;
        `row`, its number in the label file; the targets; those of `COLUMNS` that exist, `group`
        always
    targets : column name -> what it means
    group_by : what a group is, in words
    missing : pictures that the labels name and the disk does not have
    unlabelled : pictures on the disk that no label names
    labels : the label files, the main one first
    note : what must be said wherever numbers of this database are shown
    problems : a line for each thing that is wrong with labels or files, and can be lived with
    remarks : a line for each thing that is as published, and worth knowing
    sources : where each row's picture is, where that is no file under root
    """

    name: str
    root: Path | Remote
    table: pd.DataFrame
    targets: Mapping[str, Target]
    group_by: str = "picture"
    missing: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    labels: tuple[Path, ...] = ()
    note: str = ""
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    sources: Sequence[Source] | None = None

    def __post_init__(self) -> None:
        if len(self.table) == 0:
            missing = f"; {len(self.missing)} labelled pictures are missing" if self.missing else ""
            raise InputError(f"{self.name}: no picture found under {self.root}{missing}")
        names = self.table["name"]
        for name in names:
            if "\0" in name or not _is_text(name):
                raise InputError(
                    f"{self.name}: the picture name {name!r} is not plain UTF-8 text: rename it"
                )
        twice = sorted(set(names[names.duplicated()]))
        if twice:
            raise InputError(
                f"{self.name}: {len(twice)} names stand there twice, the first is {twice[0]!r}; "
                "a name is how rows are joined, so leave one row for each"
            )

    def paths(self) -> list[Source]:
        """Return the file of each row's picture, or where else its bytes are."""
        if self.sources is not None:
            return list(self.sources)
        column = "image" if "image" in self.table else "name"
        return [self.root / image for image in self.table[column]]


def _is_text(name: str) -> bool:
    return name.isascii() or name.encode(errors="replace").decode() == name


def numbers(values: pd.Series, names: pd.Series, column: str, where: Path) -> pd.Series:
    """Return scores as floats.

    Raises
    ------
    InputError
        With the first picture whose score is no number, or not a finite one.
    """
    parsed = pd.to_numeric(values, errors="coerce").astype(float)
    bad = ~parsed.map(math.isfinite)
    if bad.any():
        first = bad.to_numpy().argmax()
        raise InputError(
            f"{where}: {int(bad.sum())} values of {column} are not numbers, the first is "
            f"{values.iloc[first]!r} for {names.iloc[first]!r}; correct or remove these rows"
        )
    return parsed


def under(root: Path, name: str) -> Path:
    """Return root/name, and never a file outside of root.

    Raises
    ------
    InputError
        When the name leads out of the folder, by .. or by a symbolic link.
    """
    path = root / name
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a zero in the name
        raise InputError(f"{name!r} is no path that can be followed: {error}") from error
    if not inside:
        raise InputError(f"{name!r} leads out of {root}: name its folder with --root")
    return path


def natural(name: str) -> tuple:
    """Sort key under which picture 2 comes before picture 10."""
    parts: list = _DIGITS.split(name)
    parts[1::2] = map(int, parts[1::2])
    return tuple(parts)
