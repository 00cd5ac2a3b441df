"""Changes of random square patches.

Pictures are (H, W, 3) uint8 RGB. In a picture smaller than the patch, the patch is the picture's
own height or width. What is drawn is drawn for the whole picture, whatever the window.
"""

import numpy as np

from features.distortions.windows import Window

_BLOCK = 32
_PATCH = 16
_REACH = 8


def colour_blocks(
    picture: np.ndarray, n_blocks: int, rng: np.random.Generator, window: Window
) -> np.ndarray:
    """Paint ``n_blocks`` blocks of 32x32 pixels, each in one random colour; they may overlap."""
    result = picture[window.slices].copy()
    height, width = np.minimum(picture.shape[:2], _BLOCK)
    for top, left in _corners(picture, height, width, n_blocks, rng):
        colour = rng.integers(256, size=3)
        seen = window.common(Window(top, left, top + height, left + width))
        if seen:
            result[seen.seen_from(window).slices] = colour
    return result


def move(
    picture: np.ndarray, n_patches: int, rng: np.random.Generator, window: Window
) -> np.ndarray:
    """Copy ``n_patches`` patches of 16x16 pixels to a place up to 8 pixels away in each direction.

    Patches are taken from the original, so one never carries another; places stay inside it.
    """
    result = picture[window.slices].copy()
    height, width = np.minimum(picture.shape[:2], _PATCH)
    sources = _corners(picture, height, width, n_patches, rng)
    steps = rng.integers(-_REACH, _REACH, size=sources.shape, endpoint=True)
    furthest = np.subtract(picture.shape[:2], (height, width))
    targets = np.clip(sources + steps, 0, furthest)
    for (top, left), (y, x) in zip(sources, targets, strict=True):
        seen = window.common(Window(y, x, y + height, x + width))
        if seen:
            source = seen.seen_from(Window(y - top, x - left, 0, 0))
            result[seen.seen_from(window).slices] = picture[source.slices]
    return result


def _corners(
    picture: np.ndarray, height: int, width: int, n_corners: int, rng: np.random.Generator
) -> np.ndarray:
    """(n_corners, 2) top-left corners (row, column) of patches that lie inside the picture."""
    furthest = np.subtract(picture.shape[:2], (height, width))
    return rng.integers(furthest, size=(n_corners, 2), endpoint=True)
