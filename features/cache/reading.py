"""Shard files read at the speed of the disk: checked and copied once, in a few threads.

A shard is checked against the index in pieces, each with its SHA-256: a small one is one piece, a
packed file has many. Checking and copying are one pass over the bytes, through a buffer that stays
in the processor's cache; hashlib and readinto let other threads run meanwhile, HDF5 does not. So
HDF5 is only asked what a file says of its rows, and where in it the embeddings lie.
"""

import collections
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.cache.columns import Layout, damaged, unreadable

BUFFER_BYTES = 1 << 20
THREADS = max(2, min(8, os.cpu_count() or 1))


@dataclass(frozen=True)
class Piece:
    """Some bytes of a shard file, and their SHA-256."""

    path: Path
    start: int
    stop: int | None  # None: to the end
    sha256: str


def pieces(path: Path, entry: Mapping) -> list[Piece]:
    """Return the pieces in which a shard is checked, from its entry in the index."""
    listed = entry.get("pieces")
    if not listed:
        return [Piece(path, 0, None, entry["sha256"])]
    starts = [0, *(stop for stop, _ in listed[:-1])]
    whole = [
        Piece(path, start, stop, sha256)
        for start, (stop, sha256) in zip(starts, listed, strict=True)
    ]
    last = whole[-1]
    return [*whole[:-1], Piece(path, last.start, None, last.sha256)]


def check(path: Path, entry: Mapping) -> None:
    """Read a shard file once, in little memory.

    Raises
    ------
    InputError
        When it cannot be read, or is not the one that the index lists.
    """
    for piece in pieces(path, entry):
        copy(piece)


def outside(data: bytes, layout: Layout) -> list:
    """Return what the index says of a shard's bytes that are no embeddings; see `check_outside`."""
    found = hashlib.sha256(data[: layout.offset])
    found.update(data[layout.stop :])
    return [layout.offset, layout.stop, found.hexdigest()]


def check_outside(path: Path, entry: Mapping) -> None:
    """Check all of a shard file but the embeddings, which is little.

    HDF5 may hang or crash on a damaged file: it is to see none. An index of before `outside` was
    written there has only the checksum of the whole.

    Raises
    ------
    InputError
        When it cannot be read, or is not the one that the index lists.
    """
    if "outside" not in entry:
        check(path, entry)
        return
    start, stop, sha256 = entry["outside"]
    try:
        with open(path, "rb") as file:
            found = hashlib.sha256(file.read(start))
            file.seek(stop)
            while data := file.read(BUFFER_BYTES):
                found.update(data)
    except OSError as error:
        raise unreadable(path, error) from error
    if found.hexdigest() != sha256:
        raise damaged(path)


def copy(
    piece: Piece,
    layout: Layout | None = None,
    rows: np.ndarray | None = None,
    out: np.ndarray | None = None,
) -> None:
    """Check a piece of a shard file, and copy the embeddings in it to their places.

    Parameters
    ----------
    rows : (layout.n,) the row of `out` for each row of the shard, -1 for none
    out : (m, n_dims) float32

    Raises
    ------
    InputError
        When the file cannot be read, or these are not the bytes that were written. `out` then holds
        some of them.
    """
    found = hashlib.sha256()
    step = BUFFER_BYTES
    if layout is not None:
        step = max(1, BUFFER_BYTES // layout.row_bytes) * layout.row_bytes
    buffer = memoryview(bytearray(step))
    try:
        with open(piece.path, "rb", buffering=0) as file:
            stop = os.fstat(file.fileno()).st_size if piece.stop is None else piece.stop
            file.seek(piece.start)
            for start, end in _steps(piece.start, stop, layout, step):
                view = buffer[: end - start]
                if not _fill(file, view):
                    raise damaged(piece.path)
                found.update(view)
                if layout is not None and layout.offset <= start < layout.stop:
                    first, cut = divmod(start - layout.offset, layout.row_bytes)
                    if cut or len(view) % layout.row_bytes:
                        raise damaged(piece.path, "a piece of it cuts a row")
                    block = np.frombuffer(view, layout.dtype).reshape(-1, layout.n_dims)
                    _place(block, rows[first : first + len(block)], out)
    except OSError as error:
        raise unreadable(piece.path, error) from error
    if found.hexdigest() != piece.sha256:
        raise damaged(piece.path)


def _steps(start: int, stop: int, layout: Layout | None, step: int) -> Iterator[tuple[int, int]]:
    """Cut bytes so that no row is cut: before the embeddings, whole rows, behind them."""
    while start < stop:
        end = min(start + step, stop)
        if layout is not None:
            for edge in (layout.offset, layout.stop):
                if start < edge < end:
                    end = edge
                    break
        yield start, end
        start = end


def _fill(file, view: memoryview) -> bool:
    while view:
        n = file.readinto(view)
        if not n:
            return False
        view = view[n:]
    return True


def _place(block: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    first, n = rows[0], len(rows)
    if first >= 0 and rows[-1] - first == n - 1 and (np.diff(rows) == 1).all():
        out[first : first + n] = block  # the common case, in order of name
    else:
        wanted = rows >= 0
        out[rows[wanted]] = block[wanted]


def ahead(function: Callable, items: Iterable, threads: int = THREADS) -> Iterator:
    """Yield function(item) in order, a few of them ahead in threads, and never more than that."""
    waiting: collections.deque = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for task in waiting:
                task.cancel()
