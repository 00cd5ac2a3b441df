"""Many shapes against one: 300 pictures of 200 different shapes, and as many pixels in one shape.

Every measurement is a new process, or the shapes of the round before might be compiled already. It
first extracts other pictures, and works in that process itself, so that imports, which are the same
for both, are not counted; loading and compiling are.
"""

import statistics
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from measured import Entry, spread
from pictures import jpegs
from ways import Child, Failed

from features.workers import MALLOC

# The smaller a picture is and the lighter a network, the more a new shape weighs.
SETS = {"content-lite": ((320, 240), (512, 384), (1024, 768)), "reiqa-quality": ((320, 240),)}
ENTRIES = (Entry("torch", "fp32"), Entry("openvino", "fp32"), Entry("openvino", "bf16"))
N_PICTURES, N_SHAPES = 300, 200
FACTOR = 2.0  # between the longest and the shortest of either side, about the middle
GOAL = 1.5


def draw(
    n_pictures: int, n_shapes: int, size: tuple[int, int], seed: int = 0
) -> list[tuple[int, int]]:
    """Return sizes of that many shapes in random order, together of about as many pixels as `size`.

    Both sides are uniform on a logarithmic scale.
    """
    rng = np.random.default_rng(seed)
    found: dict[tuple[int, int], None] = {}
    total = size[0] * size[1]
    while len(found) < n_shapes:
        width, height = size * FACTOR ** rng.uniform(-0.5, 0.5, 2)
        found[round(width), round(height)] = None
    some = list(found)
    sizes = some + [some[k] for k in rng.integers(0, n_shapes, n_pictures - n_shapes)]
    # one factor for all sides; shapes that rounding has made equal are told apart again
    shrink = (n_pictures * total / sum(w * h for w, h in sizes)) ** 0.5
    final: dict[tuple[int, int], tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    for width, height in some:
        new = round(width * shrink), round(height * shrink)
        while new in taken:
            new = new[0] + 1, new[1]
        final[width, height] = new
        taken.add(new)
    return [final[sizes[k]] for k in rng.permutation(n_pictures)]


def compare(folder: Path, weights: Path, rounds: int, fast: bool) -> None:
    """Print the ratio of the times for each feature set and entry."""
    n_pictures, n_shapes = (N_PICTURES // 5, N_SHAPES // 5) if fast else (N_PICTURES, N_SHAPES)
    other, _ = jpegs(folder / "other", [(200, 152)] * 8)
    for size in sorted({size for sizes in SETS.values() for size in sizes}):
        width, height = size
        sizes = draw(n_pictures, n_shapes, size)
        many, said = jpegs(folder / f"many-{width}", sizes)
        one, _ = jpegs(folder / f"one-{width}", [size] * n_pictures)
        pixels = sum(w * h for w, h in sizes) / (n_pictures * width * height)
        print(
            f"{n_pictures} pictures of {len(set(sizes))} shapes, {min(map(min, sizes))} to "
            f"{max(map(max, sizes))} pixels a side, against {width}x{height}: {pixels:.4f} times "
            f"its pixels ({said})"
        )
        for features in (name for name, own in SETS.items() if size in own):
            for entry in ENTRIES:
                try:
                    _print(features, entry,
                           [_seconds(folder, features, weights, entry, paths, other)
                            for _ in range(rounds) for paths in (many, one)], pixels)  # fmt: skip
                except Failed as error:
                    print(f"  {features}, {entry}: not measured: {error}", flush=True)


def _seconds(
    folder: Path,
    features: str,
    weights: Path,
    entry: Entry,
    paths: Sequence[Path],
    other: Sequence[Path],
) -> float:
    arguments = {
        "features": features,
        "weights": str(weights),
        "engine": entry.engine,
        "precision": entry.precision,
        "isolated": False,
    }
    with closing(Child(folder, MALLOC)) as child:  # as workers have it
        child.ask("ours", pictures=[str(path) for path in other], **arguments)
        return child.ask("ours", pictures=[str(path) for path in paths], **arguments)["seconds"]


def _print(features: str, entry: Entry, seconds: Sequence[float], pixels: float) -> None:
    many, one = seconds[::2], seconds[1::2]
    ratios = [a / b / pixels for a, b in zip(many, one, strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"  {features:14} {entry!s:20} many {spread(many, '.1f')} s, one {spread(one, '.1f')} s, "
        f"ratio {spread(ratios, '.2f')}; goal at most {GOAL}: "
        f"{'met' if ratio <= GOAL else 'NOT met'}",
        flush=True,
    )
