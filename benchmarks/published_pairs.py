"""The published loader's order of work: whole pictures are distorted, then crops are cut.

Eleven types in 64-bit floats over the whole picture, by SciPy, scikit-image and Pillow, as the
published bank has them; then all twelve versions at half size by bicubics; then two crops of each
at both sizes. Types that are Pillow calls or table look-ups anyway are taken from ours.
"""

import warnings

import numpy as np
from PIL import Image, ImageFilter
from scipy.ndimage import convolve, gaussian_filter, laplace, map_coordinates, uniform_filter1d
from skimage import color

from features.distortions import DISTORTIONS, distort
from features.distortions.blur import disk
from features.distortions.windows import Window
from features.pretraining.crops import Crops, places

warnings.filterwarnings("ignore", "Conversion from CIE-LAB")  # colours that sRGB lacks
THREE, FIVE = (0.0, 0.5, 1.0), (0.0, 0.3, 0.5, 0.7, 1.0)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


def _lens(p, radius, rng):
    kernel = disk(radius)
    return _bytes(np.stack([convolve(c, kernel, mode="nearest") for c in _channels(p)], axis=2))


def _channels(p):
    return p.transpose(2, 0, 1).astype(float)


def _diffuse(p, strength, rng):
    lab = color.rgb2lab(p)
    for channel in (1, 2):
        lab[..., channel] = strength * gaussian_filter(lab[..., channel], 1.5 * strength + 2)
    return _bytes(255 * color.lab2rgb(lab))


def _shift(p, length, rng):
    angle = rng.uniform(0, 2 * np.pi)
    step = np.rint(length * np.array([np.sin(angle), np.cos(angle)])).astype(int)
    moved = np.roll(p[..., 1], step, axis=(0, 1))
    edges = gaussian_filter(np.hypot(*np.gradient(color.rgb2gray(p))), 1)
    low, high = np.percentile(edges, (1, 99))
    edges = np.clip((edges - low) / (high - low), 0, 1)
    result = p.copy()
    result[..., 1] = _bytes(p[..., 1] * (1 - edges) + moved * edges)
    return result


def _hsv(p, factor, rng):
    hsv = color.rgb2hsv(p)
    hsv[..., 1] *= factor
    return _bytes(255 * color.hsv2rgb(hsv))


def _lab(p, factor, rng):
    lab = color.rgb2lab(p)
    lab[..., 1:] *= factor
    return _bytes(255 * color.lab2rgb(lab))


def _noise(p, variance, rng):
    return _bytes(p + 255 * np.sqrt(variance) * rng.standard_normal(p.shape))


def _noise_map(p, variance, rng):
    ycbcr = color.rgb2ycbcr(p) + 255 * np.sqrt(variance) * rng.standard_normal(p.shape)
    return _bytes(255 * color.ycbcr2rgb(ycbcr))


def _impulse(p, share, rng):
    draw = rng.random(p.shape)
    return np.where(draw < share, np.where(draw < share / 2, 0, 255), p).astype(np.uint8)


def _speckle(p, variance, rng):
    return _bytes(p * (1 + np.sqrt(variance) * rng.standard_normal(p.shape)))


def _denoise(p, variance, rng):
    smoother = (ImageFilter.GaussianBlur(3), ImageFilter.BoxBlur(2))[rng.integers(2)]
    return np.array(Image.fromarray(_noise(p, variance, rng)).filter(smoother))


def _curve(values, x, y):
    return np.clip(np.polyval(np.polyfit(x, y, len(x) - 1), values), 0, 1)


def _brighten(p, strength, rng):
    y = (0, 0.5 + 0.5 * strength, 1)
    lab = color.rgb2lab(p)
    lab[..., 0] = 100 * _curve(lab[..., 0] / 100, THREE, y)
    return _bytes(255 * (2 * _curve(p / 255, THREE, y) + color.lab2rgb(lab)) / 3)


def _darken(p, strength, rng):
    return _bytes(255 * _curve(p / 255, THREE, (0, 0.5 - 0.5 * strength, 1)))


def _contrast(p, strength, rng):
    bend = strength / 4
    return _bytes(255 * _curve(p / 255, FIVE, (0, 0.25 - bend, 0.5, 0.75 + bend, 1)))


def _sharpen(p, strength, rng):
    lab = color.rgb2lab(p)
    lab[..., 0] -= strength * laplace(lab[..., 0], mode="nearest")
    return _bytes(255 * color.lab2rgb(lab))


def _jitter(p, sigma, rng):
    channels, grid = list(_channels(p)), np.indices(p.shape[:2], dtype=float)
    for _ in range(5):
        at = grid + sigma * rng.standard_normal(grid.shape)
        channels = [map_coordinates(channel, at, mode="nearest") for channel in channels]
    return _bytes(np.stack(channels, axis=2))


def _motion(p, length, rng):
    return _bytes(uniform_filter1d(p.astype(float), length, int(rng.integers(2)), mode="nearest"))


def _gaussian(p, radius, rng):
    return np.array(Image.fromarray(p).filter(ImageFilter.GaussianBlur(radius)))


PUBLISHED = {
    "imblurgauss": _gaussian,
    "imblurlens": _lens,
    "imcolordiffuse": _diffuse,
    "imcolorshift": _shift,
    "imcolorsaturate": _hsv,
    "imsaturate": _lab,
    "imnoisegauss": _noise,
    "imnoisecolormap": _noise_map,
    "imnoiseimpulse": _impulse,
    "imnoisemultiplicative": _speckle,
    "imdenoise": _denoise,
    "imbrighten": _brighten,
    "imdarken": _darken,
    "imsharpenHi": _sharpen,
    "imcontrastc": _contrast,
    "imjitter": _jitter,
    "imblurmotion": _motion,
}


def published_pairs(picture: np.ndarray, rng: np.random.Generator, crops: Crops) -> np.ndarray:
    """Return (2, n_pairs, side, side, 3) uint8, as `features.pretraining.crops.pairs`."""
    versions = [picture]
    for name in rng.choice(sorted(DISTORTIONS), size=crops.distorted, replace=False):
        level = int(rng.integers(5))
        if name in PUBLISHED:
            parameter = DISTORTIONS[name].parameters[level]
            versions.append(PUBLISHED[name](picture, parameter, rng))
        else:
            versions.append(distort(picture, str(name), level, rng))
    size = picture.shape[1] // 2, picture.shape[0] // 2
    halves = [np.array(Image.fromarray(v).resize(size, Image.Resampling.BICUBIC)) for v in versions]
    found = []
    for stack in (versions, halves):
        windows = places(Window.whole(stack[0].shape), crops, rng)
        found += [[version[window.slices] for window in windows] for version in stack]
    return np.stack([np.stack(side) for side in zip(*found, strict=True)])
