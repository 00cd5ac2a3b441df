"""Rows of many shards, read in any order, as bytes."""

import collections
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from features.cache.columns import Layout, damaged

_OPEN_SHARDS = 64


class Gatherer:
    """Shard files that rows are read from, a few of them open at a time."""

    def __init__(self, files: Sequence[tuple[Path, Layout]]) -> None:
        self.files = files
        self._open: collections.OrderedDict[int, int] = collections.OrderedDict()

    def __enter__(self) -> "Gatherer":
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def rows(self, source: np.ndarray, row_bytes: int) -> memoryview:
        """Return the bytes of some rows; neighbours are read at once."""
        data = memoryview(bytearray(len(source) * row_bytes))
        for start, stop in _runs(source):
            shard, row = source[start].tolist()
            path, layout = self.files[shard]
            view = data[start * row_bytes : stop * row_bytes]
            offset = layout.offset + row * row_bytes
            while view:
                n = os.preadv(self._handle(shard), [view], offset)
                if not n:
                    raise damaged(path, "it became shorter while it was read")
                view, offset = view[n:], offset + n
        return data

    def _handle(self, shard: int) -> int:
        if shard not in self._open:
            if len(self._open) >= _OPEN_SHARDS:
                os.close(self._open.popitem(last=False)[1])
            self._open[shard] = os.open(self.files[shard][0], os.O_RDONLY)
        self._open.move_to_end(shard)
        return self._open[shard]


def _runs(source: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of rows that lie one behind the other in one shard."""
    step = np.diff(source, axis=0)
    cuts = np.flatnonzero((step[:, 0] != 0) | (step[:, 1] != 1)) + 1
    edges = [0, *cuts.tolist(), len(source)]
    yield from itertools.pairwise(edges)
