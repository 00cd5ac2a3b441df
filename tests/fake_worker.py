"""A worker that does what pictures' names tell it, and dies where they say so."""

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import features
from features.cache.shards import Row
from features.decode import FileFacts
from features.errors import InputError, UsageError
from features.plan import Block, Picture


@dataclass(frozen=True)
class Recipe:
    """What a worker is made of.

    Attributes
    ----------
    deeds : picture name -> what its reading does, see `DEEDS`
    start : what making the worker does
    folder : where workers leave marks of what they have done once, and of each embedding
    """

    folder: Path
    deeds: Mapping[str, str] = field(default_factory=dict)
    start: str = ""
    number: int = 0


@dataclass(frozen=True)
class Done:
    """As the engine's."""

    rows: Mapping[str, list[Row]]
    seconds: Mapping[str, float]
    pixels: int
    files: int


class Odd(InputError):
    """An error of ours that cannot be pickled as it is."""

    def __init__(self, message, details):
        super().__init__(message)
        self.details = details


def kill(signal_=signal.SIGSEGV):
    """Die as a decoder's fault would have it."""
    os.kill(os.getpid(), signal_)
    time.sleep(60)  # the signal is on its way


def once(folder, name, deed):
    """Do it the first time only."""
    mark = folder / f"once-{name}"
    if not mark.exists():
        mark.touch()
        deed()


def fail(error):
    """Raise it."""
    raise error


# what it is called -> (folder, name, number of pictures of its block that are read) -> nothing
DEEDS = {
    "kill": lambda *_: kill(),
    "kill once": lambda folder, name, n: once(folder, name, kill),
    "too many": lambda folder, name, n: kill(signal.SIGKILL) if n > 1 else None,
    "exit": lambda *_: os._exit(3),
    "memory once": lambda folder, name, n: once(folder, name, lambda: fail(MemoryError())),
    "input": lambda *_: fail(InputError("expected a cat, got a dog")),
    "usage": lambda *_: fail(UsageError("no such option")),
    "odd": lambda *_: fail(Odd("two things are wrong", ["one", "two"])),
    "bug": lambda *_: 1 / 0,
    "slow": lambda *_: time.sleep(0.3),
    "stuck": lambda *_: time.sleep(600),
    "shout": lambda *_: print("a word from the worker"),
    "hold": lambda folder, name, n: once(folder, "hold", lambda: time.sleep(600)),
}


class Worker:
    """Embeds a picture as digests of its name and of its whole batch, so that batches show."""

    def __init__(self, recipe):
        self.recipe = recipe
        with open(recipe.folder / "starts", "a") as file:
            file.write(f"{os.getpid()}\n")
        if recipe.start:
            DEEDS[recipe.start](recipe.folder, "start", 0)

    def embed(self, block, ahead=None):
        """Embed a block; the next one is read before it, as decoding in threads may have it."""
        read = [p for p in block.pictures if p.name not in block.refused]
        for one in (block, ahead):
            if one is not None:
                self._read(one)
        with open(self.recipe.folder / "embedded", "a") as file:
            file.write(f"{self.recipe.number} {' '.join(p.name for p in read)}\n")
        batch = number_of(" ".join(p.name for p in read))
        rows = [
            Row(p.name, FileFacts(1, 1), self._result(block, p.name, batch)) for p in block.pictures
        ]
        return Done({"fake": rows}, {"compute": 1.0}, 10 * len(read), len(read))

    def close(self):
        """Leave a mark."""
        (self.recipe.folder / "closed").touch()

    def _result(self, block, name, batch):
        if self.recipe.deeds.get(name) == "code":
            return features.__file__
        if self.recipe.deeds.get(name) == "absent":
            return "cannot be opened"
        return block.refused.get(name, np.array([number_of(name), batch], np.float32))

    def _read(self, block):
        names = [p.name for p in block.pictures if p.name not in block.refused]
        for name in names:
            deed = DEEDS.get(self.recipe.deeds.get(name))
            if deed:
                deed(self.recipe.folder, name, len(names))


def number_of(text):
    """Return a number from 0 to 1 that depends on every letter."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def plan(n, size=8):
    """Return blocks of n pictures named 000, 001, ..."""
    pictures = [Picture(f"{index:03}", Path(f"{index:03}.png")) for index in range(n)]
    return [Block(tuple(pictures[start : start + size])) for start in range(0, n, size)]


def rows_of(done):
    """Return name -> its numbers as a tuple, or its reason; each name once."""
    rows = [row for one in done for row in one.rows["fake"]]
    results = {
        row.name: row.result if isinstance(row.result, str) else tuple(row.result.tolist())
        for row in rows
    }
    assert len(results) == len(rows)
    return results
