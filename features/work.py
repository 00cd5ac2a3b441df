"""The work of an extraction: blocks to workers, rows to shards."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from features.cache.folder import CacheFolder, ShardWriter
from features.cache.held import Held
from features.cache.settings import runtime_of
from features.cache.shards import OK
from features.decode import MAX_MEGAPIXELS
from features.driver import run
from features.engine import Recipe, timed
from features.names import Request
from features.plan import Block, Picture, blocks
from features.progress import progress
from features.provenance import versions
from features.runtime import Runtime
from features.way import Way
from features.workers import Inline, Processes

SECONDS = ("decode", "compute", "idle", "write")
_LIBRARIES = ("torch", "torchvision", "timm", "openvino", "numpy", "Pillow", "h5py")


@dataclass(frozen=True)
class Job:
    """What is asked for, whatever the pictures."""

    requests: Sequence[Request]
    weights: Path
    way: Way
    max_megapixels: float
    shard_rows: int
    retry: bool


@dataclass(frozen=True)
class Work:
    """What an extraction did.

    Attributes
    ----------
    seconds : `decode` (reading, decoding, views: the sum over threads and workers), `compute` and
        `idle` (encoders waited for pictures; sums over workers), `write` and `total`
    pixels, files : decoded
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    pixels: int = 0
    files: int = 0


def embed_into(
    job: Job,
    pictures: Sequence[Picture],
    folders: Sequence[CacheFolder],
    wanted: Mapping[str, set[str]],
    held: Mapping[str, Held],
) -> Work:
    """Embed what is wanted, and write it into the folders, one for each encoder.

    Parameters
    ----------
    wanted, held : encoder -> names that it lacks; what it has, which is brought up to date
    """
    began = time.perf_counter()
    missing = set().union(*wanted.values())
    used = [folder for folder in folders if wanted[folder.encoder]]
    provenance = _provenance(job.way)
    writers = {f.encoder: ShardWriter(f, provenance, job.shard_rows) for f in used}
    seconds: Counter = Counter(dict.fromkeys(SECONDS, 0.0))
    pixels = files = failed = 0
    label = "augment" if folders[0].is_augmented else "extract"
    with progress(len(missing), label) as bar, _pool(job, used) as pool:
        try:
            for done in run(_plan(pictures, wanted, missing), pool):
                with timed(seconds, "write"):
                    kept = []
                    for name, rows in done.rows.items():
                        kept.append(writers[name].add(rows))
                        held[name].add(kept[-1])
                seconds.update(done.seconds)
                pixels, files = pixels + done.pixels, files + done.files
                failed += len({row.name for rows in kept for row in rows if row.status != OK})
                rate = pixels / 1e6 / (time.perf_counter() - began)
                bar.set_postfix_str(f"{rate:.1f} MP/s, {failed} failed", refresh=False)
                bar.update(len({row.name for rows in kept for row in rows}))
        finally:
            # also after an error: whole blocks are as good as any others
            with timed(seconds, "write"):
                for writer in writers.values():
                    writer.close()
    return Work(dict(seconds) | {"total": time.perf_counter() - began}, pixels, files)


def _plan(
    pictures: Sequence[Picture], wanted: Mapping[str, set[str]], missing: set[str]
) -> Iterator[Block]:
    """Yield the blocks with what is missing of them."""
    for some in blocks(pictures):
        lacking = tuple(picture for picture in some if picture.name in missing)
        if lacking:
            names = {picture.name for picture in lacking}
            yield Block(lacking, {name: frozenset(w & names) for name, w in wanted.items()})


def pool(
    requests: Sequence[Request],
    runtimes: Mapping[str, Runtime],
    weights: Path,
    way: Way,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> AbstractContextManager:
    """Return the workers: a cluster's, processes, or this process itself.

    Parameters
    ----------
    runtimes : encoder -> what computes it, on whichever device
    """
    names = tuple(request.name for request in requests)

    def recipe(gpu: str | None) -> Recipe:
        placed = (replace(runtimes[name], gpu=gpu) for name in names)
        own = tuple(map(runtime_of, requests, placed))
        return Recipe(names, weights, own, max_megapixels)

    if way.cluster:
        from features.cluster import RayPool  # Ray, an extra

        # each worker there has a GPU to itself, which is its first
        return RayPool(way.cluster, recipe("0" if way.gpus else None), bool(way.gpus))
    recipes = [recipe(gpu) for gpu in way.gpus or (None,)]
    if way.isolated or len(recipes) > 1:
        return Processes(recipes)
    return Inline(recipes[0])


def _pool(job: Job, folders: Sequence[CacheFolder]) -> AbstractContextManager:
    """Return the workers for what these folders lack, each with the engine that it goes on with."""
    runtimes = {f.encoder: job.way.runtime(f.settings["engine"]) for f in folders}
    requests = [request for request in job.requests if request.name in runtimes]
    return pool(requests, runtimes, job.weights, job.way, job.max_megapixels)


def _provenance(way: Way) -> dict[str, str]:
    """Return what made a shard; none of it is part of the key."""
    text = ", ".join(f"{library} {version}" for library, version in versions(_LIBRARIES).items())
    device = ", ".join(f"cuda:{gpu}" for gpu in way.gpus) or "cpu"
    return {"versions": text, "device": f"{device} of a cluster" if way.cluster else device}
