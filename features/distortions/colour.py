"""Changes of colour. Pictures are (H, W, 3) uint8 RGB; lengths are in pixels."""

import numpy as np
from scipy.ndimage import gaussian_filter

from features.distortions.lab import to_lab, to_rgb
from features.distortions.pixels import to_uint8

_GREY = (0.299, 0.587, 0.114)


def diffuse(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Blur a and b of Lab by ``1.5 * strength + 2`` pixels, and multiply them by ``strength``."""
    lab = to_lab(picture)
    for channel in (1, 2):
        blurred = gaussian_filter(lab[..., channel], 1.5 * strength + 2, mode="nearest")
        lab[..., channel] = strength * blurred
    return to_uint8(255 * to_rgb(lab))


def saturate_lab(picture: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply a and b of Lab by ``factor``."""
    lab = to_lab(picture)
    lab[..., 1:] *= factor
    return to_uint8(255 * to_rgb(lab))


def shift_green(picture: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Move the green channel by ``length`` pixels in a random direction, where there are edges.

    How much of the moved channel is seen: the gradient's magnitude, blurred by a pixel and
    stretched from its 1st to its 99th percentile over 0..1. The blur is the width that explains
    the published PSNR at every level (within 0.7 dB).
    """
    angle = rng.uniform(0, 2 * np.pi)
    down, right = np.rint(length * np.array([np.sin(angle), np.cos(angle)])).astype(int)
    height, width = picture.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    green, edges = picture[..., 1], _edges(picture)
    result = picture.copy()
    result[..., 1] = to_uint8(green + edges * (green[rows][:, columns] - green.astype(float)))
    return result


def _edges(picture: np.ndarray) -> np.ndarray:
    """How much of an edge each pixel is, (H, W) on 0..1."""
    grey = np.pad(picture @ _GREY, 1, mode="edge")
    across = (grey[1:-1, 2:] - grey[1:-1, :-2]) / 2
    along = (grey[2:, 1:-1] - grey[:-2, 1:-1]) / 2
    blurred = gaussian_filter(np.hypot(across, along), 1, mode="nearest")
    low, high = np.percentile(blurred, (1, 99))
    return np.clip((blurred - low) / max(high - low, 1e-6), 0, 1)


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
