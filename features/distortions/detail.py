"""Detail made too strong, or moved. Pictures are (H, W, 3) uint8 RGB; lengths are in pixels."""

import numpy as np
from scipy.ndimage import laplace, map_coordinates

from features.distortions.lab import to_lab, to_rgb
from features.distortions.pixels import to_uint8

_WARPS = 5


def sharpen(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Subtract ``strength`` times its Laplacian (four neighbours) from the L of Lab.

    The published code hands 0..255 to a Lab conversion made for 0..1, which turns every picture
    nearly white; here the values are those that it is made for.
    """
    lab = to_lab(picture)
    lab[..., 0] = np.clip(lab[..., 0] - strength * laplace(lab[..., 0], mode="nearest"), 0, 100)
    return to_uint8(255 * to_rgb(lab))


def jitter(picture: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Move every pixel by Gaussian steps of ``sigma`` pixels, five times, by cubic splines."""
    values = picture.astype(np.float32)
    grid = np.indices(picture.shape[:2], dtype=np.float32)
    for _ in range(_WARPS):
        places = grid + sigma * rng.standard_normal(grid.shape, dtype=np.float32)
        values = np.stack(
            [
                map_coordinates(channel, places, mode="nearest")
                for channel in values.transpose(2, 0, 1)
            ],
            axis=2,
        )
    return to_uint8(values)
