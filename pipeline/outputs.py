"""Scores as a file: CSV or Parquet, of the same rows in the same order."""

import csv
import importlib.util
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.cache.shards import OK
from features.errors import InputError, UsageError
from features.plan import Picture
from pipeline.scoring import Score

COLUMNS = ("picture", "score", "low", "high", "outside", "status")
_OUTSIDE = {True: "yes", False: "no", None: ""}
UNKNOWN = -1  # `outside`, where nothing tells


@dataclass(frozen=True)
class Table:
    """Many scores, as columns.

    Attributes
    ----------
    picture, status : (n,) texts
    numbers : (n, 3) score, low and high; NaN where there is none
    outside : (n,) int8: 1, 0, or UNKNOWN
    """

    picture: np.ndarray
    numbers: np.ndarray
    outside: np.ndarray
    status: np.ndarray

    def __len__(self) -> int:
        return len(self.picture)

    def take(self, rows: np.ndarray) -> "Table":
        """Return some of the rows."""
        return Table(*(column[rows] for column in vars(self).values()))

    @property
    def n_failed(self) -> int:
        """How many have no score."""
        return int((self.status != OK).sum())

    def values(self) -> Iterable[tuple]:
        """Yield each row as Python's own values, None for what is not there."""
        flags = (None if flag == UNKNOWN else bool(flag) for flag in self.outside)
        rows = zip(self.picture, self.numbers.tolist(), flags, self.status, strict=True)
        for picture, numbers, outside, status in rows:
            yield picture, *map(_number, numbers), outside, status


def values_of(score: Score) -> tuple:
    """Return the values of a score in the order of COLUMNS, None for what is not there."""
    numbers = map(_number, (score.score, score.low, score.high))
    return score.picture, *numbers, score.outside, score.status


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def csv_text(rows: Iterable[tuple], header: bool = True) -> str:
    """Return rows of values in the order of COLUMNS as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    for picture, *numbers, outside, status in rows:
        texts = ("" if value is None else f"{value:.4f}" for value in numbers)
        writer.writerow((picture, *texts, _OUTSIDE[outside], status))
    return buffer.getvalue()


def _csv(table: Table, about: Mapping[str, str]) -> bytes:
    # names of files that are no UTF-8 stand there as they are on the disk
    return csv_text(table.values()).encode(errors="surrogateescape")


def _parquet(table: Table, about: Mapping[str, str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    score, low, high = (pa.array(column, from_pandas=True) for column in table.numbers.T)
    columns = {
        "picture": pa.array(table.picture.tolist(), pa.string()),
        "score": score,
        "low": low,
        "high": high,
        "outside": pa.array(table.outside == 1, mask=table.outside == UNKNOWN),
        "status": pa.array(table.status.tolist(), pa.string()),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(dict(about)), buffer)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Table, Mapping[str, str]], bytes]] = {
    ".csv": _csv,
    ".parquet": _parquet,
}


def bytes_of(table: Table, output: Path, about: Mapping[str, str]) -> bytes:
    """Return the file that a table is under a name; `about` goes into it where it has a place."""
    return FORMATS[output.suffix.lower()](table, about)


def check_output(output: Path, given: Iterable[Path]) -> None:
    """Refuse an output that could not be written in the end, before any work.

    Parameters
    ----------
    given : what is to be read, and must not be overwritten

    Raises
    ------
    UsageError
    """
    suffix = output.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"-o {output}: expected a name that ends in {' or '.join(FORMATS)}")
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            f"-o {output} needs pyarrow, which is not installed: pip install "
            "'meanopinion[parquet]', or name a file that ends in .csv"
        )
    if any(path.exists() and output.resolve() == path.resolve() for path in given):
        raise UsageError(f"-o {output} would overwrite what is to be read: name another")
    if output.is_dir() or not output.parent.is_dir():
        raise UsageError(f"-o {output}: expected a file in a folder that is there")


def check_page(page: Path, given: Iterable[Path]) -> None:
    """Refuse a page that could not be written in the end; as `check_output`."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--html {page}: expected a name that ends in .html")
    if any(page.resolve() == path.resolve() for path in given):
        raise UsageError(f"--html {page} would overwrite another file of this command")
    if page.is_dir() or not page.parent.is_dir():
        raise UsageError(f"--html {page}: expected a file in a folder that is there")


def check_names(output: Path, pictures: Sequence[Picture]) -> None:
    """Refuse Parquet for names of files that are no UTF-8.

    Raises
    ------
    InputError
    """
    if output.suffix.lower() != ".parquet":
        return
    for picture in pictures:
        try:
            picture.name.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"-o {output}: Parquet takes UTF-8, which the name {picture.name!r} is not: name a "
                "file that ends in .csv"
            ) from None
