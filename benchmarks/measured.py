"""What was measured, turn by turn: the ways to extract, and the machine's rate."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ways import Child, Failed

N_BEST = 3


@dataclass(frozen=True)
class Entry:
    """An engine of ours in a precision; without an engine, the published entry."""

    engine: str = ""
    precision: str = "fp32"

    def __str__(self) -> str:
        """Return how it is printed."""
        return f"ours, {self.engine} {self.precision}" if self.engine else "published, torch fp32"


class Measured:
    """A way at work in a process of its own.

    Attributes
    ----------
    each : seconds a picture, one number for each turn
    start, again : seconds beyond the pictures: from the start of Python, and of a later call
    stages : seconds a picture in each stage, medians over turns
    memory : peak in GB, of the process and of those that it started
    kept : embeddings of the first pictures (n, d)
    """

    def __init__(
        self,
        entry: Entry,
        features: str,
        folder: Path,
        weights: Path,
        paths: Sequence[Path],
        first: int,
        gpu: str | None = None,
    ) -> None:
        self.entry, self.paths, self.first = entry, [str(path) for path in paths], first
        self.arguments = {"features": features, "weights": str(weights)}
        self.action = "ours" if entry.engine else "theirs"
        if entry.engine:
            self.arguments |= {"engine": entry.engine, "precision": entry.precision, "gpu": gpu}
        self.folder = folder
        self.each: list[float] = []
        self.starts: list[float] = []
        self.turns: list[dict[str, float]] = []
        self.child: Child | None = None

    def warm_up(self) -> None:
        """Start the process and extract the first pictures: imports, loading, compiling."""
        self.child = Child(self.folder)
        keep = self.child.log.with_suffix(".npy")
        self._extract(self.paths[: self.first], keep=str(keep))
        self.cold = time.perf_counter() - self.child.begun
        self.kept = np.load(keep)

    def take_turn(self) -> None:
        """Extract the first pictures, then all: the difference is the rate, the rest the start.

        Raises
        ------
        Failed
            When the first alone took longer: the machine does something else, too.
        """
        few = self._extract(self.paths[: self.first])
        all_ = self._extract(self.paths)
        n = len(self.paths) - self.first
        if all_["seconds"] <= few["seconds"]:
            raise Failed("its start varies by more than the pictures take: is the machine busy?")
        self.each.append((all_["seconds"] - few["seconds"]) / n)
        self.starts.append(few["seconds"] - self.first * self.each[-1])
        self.turns.append(
            {stage: (s - few["stages"].get(stage, 0)) / n for stage, s in all_["stages"].items()}
        )

    def finish(self) -> None:
        """Sum up."""
        peak = self.child.ask("memory")
        self.memory = peak["own"] + peak["others"]
        self.seconds = statistics.median(self.each)
        self.start = self.cold - self.first * self.seconds
        self.again = statistics.median(self.starts)
        self.stages = {
            stage: statistics.median(turn[stage] for turn in self.turns) for stage in self.turns[0]
        }

    def times(self, base: "Measured") -> list[float]:
        """Return how many times as fast as another it was, turn by turn."""
        return [theirs / own for theirs, own in zip(base.each, self.each, strict=True)]

    def close(self) -> None:
        """End the process."""
        if self.child:
            self.child.close()

    def _extract(self, paths: Sequence[str], **more: str) -> dict:
        return self.child.ask(self.action, pictures=paths, **self.arguments, **more)


class Machine:
    """The rate of matrix products, measured between the turns."""

    def __init__(self, child: Child, fast: bool) -> None:
        self.child, self.fast = child, fast
        self.rates: dict[str, dict[str, list[float]]] = {}

    def measure(self, precision: str) -> None:
        """Measure all products, and from the second time on the best three alone."""
        rates = self.rates.setdefault(precision, {})
        only = sorted(rates, key=lambda name: statistics.median(rates[name]))[-N_BEST:] or None
        asked = {"precision": precision, "only": only, "fast": self.fast}
        for name, rate in self.child.ask("rates", **asked).items():
            rates.setdefault(name, []).append(rate)

    def best(self, precision: str) -> tuple[str, list[float]]:
        """Return the product with the best median, and its GFLOP/s, time after time."""
        rates = self.rates[precision]
        return max(rates.items(), key=lambda item: statistics.median(item[1]))


def spread(numbers: Sequence[float], form: str) -> str:
    """Return the median, and in brackets the lowest and the highest."""
    low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
    return f"{middle:{form}} [{low:{form}}, {high:{form}}]"
