"""Tiles: large views cut so that a convolutional network sees them in pieces, with the same result.

A network of convolutions and pooling windows sees only so far. A tile is a core, whose cells count,
and a halo as wide as the network sees, whose cells do not: they alone know of the cut. The cores
part the view. They begin at multiples of the grid, the stride of the network's last stage, so that
each cell of each stage lies in one core. Every tile is as long as the whole view modulo the grid:
TensorFlow's padding depends on whether a stage's side is odd, and is the same in the tile then.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# What the views of a network that is tiled say in the cache key: tiles move the last bits. Another
# budget stands beside it.
TILED = "in tiles with a halo beyond 12000000 pixels"


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels: [start, stop) is seen, [core_start, core_stop) counts."""

    start: int
    stop: int
    core_start: int
    core_stop: int

    def cells(self, stride: int) -> slice:
        """Return the core's cells of the tile's map at that stride.

        A core ends at a multiple of the stride, or with the view, whose last cell may be cut.
        """
        first, last = self.core_start - self.start, self.core_stop - self.start
        return slice(first // stride, -(-last // stride))


def tiles(
    height: int, width: int, radius: int, grid: int, most: int
) -> Iterator[tuple[Span, Span]]:
    """Yield the tiles of a view, rows and columns; of all layouts that fit, the least to compute.

    Parameters
    ----------
    height, width : of the view, in pixels
    radius : how far beyond a cell the network sees, in pixels
    grid : stride of its last stage
    most : pixels of the largest tile

    Raises
    ------
    ValueError
        When `most` holds no tile.
    """
    halo = _up(radius, grid)
    rows, columns = (grid * np.arange(1, _up(side, grid) // grid + 1) for side in (height, width))
    (row_lengths, row_work), (column_lengths, column_work) = (
        (np.minimum(side, cores + 2 * halo + grid - 1), side + 2 * halo * ((side - 1) // cores))
        for side, cores in ((height, rows), (width, columns))
    )
    fits = np.outer(row_lengths, column_lengths) <= most
    if not fits.any():
        raise ValueError(f"a tile with a halo of {halo} pixels has more than {most} pixels")
    work = np.where(fits, np.outer(row_work, column_work), np.inf)
    row, column = np.unravel_index(np.argmin(work), work.shape)
    yield from itertools.product(
        spans(height, int(rows[row]), halo, grid), spans(width, int(columns[column]), halo, grid)
    )


def spans(side: int, core: int, halo: int, grid: int) -> list[Span]:
    """Cut one axis into cores of that length, the last one shorter.

    Parameters
    ----------
    side : length of the axis, in pixels
    core, halo : multiples of the grid
    """
    cores = ((start, min(start + core, side)) for start in range(0, side, core))
    return [
        Span(max(start - halo, 0), min(stop + halo + side % grid, side), start, stop)
        for start, stop in cores
    ]


def _up(length: int, grid: int) -> int:
    return -(-length // grid) * grid
