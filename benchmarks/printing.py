"""How the benchmark of extraction prints what it found."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from measured import Entry, Machine, Measured, spread
from ways import Child

LIBRARIES = ("torch", "torchvision", "timm", "openvino", "numpy", "Pillow", "simplejpeg")


@dataclass(frozen=True)
class Goal:
    """What is to be reached: so many times the published way, such a share of the rate."""

    times: float
    share: float | None = None


def print_rate(machine: Machine, precision: str) -> float:
    """Print and return the machine's rate in GFLOP/s."""
    name, rates = machine.best(precision)
    print(f"  the machine's rate in {precision}: {spread(rates, '.0f')} GFLOP/s ({name})")
    return statistics.median(rates)


def print_header() -> None:
    """Print the names of the columns that `print_entry` prints."""
    print(
        f"  {'':22}{'pictures/s':>20}{'times published':>20}  of rate  differs  peak GB  start s"
        "  again s  milliseconds a picture",
        flush=True,
    )


def print_entry(
    measured: Measured,
    base: Measured | None = None,
    share: float | None = None,
    random: tuple[int, int] = (0, 0),
) -> None:
    """Print a line.

    Parameters
    ----------
    base : the published way
    share : of the machine's rate
    random : columns, from and to, in which the two cannot be compared
    """
    times = differs = ""
    if base and base is not measured:
        times = spread(measured.times(base), ".2f")
        differs = f"{_difference(measured.kept, base.kept, random):.1e}"
    stages = "  ".join(f"{stage} {1000 * s:.1f}" for stage, s in measured.stages.items())
    print(
        f"  {measured.entry!s:22}{spread([1 / s for s in measured.each], '.2f'):>20}{times:>20}"
        f"{'' if share is None else f'{share:.2f}':>9}{differs:>9}{measured.memory:9.2f}"
        f"{measured.start:9.1f}{measured.again:9.1f}  {stages}",
        flush=True,
    )


def _difference(ours: np.ndarray, theirs: np.ndarray, random: tuple[int, int]) -> float:
    """Return the largest difference, of the largest number."""
    ours, theirs = (np.delete(each, slice(*random), axis=1) for each in (ours, theirs))
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def print_goals(
    entry: Entry, goal: Goal, times: Sequence[float] | None, share: float | None
) -> None:
    """Print whether what is to be reached was; None was not measured."""
    print_verdict(f"{entry}: {goal.times:g} times published", goal.times, times)
    if goal.share:
        what = f"{entry}: {goal.share:g} of the machine's rate in {entry.precision}"
        print_verdict(what, goal.share, share and [share])


def print_verdict(what: str, least: float, reached: Sequence[float] | None) -> None:
    """Print whether the median is as large as it is to be."""
    verdict = "not measured"
    if reached:
        middle = statistics.median(reached)
        verdict = f"{middle:.2f}, {'met' if middle >= least else 'NOT met'}"
    print(f"  goal  {what}: {verdict}", flush=True)


def versions(child: Child) -> str:
    """Return date, processor and versions; `child` says how torch sees the machine."""
    facts = child.ask("seen")
    return processor_and_versions(f"torch takes {facts['threads']} threads", *facts["gpus"])


def processor_and_versions(*more: str) -> str:
    """Return date, processor, what else is known of the machine, and versions."""
    name = platform.processor() or platform.machine()
    known = Path("/proc/cpuinfo")
    if known.exists():
        lines = known.read_text().splitlines()
        name = next((s.split(":", 1)[1].strip() for s in lines if s.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = [f"{name}, {cores} cores", *more]
    return (
        f"{date.today()}  {', '.join(machine)}\n{', '.join(_version(each) for each in LIBRARIES)}"
    )


def _version(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return f"no {library}"
