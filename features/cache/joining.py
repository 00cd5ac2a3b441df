"""Several folders side by side: which rows all of them have, and their numbers in one array."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from features.cache.columns import Layout, ShardGone, damaged, read_columns
from features.cache.folder import CacheFolder
from features.cache.reading import Piece, ahead, check_outside, copy, pieces
from features.cache.shards import OK
from features.errors import InputError

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Located:
    """Where the newest row of each name of a folder lies.

    Attributes
    ----------
    entries, layouts : of each shard, in order of writing
    row : name -> its row, counted through all shards; names with an embedding only
    failures : name -> reason
    """

    folder: CacheFolder
    entries: list[dict]
    layouts: list[Layout]
    row: dict[str, int]
    failures: dict[str, str]

    @classmethod
    def of(cls, folder: CacheFolder) -> "Located":
        """Read the names of a folder; the embeddings are checked when they are read.

        Raises
        ------
        InputError
            When a shard is not there, or no shard.
        """
        entries, layouts = folder.shards(), []
        rows: dict[str, int] = {}
        failures: dict[str, str] = {}
        start = 0
        for entry in entries:
            path = folder.path / entry["file"]
            check_outside(path, entry)
            columns = read_columns(path, facts=False)
            if (columns.layout.n_dims, columns.layout.n) != (folder.n_dims, entry["rows"]):
                raise damaged(path, "it is of another size than its index and settings say")
            layouts.append(columns.layout)
            for row, (name, status) in enumerate(
                zip(columns.names, columns.status, strict=True), start
            ):
                if status == OK:
                    rows[name] = row
                    failures.pop(name, None)
                else:
                    failures[name] = status
                    rows.pop(name, None)
            start += columns.layout.n
        return cls(folder, entries, layouts, rows, failures)


def in_all(located: Sequence[Located]) -> tuple[list[str], dict[str, str]]:
    """Return the names that every folder has an embedding of, and the reasons of those that fail.

    Returns
    -------
    names : sorted
    failures : name -> reason, sorted by name
    """
    first, *others = located
    names = sorted(name for name in first.row if all(name in other.row for other in others))
    failures = {name: why for one in located for name, why in one.failures.items()}
    return names, dict(sorted(failures.items()))


def read_embeddings(
    located: Sequence[Located], names: Sequence[str]
) -> tuple[np.ndarray, dict[str, slice]]:
    """Read the embeddings of some names, checking what is read.

    Returns
    -------
    embeddings : (n, d) float32, in the order of the names
    columns : encoder name -> slice of the d columns

    Raises
    ------
    InputError
        When a shard is damaged or not there any more.
    """
    stops = np.cumsum([one.folder.n_dims for one in located]).tolist()
    starts = [0, *stops[:-1]]
    try:
        embeddings = np.empty((len(names), stops[-1]), np.float32)
    except MemoryError:
        size = len(names) * stops[-1] * 4 / 1e9
        raise InputError(
            f"{len(names)} embeddings of {stops[-1]} numbers need {size:.1f} GB of memory: load "
            "fewer with names"
        ) from None
    columns = {
        one.folder.encoder: slice(start, stop)
        for one, start, stop in zip(located, starts, stops, strict=True)
    }
    tasks = itertools.chain.from_iterable(
        _tasks(one, names, embeddings[:, columns[one.folder.encoder]]) for one in located
    )
    for _ in ahead(lambda task: copy(*task), tasks):
        pass
    return embeddings, columns


def _tasks(
    one: Located, names: Sequence[str], out: np.ndarray
) -> Iterator[tuple[Piece, Layout, np.ndarray, np.ndarray]]:
    """Yield what `copy` is to do; shards that no row is wanted of are read when all are wanted."""
    total = sum(layout.n for layout in one.layouts)
    places = np.full(total, -1, np.int64)
    rows = np.fromiter((one.row[name] for name in names), np.int64, len(names))
    places[rows] = np.arange(len(names))
    everything = len(names) == len(one.row)
    start = 0
    for entry, layout in zip(one.entries, one.layouts, strict=True):
        wanted = places[start : start + layout.n]
        start += layout.n
        cut = pieces(one.folder.path / entry["file"], entry)
        if everything or (wanted >= 0).any():
            yield from (
                (piece, layout, wanted, out)
                for piece in cut
                if everything or _touches(piece, layout, wanted)
            )


def _touches(piece: Piece, layout: Layout, wanted: np.ndarray) -> bool:
    """Tell whether a piece holds a wanted row, or what the file says of its rows."""
    if piece.stop is None or piece.start < layout.offset or piece.stop > layout.stop:
        return True
    first = (piece.start - layout.offset) // layout.row_bytes
    last = (piece.stop - layout.offset) // layout.row_bytes
    return bool((wanted[first:last] >= 0).any())


def again(folders: list[CacheFolder], read: Callable[[list[CacheFolder]], _Read]) -> _Read:
    """Read, and once more where shards went meanwhile, as when another process packs them."""
    for _ in range(3):
        before = [folder.shards() for folder in folders]
        try:
            return read(folders)
        except ShardGone:
            if before == [folder.shards() for folder in folders]:
                raise
    return read(folders)
