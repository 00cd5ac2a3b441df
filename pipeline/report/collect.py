"""Finished runs as lines of a table, the best of each database marked, ties with it told."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from features.errors import InputError
from features.files import read_json
from pipeline.comparing import TIE, compare
from pipeline.results import FEW_GROUPS, head_of
from regressors.errors import DataError

_NEEDED = (
    *("db", "features", "regressor", "target", "median", "srcc_interval", "folds", "protocol"),
    *("n_pictures", "n_groups", "optimistic", "versions"),
)
# What a line is beside the best one of its database.
BEST, TIED, WORSE, UNKNOWN = "best", "tied with the best", "", "not compared"


@dataclass(frozen=True)
class Line:
    """One run.

    Attributes
    ----------
    run : its folder
    result : result.json
    mark : BEST, TIED (the paired 95 % interval of the difference holds 0), WORSE, or UNKNOWN
    """

    run: Path
    result: dict
    mark: str = UNKNOWN

    @property
    def group(self) -> tuple[str, str, str]:
        """What it competes within: the database, its target, the protocol."""
        return self.result["db"], self.result["target"], self.result["protocol"]

    @property
    def head(self) -> str:
        """The regressor, and the protocol where it is not the usual one."""
        return head_of(self.result).rstrip("!")

    @property
    def anchor(self) -> str:
        """Its place in the page; the settings' digest is different for every run."""
        return f"run-{self.run.name}"

    def interval(self, of: str) -> list[float] | None:
        """Return the 95 % interval of a median; None where there are too few groups for one."""
        found = self.result.get(f"{of}_interval")
        return found if found and self.result["n_groups"] >= FEW_GROUPS else None


def find_lines(runs: Path) -> tuple[list[Line], list[str]]:
    """Return all finished runs of a folder, best first within each database, and what was left out.

    Raises
    ------
    InputError
        When there is none.
    """
    lines, left_out = [], []
    for path in sorted(runs.glob("*/*/*/*/*")):
        if path.is_symlink() or not (path / "settings.json").is_file():
            continue
        if not (path / "result.json").is_file():
            left_out.append(f"{path}: not finished; the same fit goes on with it")
            continue
        try:
            result = read_json(path / "result.json", *_NEEDED)
            if not isinstance(result["median"]["srcc"], float | int):
                raise InputError(f"{path / 'result.json'} has no SRCC")
            read_json(path / "settings.json")
            lines.append(Line(path, result))
        except (InputError, KeyError, TypeError) as error:
            left_out.append(f"{path}: {error}")
    if not lines:
        more = f" ({len(left_out)} that are not finished or damaged)" if left_out else ""
        raise InputError(
            f"{runs} holds no finished run{more}: python -m pipeline.fit makes one; --runs names "
            "another folder"
        )
    nested = {"nested": ""}  # first
    order = [
        (*line.group[:2], nested.get(line.group[2], line.group[2]), -line.result["median"]["srcc"])
        for line in lines
    ]
    return [lines[k] for k in sorted(range(len(lines)), key=order.__getitem__)], left_out


def marked(lines: Iterable[Line], on_done: Callable[[], object] = lambda: None) -> Iterator[Line]:
    """Yield the lines with their marks.

    The best of a database is the honest run of the highest median SRCC; each other honest one of
    the same splits is compared with it, picture by picture (see `pipeline.comparing`).
    """
    for _, group in groupby(lines, key=lambda line: line.group):
        best: Line | None = None
        for line in group:
            if line.result["optimistic"]:
                yield line
            elif best is None:
                best = line
                yield replace(line, mark=BEST)
            else:
                yield replace(line, mark=_beside(best, line))
            on_done()


def _beside(best: Line, line: Line) -> str:
    try:
        found = compare(best.run, line.run)["interval"]
    except (InputError, DataError):  # other splits or labels: nothing can be said
        return UNKNOWN
    if found is None:
        return UNKNOWN
    low, high = found
    return TIED if low <= TIE and high >= -TIE else WORSE
