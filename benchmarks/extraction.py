"""Extraction: ours against the published way, and against what the processor can do.

    PYTHONPATH=. python benchmarks/extraction.py               all sets, interleaved
    PYTHONPATH=. python benchmarks/extraction.py --sets uiqa   one of them
    PYTHONPATH=. python benchmarks/extraction.py --fast        few pictures, few rounds
    PYTHONPATH=. python benchmarks/extraction.py --shapes      many shapes against one
    PYTHONPATH=. python benchmarks/extraction.py --gpu 0       ours on a GPU

The published way is `published.py`; ours is `features.extract.extract` as the command calls it,
into a new cache in the temporary folder. Each has a process of its own; they take turns, the
other way round in every second round. In each turn 8 pictures are extracted, then 8 and some more:
all that is said per picture is the difference of the two, in which loading and compiling cancel.
`start` is what the first 8 take from the start of Python beyond that rate, `again` what a later
call does. `of rate` is the share of the best matrix rate in that precision, measured in the same
rounds. `differs` is the largest difference from the published embedding, of its largest number;
UIQA's fragments, at random places there, are left out. Peak memory is that of the process, and of
those that it starts. Stages are summed over threads, so that they may be more than the whole.
Medians over rounds, and in brackets the lowest and the highest.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import shapes
from measured import Entry, Machine, Measured
from pictures import jpegs
from printing import Goal, print_entry, print_goals, print_header, print_rate, versions
from ways import Child, Failed

FIRST = 8  # pictures of the shorter call: one block of the engine
PUBLISHED, TORCH = Entry(), Entry("torch", "fp32")
OPENVINO, OPENVINO_BF16 = Entry("openvino", "fp32"), Entry("openvino", "bf16")
ON_CPU = (PUBLISHED, TORCH, OPENVINO, OPENVINO_BF16)
ON_GPU = tuple(Entry("torch", precision) for precision in ("fp32", "tf32", "bf16", "fp16"))


@dataclass(frozen=True)
class Set:
    """A feature set, on pictures of one size.

    Attributes
    ----------
    size : width, height
    n : pictures that are timed in a turn
    random : the columns, from and to, that the published way fills anew each time
    """

    size: tuple[int, int]
    n: int
    goals: dict[Entry, Goal] = field(default_factory=dict)
    random: tuple[int, int] = (0, 0)


SETS = {
    "reiqa": Set((1024, 768), 24, {OPENVINO: Goal(2, 0.8), OPENVINO_BF16: Goal(4, 0.8)}),
    "content-lite": Set((1024, 768), 96, {OPENVINO: Goal(3)}),
    "uiqa": Set((3840, 2160), 24, {TORCH: Goal(1)}, random=(768, 1536)),
}


@dataclass(frozen=True)
class Bench:
    """What all measurements of a run share."""

    folder: Path
    rounds: int
    fast: bool
    machine: Machine

    @property
    def weights(self) -> Path:
        """Where the weight files lie."""
        return self.folder / "weights"


def compare(bench: Bench, features: str) -> None:
    """Print one feature set: the published way, ours, and the goals."""
    set_ = SETS[features]
    width, height = set_.size
    n = FIRST if bench.fast else set_.n
    paths, said = jpegs(bench.folder / features, [set_.size] * (FIRST + n))
    asked = bench.machine.child.ask("flops", features=features, width=width, height=height)
    gflop = asked["flops"] / 1e9
    print(f"\n{features}: {n} pictures of {width}x{height} ({said}), {gflop:.1f} GFLOP each")
    found = measure(bench, features, ON_CPU, paths)
    rates = {each: print_rate(bench.machine, each) for each in ("fp32", "bf16")}
    shares = {entry: gflop / m.seconds / rates[entry.precision] for entry, m in found.items()}
    base = found.get(PUBLISHED)
    print_header()
    for entry, measured in found.items():
        print_entry(measured, base, shares[entry], set_.random)
    for entry, goal in set_.goals.items():
        times = found[entry].times(base) if base and entry in found else None
        print_goals(entry, goal, times, shares.get(entry))


def measure(
    bench: Bench,
    features: str,
    entries: Sequence[Entry],
    paths: Sequence[Path],
    gpu: str | None = None,
) -> dict[Entry, Measured]:
    """Let them take turns, and the machine's rate be measured between; what fails is left out."""
    found: dict[Entry, Measured] = {}
    with ExitStack() as stack:
        for entry in entries:
            measured = Measured(entry, features, bench.folder, bench.weights, paths, FIRST, gpu)
            stack.callback(measured.close)
            if _works(entry, measured.warm_up):
                found[entry] = measured
        for number in range(bench.rounds):
            for precision in () if gpu is not None else ("fp32", "bf16"):
                bench.machine.measure(precision)
            for entry in list(found)[:: -1 if number % 2 else 1]:
                if not _works(entry, found[entry].take_turn):
                    del found[entry]
        for measured in found.values():
            measured.finish()
    return found


def _works(entry: Entry, turn: Callable[[], None]) -> bool:
    try:
        turn()
    except Failed as error:
        print(f"  {entry}: not measured: {error}", flush=True)
        return False
    return True


def on_gpu(bench: Bench, features: str, gpu: str) -> None:
    """Print ours on a GPU, and whether decoding holds it back."""
    set_ = SETS[features]
    n = 24 if bench.fast else 10 * set_.n
    paths, said = jpegs(bench.folder / features, [set_.size] * (FIRST + n))
    print(f"\n{features} on GPU {gpu}: {n} pictures of {set_.size[0]}x{set_.size[1]} ({said})")
    found = measure(bench, features, ON_GPU, paths, gpu)
    print_header()
    for measured in found.values():
        print_entry(measured)
        idle = measured.stages["idle"] / measured.seconds
        bound = "bound" if idle > 0.1 else "not bound"
        print(f"    {bound} by decoding: it waited for pictures {100 * idle:.0f} % of the time")


def main() -> None:
    """Print the comparison."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options.add_argument("--rounds", type=int, help="turns of each (5, with --fast 2)")
    options.add_argument("--fast", action="store_true")
    options.add_argument("--shapes", action="store_true")
    options.add_argument("--gpu", metavar="N")
    chosen = options.parse_args()
    rounds = chosen.rounds or (2 if chosen.fast else 5)
    with tempfile.TemporaryDirectory() as name, closing(Child(Path(name))) as child:
        bench = Bench(Path(name), rounds, chosen.fast, Machine(child, chosen.fast))
        bench.weights.mkdir()
        print(versions(child))
        child.ask("write_weights", folder=str(bench.weights))
        if chosen.shapes:
            shapes.compare(bench.folder, bench.weights, rounds, chosen.fast)
            return
        for features in chosen.sets:
            if chosen.gpu is None:
                compare(bench, features)
            else:
                on_gpu(bench, features, chosen.gpu)


if __name__ == "__main__":
    main()
