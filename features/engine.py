"""The engine: pictures to embeddings, decoded once for all encoders.

Work goes in blocks of a few pictures, in the order of the plan. A block is the unit of everything:
its pictures are grouped by shape into batches, and it is written whole or not at all. So the
batches are a function of the plan alone, and a resumed run repeats them to the bit.
"""

import collections
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.augment import Change
from features.cache.shards import Row
from features.decode import MAX_MEGAPIXELS, FileFacts, read_picture
from features.encoders.base import Batch, Encode
from features.names import Request

BLOCK_ROWS = 8
# Pictures of one shape share a batch up to this many pixels; beyond it, memory grows and speed does
# not.
BATCH_PIXELS = 4_000_000
DECODERS = 2
_MEMORY = re.compile(r"out of memory|not enough memory|allocate memory", re.IGNORECASE)


@dataclass(frozen=True)
class Picture:
    """One picture of a plan, or a distorted version of one; a prompt where encoders take one."""

    name: str
    path: Path
    prompt: str = ""
    change: Change | None = None

    def notes(self, prompted: bool) -> dict[str, str]:
        """Return what its row says beyond the picture file."""
        notes = {"prompt": self.prompt} if prompted else {}
        if self.change:
            notes["original"] = self.change.original
            notes["distortion"] = self.change.distortion
            notes["level"] = str(self.change.level)
        return notes


# names of the pictures in it -> batch
Batches = dict[tuple[str, ...], Batch]


@dataclass(frozen=True)
class Loaded:
    """An encoder with its weights in place."""

    request: Request
    function: Encode

    @property
    def name(self) -> str:
        """The canonical name."""
        return self.request.name

    @property
    def min_side(self) -> int:
        """The smallest width and height, in pixels, that it takes."""
        return self.request.encoder.min_side(self.request.values)

    @property
    def prompted(self) -> bool:
        """Whether every picture needs a text."""
        return self.request.prompted

    def encode(self, pictures: np.ndarray | Batch, prompts: Sequence[str] = ()) -> np.ndarray:
        """Return the (n, n_dims) float32 embeddings of (n, height, width, 3) uint8 pictures."""
        batch = pictures if isinstance(pictures, Batch) else Batch(pictures, prompts)
        return self.function(batch)


def load_encoder(
    request: Request, weights: Path, gpu: str | None = None, few_shot: bool = False
) -> Loaded:
    """Build an encoder from its weight files, on the CPU or on the GPU with that index.

    With `few_shot` its function is the one that learns from pairs; see `Encoder.few_shot`.
    """
    encoder = request.encoder
    device = "cpu"
    if gpu is not None:
        from features.networks import device_of  # torch, which encoders without a network spare

        device = device_of(gpu)
    files = {file.role: file.find(weights) for file in encoder.files(request.values)}
    build = encoder.few_shot if few_shot else encoder.build
    return Loaded(request, build(request.values, files, device))


def blocks(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Cut a plan into blocks, in order of name."""
    ordered = sorted(pictures, key=lambda picture: picture.name)
    return [list(block) for block in _batched(ordered, BLOCK_ROWS)]


def embed(
    plan: Iterable[list[Picture]],
    encoders: Sequence[Loaded],
    wanted: Mapping[str, set[str]] | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
    decoded: collections.Counter | None = None,
) -> Iterator[dict[str, list[Row]]]:
    """Yield, block by block, the rows of every encoder.

    Parameters
    ----------
    plan : blocks of pictures, as `blocks` makes them
    encoders : each takes the same decoded pictures
    wanted : encoder name -> names of the pictures that it still lacks; all when not given
    decoded : counts how often each file was decoded
    """
    count = decoded if decoded is not None else collections.Counter()
    for block, results in _decoded_ahead(plan, max_megapixels, count):
        shared: Batches = {}  # encoders that want the same pictures share their views
        yield {
            loaded.name: _rows(
                loaded,
                [
                    (picture, *result)
                    for picture, result in zip(block, results, strict=True)
                    if wanted is None or picture.name in wanted[loaded.name]
                ],
                shared,
            )
            for loaded in encoders
        }


def _decoded_ahead(
    plan: Iterable[list[Picture]], max_megapixels: float, count: collections.Counter
) -> Iterator[tuple]:
    """Decode one block ahead of the one in hand, in threads: Pillow lets go of the interpreter."""
    with ThreadPoolExecutor(DECODERS) as pool:
        waiting: collections.deque = collections.deque()
        for block in itertools.chain(plan, [None]):
            if block is not None:
                # the versions of one picture share its pixels, and lie together: names begin alike
                files = [
                    list(same) for _, same in itertools.groupby(block, lambda picture: picture.path)
                ]
                count.update(same[0].path for same in files)
                tasks = [pool.submit(_read, same, max_megapixels) for same in files]
                waiting.append((block, tasks))
            if waiting and (len(waiting) > 1 or block is None):
                ready, tasks = waiting.popleft()
                yield ready, [result for task in tasks for result in task.result()]


def _read(pictures: list[Picture], max_megapixels: float) -> list[tuple]:
    """Decode the file that some entries of a plan share, and distort where they say so."""
    pixels, facts = read_picture(pictures[0].path, max_megapixels)
    if isinstance(pixels, str):
        return [(pixels, facts)] * len(pictures)
    return [(_changed(pixels, p), facts) for p in pictures]


def _changed(pixels: np.ndarray, picture: Picture) -> np.ndarray | str:
    try:
        return picture.change(pixels) if picture.change else pixels
    except MemoryError:
        return f"not enough memory for {picture.change.distortion}"


def _rows(
    loaded: Loaded,
    pictures: list[tuple[Picture, np.ndarray | str, FileFacts]],
    shared: Batches,
) -> list[Row]:
    """Embed the decoded pictures of one block; the rows come back in the order of the block."""
    results = {}
    side, most, prompted = loaded.min_side, loaded.request.encoder.max_pixels, loaded.prompted
    shapes: dict[tuple, list[tuple[Picture, np.ndarray]]] = {}
    for picture, pixels, _ in pictures:
        if isinstance(pixels, str):
            results[picture.name] = pixels
        elif prompted and not picture.prompt:
            results[picture.name] = f"it has no prompt, which {loaded.name} needs"
        elif min(pixels.shape[:2]) < side:
            height, width = pixels.shape[:2]
            results[picture.name] = (
                f"{width}x{height} is too small: {loaded.name} needs {side}x{side}"
            )
        elif most is not None and pixels.shape[0] * pixels.shape[1] > most:
            height, width = pixels.shape[:2]
            results[picture.name] = (
                f"{width}x{height} is beyond what {loaded.name} takes ({most / 1e6:g} megapixels)"
            )
        else:
            shapes.setdefault(pixels.shape, []).append((picture, pixels))
    for (height, width, _), members in shapes.items():
        for group in _batched(members, max(1, BATCH_PIXELS // (height * width))):
            results |= _embed_batch(loaded, group, shared)
    return [
        Row(picture.name, facts, results[picture.name], picture.notes(prompted))
        for picture, _, facts in pictures
    ]


def _embed_batch(
    loaded: Loaded, group: Sequence[tuple[Picture, np.ndarray]], shared: Batches
) -> dict[str, np.ndarray | str]:
    names = tuple(picture.name for picture, _ in group)
    try:
        if names not in shared:
            prompts = [picture.prompt for picture, _ in group]
            pixels = [pixels for _, pixels in group]
            # a large picture comes alone, and is not copied
            shared[names] = Batch(np.stack(pixels) if len(pixels) > 1 else pixels[0][None], prompts)
        embeddings = loaded.encode(shared[names])
    except (MemoryError, RuntimeError) as error:
        # torch reports a lack of memory as a RuntimeError of several texts; anything else is a bug
        if not isinstance(error, MemoryError) and not _MEMORY.search(str(error)):
            raise
        if len(names) > 1:
            alone = [_embed_batch(loaded, [one], shared) for one in group]
            return {name: result for part in alone for name, result in part.items()}
        height, width = group[0][1].shape[:2]
        return {names[0]: f"not enough memory for {loaded.name} at {width}x{height}"}
    finite = np.isfinite(embeddings).all(axis=1)
    return {
        name: embedding if good else f"{loaded.name} gave numbers that are not finite"
        for name, embedding, good in zip(names, embeddings, finite, strict=True)
    }


def _batched(items: Sequence, size: int) -> Iterator[Sequence]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
