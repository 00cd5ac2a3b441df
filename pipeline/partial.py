"""The folder OUTPUT.partial/, in which scores are kept until the output can be written.

`settings.json` says what decides them; each `part-*.csv` holds whole blocks, written once. Of two
rows of one picture the later one counts. A run that was cut off goes on from there, whole block by
whole block, so that its batches and its numbers are those of a run that was not.
"""

import contextlib
import csv
import glob
import io
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from features.cache.shards import OK
from features.errors import InputError
from features.files import locked, read_json, write_atomic, write_json
from features.plan import Block, Picture, blocks
from features.resume import facts_of
from pipeline import cli
from pipeline.outputs import COLUMNS, UNKNOWN, Table, bytes_of
from pipeline.scoring import Score

PART_ROWS, PART_SECONDS = 1024, 60.0
_COLUMNS = (*COLUMNS, "size", "mtime_ns", "prompt")
_FLAGS = {True: 1, False: 0, None: UNKNOWN}


@contextlib.contextmanager
def partial(output: Path, settings: Mapping[str, object]) -> Iterator["Partial"]:
    """Hold the folder of an output; another process that wants the same output waits.

    Parameters
    ----------
    settings : all that decides a score, fit for JSON

    Raises
    ------
    InputError
        When there are scores that were made with other settings, or when another process wrote the
        output while this one waited.
    """
    folder = output.with_name(f"{output.name}.partial")
    before = _state(output)
    with locked(folder):
        part = Partial(folder, output)
        if _state(output) != before:
            part.remove()
            raise InputError(
                f"another process wrote {output} while this one waited: it may be what is wanted; "
                "give the same command again to score anew"
            )
        part.begin(settings)
        try:
            yield part
        except BaseException:
            part.flush()
            if part.is_empty:
                part.remove()
            else:
                cli.say(f"what is scored is in {folder}: the same command goes on from there")
            raise


class Partial:
    """The folder, while it is held."""

    def __init__(self, folder: Path, output: Path) -> None:
        self.folder, self.output = folder, output
        self._rows: list[Score] = []
        self._since = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to go on from."""
        return not self._parts()

    def begin(self, settings: Mapping[str, object]) -> None:
        """Clear what a killed run left half written, and check that the scores would be alike."""
        beside = self.output.parent.glob(f".{glob.escape(self.output.name)}.*.tmp")
        for path in (*self.folder.glob(".*.tmp"), *beside):
            path.unlink(missing_ok=True)
        path = self.folder / "settings.json"
        if not self.is_empty:
            there = read_json(path)
            if there != settings:
                raise InputError(
                    f"{self.folder} holds scores that were made otherwise ("
                    f"{'; '.join(_differences(there, settings))}): go on as they were made, remove "
                    "the folder, or name another output"
                )
            return
        write_json(path, settings)

    def lacking(self, pictures: Sequence[Picture], prompted: bool) -> tuple[list[Block], int]:
        """Return the blocks that are to be scored, and how many pictures need not be.

        A picture needs it that has no score, failed, or has another size, time or prompt by now;
        with it, the others of its block.
        """
        kept = self._kept()
        there = [picture for picture in pictures if picture.name in kept.place]
        rows = np.fromiter((kept.place[picture.name] for picture in there), np.int64, len(there))
        facts = facts_of(there)
        now = np.stack([facts.size, facts.mtime_ns], axis=1)
        gone = (now == 0).all(axis=1)
        good = kept.table.status[rows] == OK
        good &= gone | (now == kept.file[rows]).all(axis=1)
        if prompted:
            good &= np.array([p.prompt for p in there], object) == kept.prompt[rows]
        done, lost = (
            {picture.name for picture, one in zip(there, which, strict=True) if one}
            for which in (good, good & gone)
        )
        plan = [some for some in blocks(pictures) if not all(one.name in done for one in some)]
        # a file that is gone does not take the place of its score
        return [Block(tuple(p for p in some if p.name not in lost)) for some in plan], len(done)

    def add(self, scores: Sequence[Score]) -> None:
        """Keep the scores of one block."""
        self._rows.extend(scores)
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._since >= PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is in hand."""
        if self._rows:
            parts = self._parts()
            number = int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 0
            write_atomic(self.folder / f"part-{number:06d}.csv", _encoded(self._rows))
        self._rows, self._since = [], time.monotonic()

    def finish(self, pictures: Sequence[Picture], about: Mapping[str, str]) -> Table:
        """Write the output, remove the folder, and return what was written, in order of name."""
        self.flush()
        kept = self._kept()
        rows = [kept.place[name] for name in sorted(picture.name for picture in pictures)]
        table = kept.table.take(np.array(rows, np.int64))
        write_atomic(self.output, bytes_of(table, self.output, about))
        self.remove()
        return table

    def remove(self) -> None:
        """Remove the folder; cut off in the middle, what is left can still be gone on from."""
        for part in self._parts():
            part.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.csv"))

    def _kept(self) -> "_Kept":
        parts = [_read(path) for path in self._parts()] or [_columns([])]
        return _Kept(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class _Kept:
    """The rows of all parts; `place` is where the row of a picture is that counts."""

    def __init__(
        self,
        picture: np.ndarray,
        numbers: np.ndarray,
        outside: np.ndarray,
        status: np.ndarray,
        file: np.ndarray,
        prompt: np.ndarray,
    ) -> None:
        self.table = Table(picture, numbers, outside, status)
        self.file, self.prompt = file, prompt
        self.place = {name: row for row, name in enumerate(picture)}


def _encoded(scores: Sequence[Score]) -> bytes:
    """Return a part: numbers in full, so that what is read is what was written."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(_COLUMNS)
    for one in scores:
        numbers = map(repr, (one.score, one.low, one.high))
        file = one.file.size, one.file.mtime_ns
        row = one.picture, *numbers, _FLAGS[one.outside], one.status, *file, one.prompt
        writer.writerow(row)
    return buffer.getvalue().encode(errors="surrogateescape")


def _read(path: Path) -> tuple[np.ndarray, ...]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != _COLUMNS or any(len(row) != len(header) for row in rows):
            raise ValueError("other columns")
        return _columns(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path} was damaged or changed ({error}): remove it, and the same command scores its "
            "pictures again"
        ) from error


def _columns(rows: Sequence[Sequence[str]]) -> tuple[np.ndarray, ...]:
    """Return the columns of `_Kept`."""
    table = np.array(rows, object).reshape(len(rows), len(_COLUMNS))
    picture, outside, status, prompt = (table[:, k] for k in (0, 4, 5, 8))
    return (
        picture,
        table[:, 1:4].astype(float),
        outside.astype(np.int8),
        status,
        table[:, 6:8].astype(np.int64),
        prompt,
    )


def _differences(there: Mapping, here: Mapping) -> list[str]:
    """Say what differs, one line for each."""
    lines = []
    for name in sorted({*there, *here}):
        old, new = there.get(name), here.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += [f"{name} of {line}" for line in _differences(old, new)]
        elif old != new:
            lines.append(f"{name}: {_short(old)} there, {_short(new)} now")
    return lines


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 16 else f"{text[:12]}..."


def _state(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns
