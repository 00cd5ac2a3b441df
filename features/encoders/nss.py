"""The 36 natural-scene statistics of BRISQUE: 18 numbers at full and 18 at half scale.

Grey pictures are float64 on 0..255. MSCN coefficients are a picture less its local mean, over its
local deviation plus one; both of the means are taken by a 7x7 Gaussian window, with zeros outside.

Source: Mittal, Moorthy, Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE
TIP 21(12), 2012, and its official MATLAB code, from which come the zero border, the circular
neighbours and the grid of shapes. Unlike there, grey values are not rounded.
"""

import numpy as np
from PIL import Image
from scipy.ndimage import correlate1d
from scipy.special import gamma, gammaln

from features.encoders.base import Batch, Encode, Encoder

_WINDOW_RADIUS = 3
_window = np.exp(-0.5 * (np.arange(-_WINDOW_RADIUS, _WINDOW_RADIUS + 1) / (7 / 6)) ** 2)
_WINDOW = _window / _window.sum()

# The half-scale picture, of (side + 1) // 2 pixels, must hold one whole 7x7 window; below that
# every local mean would include the zeros outside.
NSS_MIN_SIDE = 4 * _WINDOW_RADIUS + 1
NSS_DIMS = 36
# Five float64 arrays of the picture's size at once: 40 bytes a pixel (measured), 4 GB.
_MAX_PIXELS = 100_000_000

_NEIGHBOURS = {
    "horizontal": (0, 1),
    "vertical": (1, 0),
    "diagonal": (1, 1),
    "antidiagonal": (-1, 1),
}
_STATISTICS = (
    "mscn_shape",
    "mscn_variance",
    *(
        f"{neighbour}_{statistic}"
        for neighbour in _NEIGHBOURS
        for statistic in ("shape", "mean", "left_variance", "right_variance")
    ),
)
NSS_COLUMNS = tuple(f"{scale}_{name}" for scale in ("full", "half") for name in _STATISTICS)

# (mean |x|)^2 / mean x^2 of a generalised Gaussian at each shape; grows with the shape.
_SHAPES = np.linspace(0.2, 10, 9801)
_RATIOS = np.exp(2 * gammaln(2 / _SHAPES) - gammaln(1 / _SHAPES) - gammaln(3 / _SHAPES))
_RATIO_EDGES = (_RATIOS[1:] + _RATIOS[:-1]) / 2


def nss_embedding(picture: np.ndarray) -> np.ndarray:
    """Natural-scene statistics of a picture.

    Parameters
    ----------
    picture : (H, W, 3) uint8 RGB, both sides at least ``NSS_MIN_SIDE``.

    Returns
    -------
    (36,) float32, columns as in ``NSS_COLUMNS``; finite for every picture (see ``fit_ggd``).

    Raises
    ------
    ValueError : another dtype or shape, or a side that is too short.
    """
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        got = getattr(picture, "dtype", type(picture).__name__)
        raise ValueError(f"expected a uint8 array with values 0 to 255, got {got}")
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected a picture of shape (H, W, 3), RGB, got {picture.shape}")
    height, width = picture.shape[:2]
    if min(height, width) < NSS_MIN_SIDE:
        raise ValueError(f"both sides must be at least {NSS_MIN_SIDE} px, got {height}x{width}")
    grey = picture @ np.array([0.299, 0.587, 0.114])  # BT.601
    both = scale_statistics(grey) + scale_statistics(halve(grey))
    return np.array(both, dtype=np.float32)


def scale_statistics(grey: np.ndarray) -> tuple[float, ...]:
    """The 18 statistics of one scale of a (H, W) grey picture on 0..255."""
    coefficients = mscn(grey)
    statistics = fit_ggd(coefficients)
    for shift in _NEIGHBOURS.values():
        statistics += fit_aggd(coefficients * np.roll(coefficients, shift, axis=(0, 1)))
    return statistics


def mscn(grey: np.ndarray) -> np.ndarray:
    """Mean-subtracted contrast-normalised coefficients (H, W) of a grey picture on 0..255."""
    mean = _local_mean(grey)
    # Where the picture is constant, rounding can leave the variance just below zero.
    deviation = np.sqrt(np.abs(_local_mean(grey**2) - mean**2))
    return (grey - mean) / (deviation + 1)


def halve(grey: np.ndarray) -> np.ndarray:
    """Half-size (H, W) grey picture, by bicubic interpolation widened against aliasing.

    An odd side is rounded up. Pillow computes in float32 and doesn't clip.
    """
    height, width = grey.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    resized = Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.float64)


def fit_ggd(values: np.ndarray) -> tuple[float, float]:
    """Shape and variance of a generalised Gaussian of mean zero, by moment matching.

    The shape is 2 for a Gaussian, 1 for a Laplacian and lies on 0.2 .. 10. Values that are all
    zero get the smallest shape, where a few outliers among zeros lead, and variance 0.
    """
    variance = float(np.mean(values**2))
    return _shape(np.mean(np.abs(values)) ** 2, variance), variance


def fit_aggd(values: np.ndarray) -> tuple[float, float, float, float]:
    """Shape, mean, left and right variance of an asymmetric generalised Gaussian.

    A side with no values has variance 0; all zeros give the smallest shape and three zeros.
    """
    squares = values**2
    left_variance, right_variance = (
        float(squares.sum(where=side) / max(1, np.count_nonzero(side)))
        for side in (values < 0, values > 0)
    )
    left, right = np.sqrt(left_variance), np.sqrt(right_variance)
    # The paper's correction by left / right, written so that either of them may be zero.
    shape = _shape(
        np.mean(np.abs(values)) ** 2 * (left**3 + right**3) * (left + right),
        squares.mean() * (left_variance + right_variance) ** 2,
    )
    spread = gamma(2 / shape) / np.sqrt(gamma(1 / shape) * gamma(3 / shape))
    return shape, float((right - left) * spread), left_variance, right_variance


def _shape(numerator: float, denominator: float) -> float:
    """The shape whose ratio of moments is nearest to the quotient; 0 / 0 counts as 0."""
    ratio = numerator / denominator if denominator > 0 else 0.0
    return float(_SHAPES[np.searchsorted(_RATIO_EDGES, ratio)])


def _local_mean(grey: np.ndarray) -> np.ndarray:
    rows = correlate1d(grey, _WINDOW, axis=0, mode="constant")
    return correlate1d(rows, _WINDOW, axis=1, mode="constant")


def _build(options, files, runtime) -> Encode:
    def encode(batch: Batch) -> np.ndarray:
        return batch.view(nss_embedding)

    encode.views = ((nss_embedding,),)  # so that it is made in the threads that decode
    return encode


NSS = Encoder(
    name="nss",
    summary="natural-scene statistics of BRISQUE, two scales",
    paper="https://doi.org/10.1109/TIP.2012.2214050",
    licence="Apache-2.0",
    version=1,
    views={"picture": "whole", "grey": "BT.601", "resize": "bicubic to half"},
    n_dims=lambda options: NSS_DIMS,
    build=_build,
    min_side=lambda options: NSS_MIN_SIDE,
    max_pixels=_MAX_PIXELS,
    network=False,
)
