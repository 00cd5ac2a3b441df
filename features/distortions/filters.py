"""Separable filters as matrix products, on planes (3, H, W) or (H, W) of float32.

Every stretch of `_BLOCK` rows or columns takes the same small matrix of shifted weights, so that a
filter of any width runs at the speed of matrix products. Edge pixels repeat outwards.
"""

import functools
import math

import numpy as np

_BLOCK = 64
Taps = tuple[float, ...]  # an odd number of weights, the middle one for the pixel itself


def filtered(planes: np.ndarray, rows: Taps = (1.0,), columns: Taps = (1.0,)) -> np.ndarray:
    """Return planes filtered along their columns by `rows` and along their rows by `columns`."""
    if len(rows) > 1:
        planes = _down(planes, rows)
    if len(columns) > 1:
        planes = _down(planes.swapaxes(-1, -2), columns).swapaxes(-1, -2)
    return planes


def _down(planes: np.ndarray, taps: Taps) -> np.ndarray:
    """Filter along the second to last axis."""
    height, reach = planes.shape[-2], len(taps) // 2
    n_blocks = -(-height // _BLOCK)
    places = np.arange(-reach, n_blocks * _BLOCK + reach).clip(0, height - 1)
    padded = planes.take(places, axis=-2)
    matrix = _matrix(taps)
    result = np.empty((*planes.shape[:-2], n_blocks * _BLOCK, planes.shape[-1]), np.float32)
    for start in range(0, n_blocks * _BLOCK, _BLOCK):
        part = padded[..., start : start + _BLOCK + 2 * reach, :]
        np.matmul(matrix, part, out=result[..., start : start + _BLOCK, :])
    return result[..., :height, :]


@functools.lru_cache(maxsize=64)
def _matrix(taps: Taps) -> np.ndarray:
    """The weights of a block's pixels, each row one further: (_BLOCK, _BLOCK + len(taps) - 1)."""
    matrix = np.zeros((_BLOCK, _BLOCK + len(taps) - 1), np.float32)
    for row in range(_BLOCK):
        matrix[row, row : row + len(taps)] = taps
    return matrix


@functools.cache
def gaussian(sigma: float, truncate: float = 4.0) -> Taps:
    """Return a Gaussian's weights, of sum 1, as `scipy.ndimage.gaussian_filter` has them."""
    reach = int(truncate * sigma + 0.5)
    weights = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    return tuple((weights / weights.sum()).tolist())


@functools.cache
def three_boxes(sigma: float) -> Taps:
    """Return the weights of three boxes in a row that have a Gaussian's variance, as Pillow's blur.

    Gwosdek, Grewenig, Bruhn, Weickert, "Theoretical Foundations of Gaussian Convolution by Extended
    Box Filtering", SSVM 2011: the outer pixels of a box weigh less than the others.
    """
    variance = sigma**2 / 3  # of each box
    inner = math.floor((math.sqrt(12 * variance + 1) - 1) / 2)
    # a box of 2 inner + 1 pixels of weight 1 and two of weight `outer` has this variance
    squares = inner * (inner + 1) * (2 * inner + 1) / 3
    outer = (variance * (2 * inner + 1) - squares) / (2 * ((inner + 1) ** 2 - variance))
    box = np.array([outer, *[1.0] * (2 * inner + 1), outer])
    box /= box.sum()
    return tuple(np.convolve(np.convolve(box, box), box).tolist())


def box(length: int) -> Taps:
    """Return the mean of `length` pixels; of an even number, one more lies before than behind."""
    taps = [1 / length] * length
    return tuple(taps if length % 2 else [*taps, 0.0])
