"""Changes of random square patches.

Pictures are (H, W, 3) uint8 RGB. In a picture smaller than the patch, the patch is the picture's
own height or width.
"""

import numpy as np

_BLOCK = 32
_PATCH = 16
_REACH = 8


def colour_blocks(picture: np.ndarray, n_blocks: int, rng: np.random.Generator) -> np.ndarray:
    """Paint ``n_blocks`` blocks of 32x32 pixels, each in one random colour; they may overlap."""
    result = picture.copy()
    height, width = np.minimum(picture.shape[:2], _BLOCK)
    for top, left in _corners(picture, height, width, n_blocks, rng):
        result[top : top + height, left : left + width] = rng.integers(256, size=3)
    return result


def move(picture: np.ndarray, n_patches: int, rng: np.random.Generator) -> np.ndarray:
    """Copy ``n_patches`` patches of 16x16 pixels to a place up to 8 pixels away in each direction.

    Patches are taken from the original, so one never carries another; places stay inside it.
    """
    result = picture.copy()
    height, width = np.minimum(picture.shape[:2], _PATCH)
    sources = _corners(picture, height, width, n_patches, rng)
    steps = rng.integers(-_REACH, _REACH, size=sources.shape, endpoint=True)
    furthest = np.subtract(picture.shape[:2], (height, width))
    targets = np.clip(sources + steps, 0, furthest)
    for (top, left), (y, x) in zip(sources, targets, strict=True):
        result[y : y + height, x : x + width] = picture[top : top + height, left : left + width]
    return result


def _corners(
    picture: np.ndarray, height: int, width: int, n_corners: int, rng: np.random.Generator
) -> np.ndarray:
    """(n_corners, 2) top-left corners (row, column) of patches that lie inside the picture."""
    furthest = np.subtract(picture.shape[:2], (height, width))
    return rng.integers(furthest, size=(n_corners, 2), endpoint=True)
