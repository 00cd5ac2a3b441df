"""The pictures of a run: read by need, reduced, some of them kept."""

import collections
from collections.abc import Sequence

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from features.decode import MAX_MEGAPIXELS, read_picture
from features.sources import Source

_KEPT = 600_000_000  # bytes of decoded pictures that a process keeps


class Pictures:
    """Pictures by number, at one of several sizes.

    Attributes
    ----------
    least : the shorter side that a picture must have; a smaller one is enlarged
    failed : number -> why that picture cannot be read
    enlarged : numbers of the pictures that were too small
    """

    def __init__(
        self,
        sources: Sequence[Source],
        least: int = 0,
        max_megapixels: float = MAX_MEGAPIXELS,
        kept: int = _KEPT,
    ) -> None:
        self.sources = list(sources)
        self.least = least
        self.failed: dict[int, str] = {}
        self.enlarged: set[int] = set()
        self._max_megapixels = max_megapixels
        self._room = kept
        self._kept: collections.OrderedDict[tuple, np.ndarray] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self.sources)

    def read(self, number: int, side: int = 0) -> np.ndarray | None:
        """Return a picture, (height, width, 3) uint8, None where it cannot be read.

        Parameters
        ----------
        side : the longer side that it is reduced to, if it is longer; 0 leaves it as it is
        """
        if number in self.failed:
            return None
        if (number, side) in self._kept:
            self._kept.move_to_end((number, side))
            return self._kept[number, side]
        picture, _ = read_picture(self.sources[number], self._max_megapixels)
        if isinstance(picture, str):
            self.failed[number] = picture
            return None
        small = reduced(picture, side)
        picture = large_enough(small, self.least)
        if picture is not small:
            self.enlarged.add(number)
        self._keep((number, side), picture)
        return picture

    def _keep(self, key: tuple, picture: np.ndarray) -> None:
        if picture.nbytes > self._room:
            return
        self._kept[key] = picture
        while sum(one.nbytes for one in self._kept.values()) > self._room:
            self._kept.popitem(last=False)


def reduced(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture whose longer side is at most `side` pixels (0: any), by Lanczos."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if not side or scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(picture).resize(size, Resampling.LANCZOS, reducing_gap=3.0))


def large_enough(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture whose shorter side is at least `side`: enlarged by bicubics where it is not.

    Parameters
    ----------
    picture : (height, width, 3) uint8
    """
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    if scale <= 1:
        return picture
    size = max(side, round(width * scale)), max(side, round(height * scale))
    return np.array(Image.fromarray(picture).resize(size, Resampling.BICUBIC))
