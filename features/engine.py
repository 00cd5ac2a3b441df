"""The engine: blocks of pictures to rows of embeddings, decoded once for all encoders.

While threads make the next pictures ready, the encoders take those that are: views of one shape as
a batch, within a budget of pixels.
"""

import collections
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.cache.shards import Row
from features.decode import MAX_MEGAPIXELS
from features.encoders.base import Batch, View
from features.loading import Loaded, lacks_memory, load_encoder
from features.names import parse
from features.plan import Block, Picture
from features.reading import File, Reader, Ready
from features.runtime import IN_LANE, LANE_PIXELS, Runtime

# Views of one shape share a batch up to this many pixels, on the CPU and on a GPU. On the CPU more
# only leave its caches: EfficientNet-Lite0 takes 1.9 times as long for five pictures of 1024x768
# together as one by one (measured; small ones gain from company).
BATCH_PIXELS = {False: 1_500_000, True: 4_000_000}


@dataclass(frozen=True)
class Recipe:
    """All that a worker needs to become one; it can be sent to another process.

    Attributes
    ----------
    names : canonical names of the encoders
    runtimes : what computes each
    """

    names: tuple[str, ...]
    weights: Path
    runtimes: tuple[Runtime, ...]
    max_megapixels: float = MAX_MEGAPIXELS

    def load(self) -> "Worker":
        """Build the encoders."""
        requests = (parse(name)[0] for name in self.names)
        pairs = zip(requests, self.runtimes, strict=True)
        encoders = [load_encoder(request, self.weights, runtime) for request, runtime in pairs]
        return Worker(encoders, self.max_megapixels)


@dataclass(frozen=True)
class Done:
    """What became of a block.

    Attributes
    ----------
    rows : encoder -> rows, in the order of the block
    seconds : `decode` (reading, decoding, views; the sum over the threads), `compute`, and `idle`,
        in which the encoders waited for pictures
    pixels : decoded
    files : decoded
    """

    rows: dict[str, list[Row]]
    seconds: Mapping[str, float]
    pixels: int
    files: int


Results = dict[str, dict[str, np.ndarray | str]]  # encoder -> picture -> embedding, or the reason


def worker(recipe: Recipe) -> "Worker":
    """Return the worker that a recipe describes; for pools, which know it by this name."""
    return recipe.load()


class Worker:
    """Embeds blocks, one after another."""

    def __init__(self, encoders: Sequence[Loaded], max_megapixels: float = MAX_MEGAPIXELS) -> None:
        self.encoders = encoders
        self._reader = Reader(encoders, max_megapixels)
        self._ahead: tuple[Block, list[Future[File]]] | None = None
        lanes = max((encoder.runtime.lanes for encoder in encoders), default=1)
        self._threads = ThreadPoolExecutor(lanes, "lane", IN_LANE.set, (True,))

    def embed(self, block: Block, ahead: Block | None = None) -> Done:
        """Embed a block.

        Parameters
        ----------
        ahead : the block that will probably be next: its pictures are made ready meanwhile
        """
        announced, tasks = self._ahead or (None, [])
        if announced != block:
            self._reader.drop(tasks)
            tasks = self._reader.start(block)
        self._ahead = (ahead, self._reader.start(ahead)) if ahead else None
        return self._embed(block, tasks)

    def close(self) -> None:
        """Let the threads go."""
        self._reader.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _embed(self, block: Block, tasks: Sequence[Future[File]]) -> Done:
        results: Results = {encoder.name: {} for encoder in self.encoders}
        waiting: dict[tuple, list[Ready]] = {}
        seconds = collections.Counter(decode=0.0, compute=0.0, idle=0.0)
        files = []
        for task in tasks:
            with timed(seconds, "idle"):
                files.append(self._reader.result(task))
            with timed(seconds, "compute"):
                for ready in files[-1].pictures:
                    self._take(block, ready, waiting, results)
        with timed(seconds, "compute"):
            self._batches(waiting, results)
        seconds["decode"] = sum(file.seconds for file in files)
        every = [ready for file in files for ready in file.pictures]
        self._reader.room.free(sum(ready.keep(set()) for ready in every))
        rows = {encoder.name: _rows(encoder, every, results) for encoder in self.encoders}
        return Done(rows, dict(seconds), sum(file.pixels for file in files), len(files))

    def _take(self, block: Block, ready: Ready, waiting: dict, results: Results) -> None:
        """Embed a picture that would be alone in its batch anyway; others wait, also for lanes."""
        later: set[View] = set()
        for index, encoder in enumerate(self.encoders):
            name = ready.picture.name
            if encoder.name in ready.failed:
                results[encoder.name][name] = ready.failed[encoder.name]
            elif block.wants(encoder.name, name):
                if _together(encoder, ready) == 1 and not _in_lane(encoder, ready):
                    results[encoder.name] |= _encoded(encoder, [ready])
                    continue
                shapes = tuple(ready.made[view].shape for view in encoder.views)
                waiting.setdefault((index, shapes), []).append(ready)
                later.update(encoder.views)
        self._reader.room.free(ready.keep(later))

    def _batches(self, waiting: dict[tuple, list[Ready]], results: Results) -> None:
        """Embed what waited: pictures whose views have one shape, in the order of the block.

        What is alone in its batch goes in lanes, where an encoder has enough of it to fill them. No
        other encoder has a say in that, for a resume may be without it.
        """
        shared: dict[tuple, Batch] = {}  # encoders that take the same pictures share their views
        together, lone = [], []
        for (index, _), members in waiting.items():
            encoder = self.encoders[index]
            size = _together(encoder, members[0])
            for start in range(0, len(members), size):
                group = members[start : start + size]
                batch = shared.setdefault(tuple(id(ready) for ready in group), _batch(group))
                kind = lone if len(group) == 1 and _in_lane(encoder, group[0]) else together
                kind.append((encoder, group, batch))
        counts = collections.Counter(encoder.name for encoder, *_ in lone)
        side_by_side = []
        for one in lone:  # few would leave most of the processor idle
            enough = counts[one[0].name] > one[0].runtime.lanes // 2
            (side_by_side if enough else together).append(one)
        found = self._threads.map(lambda one: _encoded(*one), side_by_side)
        for (encoder, *_), result in zip(side_by_side, found, strict=True):
            results[encoder.name] |= result
        for encoder, group, batch in together:
            results[encoder.name] |= _encoded(encoder, group, batch)


def embed(
    plan: Iterable[Block | Sequence[Picture]],
    encoders: Sequence[Loaded],
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Iterator[Done]:
    """Yield what becomes of every block, in this process, one decoded ahead of the one in hand."""
    worker = Worker(encoders, max_megapixels)
    blocks = (block if isinstance(block, Block) else Block(tuple(block)) for block in plan)
    try:
        block = next(blocks, None)
        while block:
            ahead = next(blocks, None)
            yield worker.embed(block, ahead)
            block = ahead
    finally:
        worker.close()


@contextlib.contextmanager
def timed(seconds: collections.Counter, name: str) -> Iterator[None]:
    """Add the seconds that this is open."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] += time.perf_counter() - began


def _together(encoder: Loaded, ready: Ready) -> int:
    """Return how many pictures with such views fit into a batch."""
    runtime = encoder.runtime
    most = min(BATCH_PIXELS[runtime.gpu is not None], runtime.pixels)
    return max(1, most // _pixels(encoder, ready))


def _in_lane(encoder: Loaded, ready: Ready) -> bool:
    """Tell whether a picture that is alone in its batch goes in a lane."""
    return encoder.runtime.lanes > 1 and _pixels(encoder, ready) <= LANE_PIXELS


def _pixels(encoder: Loaded, ready: Ready) -> int:
    """Return the pixels of its largest view."""
    shapes = [ready.made[view].shape for view in encoder.views]
    # a view may be no picture, but numbers
    return max(shape[0] * shape[1] if len(shape) == 3 else 1 for shape in shapes)


def _batch(group: Sequence[Ready]) -> Batch:
    return Batch((), [ready.picture.prompt for ready in group], [ready.made for ready in group])


def _encoded(
    encoder: Loaded, group: Sequence[Ready], batch: Batch | None = None
) -> dict[str, np.ndarray | str]:
    """Embed one batch; where memory does not suffice, its pictures one by one."""
    names = [ready.picture.name for ready in group]
    try:
        embeddings = encoder.encode(batch or _batch(group))
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):  # a bug
            raise
        if len(group) == 1:
            return {names[0]: encoder.no_memory(group[0].shape)}
        alone = [_encoded(encoder, [one]) for one in group]
        return {name: result for part in alone for name, result in part.items()}
    finite = np.isfinite(embeddings).all(axis=1)
    return {
        name: embedding if good else f"{encoder.name} gave numbers that are not finite"
        for name, embedding, good in zip(names, embeddings, finite, strict=True)
    }


def _rows(encoder: Loaded, pictures: Sequence[Ready], results: Results) -> list[Row]:
    found = results[encoder.name]
    pairs = [(one.picture, one.facts) for one in pictures if one.picture.name in found]
    return [
        Row(picture.name, facts, found[picture.name], picture.notes(encoder.prompted))
        for picture, facts in pairs
    ]
