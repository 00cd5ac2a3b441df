"""Finished runs as lines of a table, the best of each database marked, ties with it told."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from features.errors import InputError
from features.files import read_json
from pipeline.comparing import TIE, differences
from pipeline.report.checking import NEEDED, wrong_in
from pipeline.results import head_of, interval

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
    splits : a digest of its pictures, groups and folds
    rivals : (how many runs have its splits, how many others have other ones), of one database,
        target and protocol
    has_twin : whether another run differs from it in other settings alone
    """

    run: Path
    result: dict
    mark: str = UNKNOWN
    splits: str = ""
    rivals: tuple[int, int] = (1, 0)
    has_twin: bool = False

    @property
    def field(self) -> tuple[str, str, str]:
        """Database, target and protocol."""
        return self.result["db"], self.result["target"], self.result["protocol"]

    @property
    def group(self) -> tuple[str, str, str, str]:
        """What it competes within: its field, and its splits."""
        return *self.field, self.splits

    @property
    def name(self) -> str:
        """Database and target, and which splits where there are several."""
        return " ".join(self.field[:2]) + (f" ({self.splits})" if self.rivals[1] else "")

    @property
    def head(self) -> str:
        """The regressor, an unusual protocol, and the run's first digits where it has a twin."""
        digits = f" {self.run.name[:6]}" if self.has_twin else ""
        return head_of(self.result).rstrip("!") + digits

    @property
    def anchor(self) -> str:
        """Its place in the page; the settings' digest is different for every run."""
        return f"run-{self.run.name}"

    def interval(self, of: str) -> list[float] | None:
        """Return the 95 % interval of a median; None where there are too few groups for one."""
        return interval(self.result, of)


def find_lines(runs: Path) -> tuple[list[Line], list[str]]:
    """Return all finished runs of a folder, best first within each database, and what was left out.

    Raises
    ------
    InputError
        When there is none.
    """
    lines, left_out = [], []
    for path in sorted(runs.glob("*/*/*/*/*")):
        finished = (path / "result.json").is_file()
        if path.is_symlink() or not (finished or (path / "settings.json").is_file()):
            continue
        if not finished:
            left_out.append(f"{path}: not finished; the same fit goes on with it")
            continue
        try:
            lines.append(_read(path))
        except InputError as error:
            left_out.append(f"{path}: {error}")
    if not lines:
        more = f" ({len(left_out)} that are not finished or damaged)" if left_out else ""
        raise InputError(
            f"{runs} holds no finished run{more}: python -m pipeline.fit makes one; --runs names "
            "another folder"
        )
    return sorted(_with_rivals(lines), key=_place), left_out


def _read(run: Path) -> Line:
    path = run / "result.json"
    result = read_json(path, *NEEDED)
    if wrong := wrong_in(result):
        raise InputError(f"{path} was damaged or changed: {', '.join(wrong)}")
    if not isinstance(read_json(run / "settings.json"), dict):
        raise InputError(f"{run / 'settings.json'} was damaged or changed")
    return Line(run, result, splits=_digest(run / "splits.csv"))


def _digest(splits: Path) -> str:
    try:
        head, *rows = splits.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{splits} cannot be read: {error}") from error
    return hashlib.sha256("\n".join([head, *sorted(rows)]).encode()).hexdigest()[:6]


def _with_rivals(lines: Iterable[Line]) -> Iterator[Line]:
    fields = Counter(line.field for line in lines)
    groups = Counter(line.group for line in lines)
    shown = Counter((*line.group, line.result["features"], line.head) for line in lines)
    for line in lines:
        own, twins = groups[line.group], shown[*line.group, line.result["features"], line.head]
        yield replace(line, rivals=(own, fields[line.field] - own), has_twin=twins > 1)


def _place(line: Line) -> tuple:
    """Nested runs come first, then the splits of most runs, then the best."""
    db, target, protocol, splits = line.group
    protocol = "" if protocol == "nested" else protocol
    return db, target, protocol, -line.rivals[0], splits, -line.result["median"]["srcc"]


def marked(lines: Iterable[Line], on_done: Callable[[], object] = lambda: None) -> Iterator[Line]:
    """Yield the lines with their marks.

    The best is the honest run of the highest median SRCC among those of one database, target,
    protocol and splits; each other honest one of them is compared with it, picture by picture (see
    `pipeline.comparing`). Where a run has no embedding of pictures that are hard, that may show
    another one to be better on the pictures that both have: then that one is the best.
    """
    for _, group in groupby(lines, key=lambda line: line.group):
        runs = list(group)
        marks = _marks([line for line in runs if not line.result["optimistic"]])
        for line in runs:
            yield replace(line, mark=marks.get(line.run, UNKNOWN))
            on_done()


def _marks(runs: Sequence[Line]) -> dict[Path, str]:
    tried: set[Path] = set()
    better = list(runs)
    marks: dict[Path, str] = {}
    while better and better[0].run not in tried:
        best = better[0]
        tried.add(best.run)
        others = [line for line in runs if line is not best]
        found = differences(best.run, [line.run for line in others]) if others else []
        paired = list(zip(others, found, strict=True))
        marks = {best.run: BEST} | {line.run: _mark(interval) for line, interval in paired}
        better = [line for line, interval in paired if interval and interval[1] < -TIE]
    return marks


def _mark(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return UNKNOWN
    low, high = interval
    return TIED if low <= TIE and high >= -TIE else WORSE
