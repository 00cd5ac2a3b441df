"""Pairs of crops of distorted pictures: cut first, then distorted.

Re-IQA distorts a whole picture eleven times and then cuts two crops of 160 pixels out of each
version, at full and at half size. Here only what the crops depend on is distorted
(`features.distortions.distort` with a window), which gives the same crops.

Crops are (side, side, 3) uint8 RGB.
"""

from dataclasses import dataclass

import numpy as np

from features.distortions import DISTORTIONS, N_LEVELS, distort
from features.distortions.windows import Window

_REACH = 6  # pixels that the bicubic half takes from on either side are 4; even, to keep the grid


@dataclass(frozen=True)
class Crops:
    """What is cut from each picture; the defaults are Re-IQA's.

    Attributes
    ----------
    side : of a crop, in pixels
    overlap : least and most share of their area that the two crops of a pair have in common
    distorted : versions beside the picture itself, each by another type of distortion
    """

    side: int = 160
    overlap: tuple[float, float] = (0.1, 0.3)
    distorted: int = 11

    @property
    def n_pairs(self) -> int:
        """Pairs a picture: every version at full and at half size."""
        return 2 * (1 + self.distorted)


@dataclass(frozen=True)
class Version:
    """A distortion, its level, and the seed of what it draws; no name is the picture itself."""

    name: str = ""
    level: int = 0
    seed: int = 0

    def __call__(self, picture: np.ndarray, window: Window) -> np.ndarray:
        """Return that window of the version, (height, width, 3) uint8."""
        if not self.name:
            return picture[window.slices]
        rng = np.random.Generator(np.random.SFC64(self.seed))  # the fastest
        return distort(picture, self.name, self.level, rng, window)


def versions(n: int, rng: np.random.Generator) -> list[Version]:
    """Return the picture itself and `n` versions, no type of distortion twice."""
    names = rng.choice(sorted(DISTORTIONS), size=n, replace=False)
    levels, seeds = rng.integers(N_LEVELS, size=n), rng.integers(2**63, size=n)
    drawn = zip(names, levels, seeds, strict=True)
    return [Version(), *(Version(str(name), int(level), int(seed)) for name, level, seed in drawn)]


def places(within: Window, crops: Crops, rng: np.random.Generator) -> tuple[Window, Window]:
    """Return the places of a pair's two crops.

    The share that they have in common is uniform in `overlap`. They lie beside or above each other,
    and against each other by up to three tenths of a side: both within a small part of the picture.
    Where there is no room for that, they lie as far apart as there is.

    Raises
    ------
    ValueError
        When not one crop fits.
    """
    side, height, width = crops.side, within.height, within.width
    if min(height, width) < side:
        raise ValueError(f"expected {side}x{side} pixels or more, got {width}x{height}")
    common = rng.uniform(*crops.overlap)
    wide = rng.uniform(0.7, 1)  # of the part in common, in sides
    steps = np.rint([side * (1 - common / wide), side * (1 - wide)]).astype(int)
    if rng.integers(2):
        steps = steps[::-1]
    steps = np.minimum(steps, (height - side, width - side))
    corner = rng.integers(np.subtract((height, width), steps + side), endpoint=True)
    first, second = corner, corner + steps
    if rng.integers(2):  # the other diagonal
        first, second = (corner[0], second[1]), (second[0], corner[1])
    if rng.integers(2):
        first, second = second, first
    return tuple(
        Window(top, left, top + side, left + side)
        for top, left in ((int(y) + within.top, int(x) + within.left) for y, x in (first, second))
    )


def pairs(picture: np.ndarray, rng: np.random.Generator, crops: Crops) -> np.ndarray:
    """Return the pairs of one picture.

    Parameters
    ----------
    picture : (height, width, 3) uint8, both sides at least twice that of a crop

    Returns
    -------
    (2, n_pairs, side, side, 3) uint8: the queries and their keys. First all versions at full size,
    then at half size. In one half of the versions, another one at each size, the two crops change
    sides: so there are queries and keys that show the same place under different distortions.
    """
    # of an odd side the last line goes, so that half of it is exactly half
    height, width = (n // 2 * 2 for n in picture.shape[:2])
    picture = picture[:height, :width]
    drawn = versions(crops.distorted, rng)
    at_half = places(Window(0, 0, height // 2, width // 2), crops, rng)
    half_whole = at_half[0].joined(at_half[1])
    around = half_whole.doubled.grown(_REACH, picture.shape)
    # within what is distorted for those at half size anyway
    at_full = places(around, crops, rng)
    found = np.empty((2, crops.n_pairs, crops.side, crops.side, 3), np.uint8)
    n, swapped = len(drawn), len(drawn) // 2
    for index, version in enumerate(drawn):
        large = version(picture, around)
        small = halved(large)[half_whole.doubled.seen_from(around).halved.slices]
        for offset, part, place, windows in (
            (0, large, around, at_full),
            (n, small, half_whole, at_half),
        ):
            swap = (index < swapped) == (offset == 0)
            for side, window in zip(
                found[:, offset + index], windows[:: -1 if swap else 1], strict=True
            ):
                side[...] = part[window.seen_from(place).slices]
    return found


def halved(picture: np.ndarray) -> np.ndarray:
    """Return an (H, W, 3) uint8 picture of even sides at half size: Pillow's bicubics, to a level.

    Torch's kernel for bytes is several times as fast.
    """
    import torch  # here: the settings of a run are read where torch is not

    batch = torch.from_numpy(np.require(picture, requirements="CW")).permute(2, 0, 1)[None]
    size = picture.shape[0] // 2, picture.shape[1] // 2
    small = torch.nn.functional.interpolate(batch, size, mode="bicubic", antialias=True)
    return small[0].permute(1, 2, 0).numpy()
