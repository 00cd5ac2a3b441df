"""Noise, independent for every pixel and channel.

Pictures are (H, W, 3) uint8 RGB; variances are on the 0..1 range of values.
"""

import numpy as np
from PIL import Image, ImageFilter

from features.distortions.pixels import to_uint8

# RGB on 0..1 to Y, Cb and Cr of ITU-R BT.601 as video has them: Y has 219, Cb and Cr 224 steps of
# 255. The offsets cancel on the way back.
_YCBCR = (
    np.array(
        [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]],
    )
    / 255
)
_SMOOTHERS = (ImageFilter.GaussianBlur(3), ImageFilter.BoxBlur(2))


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


def colour_map(picture: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise to Y, Cb and Cr."""
    added = np.sqrt(variance) * rng.standard_normal(picture.shape)
    return to_uint8(picture + 255 * added @ np.linalg.inv(_YCBCR).T)


def denoised(picture: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise and smooth it away: by a Gaussian or a box, at random."""
    smoother = _SMOOTHERS[rng.integers(len(_SMOOTHERS))]
    return np.array(Image.fromarray(gaussian(picture, variance, rng)).filter(smoother))
