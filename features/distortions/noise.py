"""Noise, independent for every pixel and channel.

Pictures are (H, W, 3) uint8 RGB; variances are on the 0..1 range of values.
"""

import functools

import numpy as np

from features.distortions.filters import box, filtered, three_boxes
from features.distortions.pixels import from_planes, planes_of, to_uint8

# RGB on 0..1 to Y, Cb and Cr of ITU-R BT.601 as video has them: Y has 219, Cb and Cr 224 steps of
# 255. The offsets cancel on the way back.
_YCBCR = (
    np.array(
        [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]],
    )
    / 255
)
_BACK = np.linalg.inv(_YCBCR).T.astype(np.float32)
_SMOOTHERS = (three_boxes(3), box(5))


def normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return standard normal numbers, float32.

    Each is one of 65,536 equally probable quantiles, which is as fine as any that becomes a byte
    can show, and drawn three times as fast.
    """
    return _quantiles().take(rng.integers(65536, size=shape, dtype=np.uint16), mode="clip")


@functools.cache
def _quantiles() -> np.ndarray:
    from scipy.special import ndtri  # a tenth of a second, which not every start need wait for

    return ndtri((np.arange(65536) + 0.5) / 65536).astype(np.float32)


def gaussian(picture: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise."""
    noise = normal(picture.shape, rng)
    noise *= np.float32(255 * np.sqrt(variance))
    noise += picture
    return to_uint8(noise)


def impulse(picture: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Set a ``share`` (0..1) of the values to 0 or 255, half each."""
    draw = rng.integers(65536, size=picture.shape, dtype=np.uint16)
    result = picture.copy()
    result[draw < round(65536 * share)] = 255
    result[draw < round(32768 * share)] = 0
    return result


def multiplicative(picture: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Speckle: add Gaussian noise in proportion to the value itself."""
    factor = normal(picture.shape, rng)
    factor *= np.float32(np.sqrt(variance))
    factor += 1
    factor *= picture
    return to_uint8(factor)


def colour_map(picture: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise to Y, Cb and Cr."""
    added = normal(picture.shape, rng) @ (np.float32(255 * np.sqrt(variance)) * _BACK)
    added += picture
    return to_uint8(added)


def denoised(picture: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise and smooth it away: by a Gaussian or a box, at random."""
    smoother = _SMOOTHERS[rng.integers(len(_SMOOTHERS))]
    noisy = planes_of(gaussian(picture, variance, rng))
    return from_planes(filtered(noisy, smoother, smoother) + np.float32(0.5))
