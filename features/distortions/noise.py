"""Noise, independent for every pixel and channel.

Pictures are (H, W, 3) uint8 RGB; variances are on the 0..1 range of values.
"""

import numpy as np

from features.distortions.pixels import to_uint8


def gaussian(picture: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise."""
    return to_uint8(picture + 255 * np.sqrt(variance) * rng.standard_normal(picture.shape))


def impulse(picture: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Set a ``share`` (0..1) of the values to 0 or 255, half each."""
    draw = rng.random(picture.shape)
    return np.where(draw < share, np.where(draw < share / 2, 0, 255), picture).astype(np.uint8)


def multiplicative(picture: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Speckle: add Gaussian noise in proportion to the value itself."""
    return to_uint8(picture * (1 + np.sqrt(variance) * rng.standard_normal(picture.shape)))
