"""Changes of colour. Pictures are (H, W, 3) uint8 RGB; lengths are in pixels."""

import numpy as np

from features.distortions.filters import filtered, gaussian
from features.distortions.lab import to_lab, to_rgb
from features.distortions.pixels import from_planes, planes_of, to_uint8
from features.distortions.windows import Window

_GREY = np.float32((0.299, 0.587, 0.114))
_TRUNCATED = 3  # standard deviations after which a wide Gaussian ends
_EDGE_REACH = 6  # of the gradient, and of a Gaussian of one pixel
_BANDS, _BAND = 8, 16  # of how many rows


def diffuse(
    picture: np.ndarray, strength: float, rng: np.random.Generator, window: Window
) -> np.ndarray:
    """Blur a and b of Lab by ``1.5 * strength + 2`` pixels, and multiply them by ``strength``."""
    taps = gaussian(1.5 * strength + 2, _TRUNCATED)
    around = window.grown(len(taps) // 2, picture.shape)
    rows, columns = window.seen_from(around).slices
    lab = to_lab(picture[around.slices])
    blurred = filtered(lab[1:], taps)[:, rows]
    lab = np.ascontiguousarray(lab[:, rows, columns])
    lab[1:] = np.float32(strength) * filtered(blurred, columns=taps)[:, :, columns]
    return from_planes(to_rgb(lab))


def saturate_lab(picture: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply a and b of Lab by ``factor``."""
    lab = to_lab(picture)
    lab[1:] *= np.float32(factor)
    return from_planes(to_rgb(lab))


def shift_green(
    picture: np.ndarray, length: float, rng: np.random.Generator, window: Window
) -> np.ndarray:
    """Move the green channel by ``length`` pixels in a random direction, where there are edges.

    How much of the moved channel is seen: the gradient's magnitude, blurred by a pixel and
    stretched from its 1st to its 99th percentile over 0..1. The blur is the width that explains
    the published PSNR at every level (within 0.7 dB). The percentiles are those of the whole
    picture, or of eight bands of it where it is large.
    """
    angle = rng.uniform(0, 2 * np.pi)
    down, right = np.rint(length * np.array([np.sin(angle), np.cos(angle)])).astype(int)
    height, width = picture.shape[:2]
    rows = np.clip(np.arange(window.top, window.bottom) - down, 0, height - 1)
    columns = np.clip(np.arange(window.left, window.right) - right, 0, width - 1)
    low, high = np.float32(np.percentile(_some_edges(picture), (1, 99)))
    edges = np.clip((_edges(picture, window) - low) / max(high - low, np.float32(1e-6)), 0, 1)
    result = picture[window.slices].copy()
    green = result[..., 1].astype(np.float32)
    moved = picture[:, columns[0] : columns[-1] + 1, 1][rows][:, columns - columns[0]]
    result[..., 1] = to_uint8(green + edges * (moved - green))
    return result


def _some_edges(picture: np.ndarray) -> np.ndarray:
    """The edges of the whole picture, or of bands of it where it is large, as one row."""
    height, width = picture.shape[:2]
    if height <= _BANDS * _BAND:
        return _edges(picture, Window.whole(picture.shape)).ravel()
    tops = np.linspace(0, height - _BAND, _BANDS).astype(int)
    bands = [Window(int(top), 0, int(top) + _BAND, width) for top in tops]
    return np.concatenate([_edges(picture, band).ravel() for band in bands])


def _edges(picture: np.ndarray, window: Window) -> np.ndarray:
    """How strong an edge each pixel of a window is, (H, W)."""
    around = window.grown(_EDGE_REACH, picture.shape)
    red, green, blue = planes_of(picture[around.slices])
    grey = np.pad(_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue, 1, mode="edge")
    across = (grey[1:-1, 2:] - grey[1:-1, :-2]) / 2
    along = (grey[2:, 1:-1] - grey[:-2, 1:-1]) / 2
    taps = gaussian(1.0)
    blurred = filtered(np.sqrt(across * across + along * along), taps, taps)
    return blurred[window.seen_from(around).slices]


def saturate_hsv(picture: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply the HSV saturation by ``factor``.

    At fixed hue and value a channel is ``value * (1 - saturation * k)`` with k from the hue alone,
    so its distance from the value (the largest channel) scales with the saturation. A negative
    factor makes channels brighter than the value, up to 255.
    """
    planes = planes_of(picture)
    value = np.maximum(np.maximum(planes[0], planes[1]), planes[2])
    planes -= value
    planes *= np.float32(factor)
    planes += value
    return from_planes(planes)


def shift_mean(picture: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Add ``shift``, on the 0..1 range, to every channel."""
    return to_uint8(np.arange(256) + 255.0 * shift).take(picture, mode="clip")
