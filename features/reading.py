"""Pictures made ready for the encoders, ahead of them: read, decoded, distorted, cut into views."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from features.decode import FileFacts, file_facts, read_picture
from features.encoders.base import View
from features.loading import Loaded
from features.plan import Block, Picture

THREADS = 2
AHEAD_BYTES = 1_000_000_000
# The views of a picture beyond this are made while no other such picture's are: they may take many
# bytes a pixel.
LARGE_PIXELS = 12_000_000


@dataclass
class Ready:
    """One picture, decoded and cut into views; what is not needed any more is let go of."""

    picture: Picture
    facts: FileFacts
    shape: tuple[int, ...] = (0, 0)
    made: dict[View, np.ndarray] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # encoder -> reason

    def n_bytes(self) -> int:
        """Return what its views hold."""
        return sum(array.nbytes for array in self.made.values())

    def keep(self, views: set[View]) -> int:
        """Let go of all other views, and return how many bytes those had."""
        before = self.n_bytes()
        self.made = {view: array for view, array in self.made.items() if view in views}
        return before - self.n_bytes()


@dataclass(frozen=True)
class File:
    """What became of one picture file: the pictures of a block that are made of it.

    Attributes
    ----------
    seconds : that reading, decoding and making views took
    pixels : that were decoded; 0 where it could not be read
    """

    pictures: list[Ready]
    seconds: float
    pixels: int

    def n_bytes(self) -> int:
        """Return what its views hold."""
        return sum(ready.n_bytes() for ready in self.pictures)


class Reader:
    """Makes pictures ready in threads: Pillow lets go of the interpreter."""

    def __init__(self, encoders: Sequence[Loaded], max_megapixels: float) -> None:
        self._encoders = encoders
        self._max_megapixels = max_megapixels
        self._threads = ThreadPoolExecutor(THREADS, "decode")
        self._large = threading.Lock()
        self.room = Room(AHEAD_BYTES)
        self._tickets = 0

    def start(self, block: Block) -> list[Future[File]]:
        """Begin with a block; one task for each file, in the order of the block."""
        # the versions of one picture share its pixels, and lie together: names begin alike
        tasks = []
        for _, same in groupby(block.pictures, lambda picture: picture.path):
            self._tickets += 1
            task = self._threads.submit(self._read, block, list(same), self._tickets)
            task.ticket = self._tickets
            tasks.append(task)
        return tasks

    def result(self, task: Future[File]) -> File:
        """Return what a task gives; it need not wait for room any more."""
        self.room.call(task.ticket)
        return task.result()

    def drop(self, tasks: Sequence[Future[File]]) -> None:
        """Let go of tasks that nobody wants any more."""
        for task in tasks:
            if not task.cancel():
                self.room.free(self.result(task).n_bytes())

    def close(self) -> None:
        """Let the threads go."""
        self.room.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, block: Block, pictures: list[Picture], ticket: int) -> File:
        self.room.wait(ticket)
        began = time.perf_counter()
        path = pictures[0].path
        refused = block.refused.get(pictures[0].name)
        read = (refused, file_facts(path)) if refused else read_picture(path, self._max_megapixels)
        file = File(
            [self._ready(block, picture, *read) for picture in pictures],
            time.perf_counter() - began,
            0 if isinstance(read[0], str) else read[0].shape[0] * read[0].shape[1],
        )
        self.room.take(file.n_bytes())
        return file

    def _ready(
        self, block: Block, picture: Picture, pixels: np.ndarray | str, facts: FileFacts
    ) -> Ready:
        ready = Ready(picture, facts)
        wanting = [one for one in self._encoders if block.wants(one.name, picture.name)]
        if picture.change and not isinstance(pixels, str):
            pixels = _changed(pixels, picture)
        if isinstance(pixels, str):
            ready.failed = dict.fromkeys((encoder.name for encoder in wanting), pixels)
            return ready
        ready.shape = pixels.shape
        for encoder in wanting:
            reason = encoder.refusal(pixels.shape, picture.prompt)
            try:
                for view in () if reason else encoder.views:
                    if view not in ready.made:
                        ready.made[view] = self._view(pixels, view)
            except MemoryError:
                reason = encoder.no_memory(pixels.shape)
            if reason:
                ready.failed[encoder.name] = reason
        return ready

    def _view(self, pixels: np.ndarray, view: View) -> np.ndarray:
        function, *arguments = view
        if pixels.shape[0] * pixels.shape[1] <= LARGE_PIXELS:
            return function(pixels, *arguments)
        with self._large:
            return function(pixels, *arguments)


class Room:
    """A limit on the bytes that are decoded ahead; whoever is before it waits.

    Each comes with a number. Whoever is called may pass in any case: what is held may be further
    on in the line, and is let go of only after the one that is waited for.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._called = 0
        self._changed = threading.Condition()

    def wait(self, ticket: int) -> None:
        """Wait until there is room, or this number is called."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._limit or ticket <= self._called)

    def call(self, ticket: int) -> None:
        """Let everyone pass up to this number."""
        with self._changed:
            self._called = max(self._called, ticket)
            self._changed.notify_all()

    def take(self, n_bytes: int) -> None:
        """Hold so many bytes more."""
        with self._changed:
            self._held += n_bytes

    def free(self, n_bytes: int) -> None:
        """Hold so many bytes less."""
        with self._changed:
            self._held -= n_bytes
            self._changed.notify_all()

    def close(self) -> None:
        """Let everyone pass from now on."""
        with self._changed:
            self._limit = 1 << 62
            self._changed.notify_all()


def _changed(pixels: np.ndarray, picture: Picture) -> np.ndarray | str:
    try:
        return picture.change(pixels)
    except MemoryError:
        return f"not enough memory for {picture.change.distortion}"
