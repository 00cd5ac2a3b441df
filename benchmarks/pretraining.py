"""Pretraining: pairs a second of one core, ours against the published order of work; a step's time.

    PYTHONPATH=. python benchmarks/pretraining.py            pictures of three sizes, then steps
    PYTHONPATH=. python benchmarks/pretraining.py --fast     fewer pictures

Both loaders start from JPEG files, on one core and in one process, eight pictures a turn; what
types they draw differs, so that ratios are of means over all pictures. The
step is that of --preset small with its own loader in a process beside it, and the time that it
waits for that is `data`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from features.workers import MALLOC

TURN = 8  # pictures
SIZES = ((512, 384), (768, 512), (1024, 768))


def loaders(folder: Path, n: int) -> None:
    """Print pairs a second of either loader."""
    import numpy as np
    import torch
    from pictures import jpegs
    from published_pairs import published_pairs
    from threadpoolctl import threadpool_limits

    from features.decode import read_picture
    from features.pretraining.crops import Crops, pairs

    torch.set_num_threads(1)
    ways = {"published": published_pairs, "ours": pairs}
    for width, height in SIZES:
        paths, said = jpegs(folder / f"{width}", [(width, height)] * n)
        seconds = {name: [] for name in ways}
        crops = Crops(side=min(160, height // 2 - 32))  # there must be room for two at half size
        for start in range(0, n, TURN):
            for name, way in list(ways.items())[:: 1 if start % (2 * TURN) else -1]:
                for index in (start, *range(start, start + TURN)):  # the first one twice
                    rng = np.random.default_rng([index, width])
                    with threadpool_limits(1):
                        started = time.perf_counter()
                        picture, _ = read_picture(paths[index])
                        way(picture, rng, crops)
                        seconds[name].append(time.perf_counter() - started)
                del seconds[name][-TURN - 1]  # it finds the memory as the other has left it
        rates = {name: crops.n_pairs / statistics.mean(s) for name, s in seconds.items()}
        print(
            f"{width}x{height} ({said}), crops of {crops.side}: published "
            f"{rates['published']:.1f}, ours {rates['ours']:.1f} pairs/s of one core: "
            f"{rates['ours'] / rates['published']:.1f} times ({n} pictures)",
            flush=True,
        )


def steps(folder: Path, n: int) -> None:
    """Print what a step takes."""
    import torch
    from pictures import jpegs

    from features.pretraining.loader import batches
    from features.pretraining.recipe import chosen
    from features.pretraining.training import Trainer

    torch.set_num_threads(os.cpu_count() or 1)
    paths, _ = jpegs(folder / "steps", [(1024, 768)] * 24)
    for precision in ("fp32", "bf16"):
        recipe = chosen("small", "quality", precision=precision, steps=n + 2)
        trainer, told, waited = Trainer(recipe), [], time.perf_counter()
        for number, batch in enumerate(batches(recipe, paths, 0, workers=1)):
            data = time.perf_counter() - waited
            step = trainer.step(number, batch.crops)
            told.append({"data": data} | dict(step.seconds))
            waited = time.perf_counter()
        parts = {name: statistics.median(one[name] for one in told[2:]) for name in told[0]}
        pairs = recipe.batch * recipe.n_pairs
        stages = "  ".join(f"{name} {1e3 * value:.0f}" for name, value in parts.items())
        print(
            f"{recipe.arch}, crops of {recipe.crop}, {pairs} pairs a step, {precision}, "
            f"{torch.get_num_threads()} threads: {pairs / sum(parts.values()):.0f} pairs/s; "
            f"milliseconds a step: {stages}",
            flush=True,
        )


def main() -> None:
    """Print all."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--fast", action="store_true")
    chosen = options.parse_args()
    # pages that are let go of and asked for again cost more than most distortions; workers of a
    # run have these settings, which a process reads when it starts
    if not MALLOC.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], MALLOC | os.environ)
    from printing import processor_and_versions

    print(processor_and_versions())
    with tempfile.TemporaryDirectory() as name:
        loaders(Path(name), 16 if chosen.fast else 48)
        steps(Path(name), 6 if chosen.fast else 20)


if __name__ == "__main__":
    main()
