"""Changes of colour and tone, pixel by pixel. Pictures are (H, W, 3) uint8 RGB."""

import numpy as np

from features.distortions.pixels import to_uint8


def saturate_hsv(picture: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply the HSV saturation by ``factor``.

    At fixed hue and value a channel is ``value * (1 - saturation * k)`` with k from the hue alone,
    so its distance from the value (the largest channel) scales with the saturation. A negative
    factor makes channels brighter than the value, up to 255.
    """
    value = picture.max(axis=2, keepdims=True).astype(np.float64)
    return to_uint8(value + factor * (picture - value))


def shift_mean(picture: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Add ``shift``, on the 0..1 range, to every channel."""
    return to_uint8(picture + 255.0 * shift)
