"""The page's other tables, to be copied: folds, types of distortion, and published numbers."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from features.errors import InputError
from pipeline.report.collect import BEST, Line
from pipeline.report.formats import FORMATS, escaped, latex_table, markdown_table
from pipeline.report.published import published_on
from pipeline.results import head_of, number

READ = "database and target"  # columns that no CSV has: there they are two,
READ_HEAD = "head to read"  # and the run says which of two heads it is
RUNS = "runs"  # the table of the runs themselves; see `pipeline.report.formats`


class Column(NamedTuple):
    """A column.

    Attributes
    ----------
    name : in a CSV; of the value
    title : in a table to read; empty for a column of the CSV only
    digits : of a number to read, behind the point; None for text
    """

    name: str
    title: str = ""
    digits: int | None = None

    def text(self, value: object) -> str:
        """Return a value to read."""
        if self.digits is not None and isinstance(value, int | float):
            return number(value, self.digits)
        if isinstance(value, dict):
            value = " ".join(f"{name}={_short(number)}" for name, number in value.items())
        return "-" if value in (None, "") else str(value)


class Table(NamedTuple):
    """A table: its columns, what makes its rows of the runs, and what stands below it."""

    columns: tuple[Column, ...]
    rows: Callable[[Sequence[Line]], Iterator[dict[str, object]]]
    legend: str


def _run(line: Line) -> dict[str, object]:
    result = line.result
    return {
        **{READ: line.name, "database": result["db"], "target": result["target"]},
        **{"features": result["features"], "splits": line.splits, "run": line.run},
        "head": head_of(result),
        READ_HEAD: line.head + ("!" if result["optimistic"] else ""),
    }


def _folds(lines: Sequence[Line]) -> Iterator[dict[str, object]]:
    for line in lines:
        for fold in line.result["folds"]:
            yield fold | _run(line) | {"hyper-parameters": fold.get("params")}


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _types(lines: Sequence[Line]) -> Iterator[dict[str, object]]:
    for line in lines:
        for kind, facts in (line.result.get("by_distortion") or {}).items():
            yield facts | _run(line) | {"distortion": kind}


def _as_published(value: float | None) -> str:
    """Return a paper's number with no more digits than it has, and with three at least."""
    return "" if value is None else f"{value:.3f}" if round(value, 3) == value else str(value)


def _published(lines: Sequence[Line]) -> Iterator[dict[str, object]]:
    """The best runs of each database and target, then what is published on them."""
    for db, target in dict.fromkeys(line.field[:2] for line in lines):
        for line in lines:
            if line.mark == BEST and line.field[:2] == (db, target):
                result, median = line.result, line.result["median"]
                how = result.get("protocol_says") or result["protocol"]
                yield _run(line) | {
                    "method": f"ours: {result['features']}, {line.head}",
                    "protocol": f"{how}; PLCC after the 4-parameter logistic",
                    **{"srcc": median["srcc"], "plcc": median.get("plcc_logistic")},
                }
        for one in published_on(db, target):
            own = {"srcc": _as_published(one.srcc), "plcc": _as_published(one.plcc)}
            of = {READ: f"{db} {target}", "database": db, "target": target}
            yield one._asdict() | own | of


_RUN = (
    *(Column(READ, "database"), Column("database"), Column("target")),
    *(Column("features", "features"), Column("head"), Column(READ_HEAD, "head")),
    *(Column("splits"), Column("run")),
)
_SRCC = Column("srcc", "SRCC", 4)
TABLES: dict[str, Table] = {
    "folds": Table(
        (
            *(*_RUN, Column("fold", "fold"), Column("n_train"), Column("n_test", "test", 0), _SRCC),
            *(Column("krcc"), Column("plcc"), Column("plcc_logistic", "PLCC*", 4), Column("rmse")),
            *(Column("rmse_logistic", "RMSE*", 3), Column("coverage90", "within", 3)),
            Column("hyper-parameters", "hyper-parameters"),
        ),
        _folds,
        "Every fold's test part. * after the 4-parameter logistic; within: share of test pictures "
        "whose score lay within their nine-in-ten interval; !: optimistic.",
    ),
    "distortions": Table(
        (
            *(*_RUN, Column("distortion", "distortion"), Column("n_pictures", "pictures", 0)),
            *(Column("n_folds"), _SRCC),
        ),
        _types,
        "Median SRCC over folds within each type of distortion; -: no fold has one; !: optimistic.",
    ),
    "published": Table(
        (
            *(Column(READ, "database"), Column("database"), Column("target"), Column("splits")),
            *(Column("run"), Column("method", "method"), _SRCC, Column("plcc", "PLCC", 4)),
            *(Column("protocol", "how it was measured"), Column("source", "source")),
        ),
        _published,
        "Ours: the best of each database, target, protocol and splits. Numbers of other protocols "
        "are to be looked at, not ranked with ours.",
    ),
}


def table_text(name: str, suffix: str, lines: Sequence[Line]) -> str:
    """Return a table of runs as text.

    Parameters
    ----------
    name : RUNS, or of TABLES
    suffix : of FORMATS

    Raises
    ------
    InputError
        When no run has anything for it.
    """
    if name == RUNS:
        return FORMATS[suffix](lines)
    table = TABLES[name]
    rows = list(table.rows(lines))
    if not rows:
        raise InputError(f"--table {name}: none of these runs has any")
    return _AS[suffix](table, rows)


def _csv(table: Table, rows: Sequence[dict]) -> str:
    buffer = io.StringIO()
    names = [column.name for column in table.columns if column.name not in (READ, READ_HEAD)]
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(row.get(name)) for name in names} for row in rows)
    return buffer.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return " ".join(f"{name}={number}" for name, number in value.items())
    return value


def _read(table: Table, rows: Sequence[dict]) -> tuple[list[Column], list[list[str]]]:
    columns = [column for column in table.columns if column.title]
    return columns, [[column.text(row.get(column.name)) for column in columns] for row in rows]


def _markdown(table: Table, rows: Sequence[dict]) -> str:
    columns, cells = _read(table, rows)
    return markdown_table([column.title for column in columns], cells, table.legend)


def _latex(table: Table, rows: Sequence[dict]) -> str:
    columns, cells = _read(table, rows)
    align = "".join("l" if column.digits is None else "r" for column in columns)
    head = [column.title[:1].upper() + column.title[1:] for column in columns]
    return latex_table(
        head, align, [[escaped(cell) for cell in row] for row in cells], table.legend
    )


_AS = {".csv": _csv, ".md": _markdown, ".tex": _latex}
