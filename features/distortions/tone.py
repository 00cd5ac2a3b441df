"""Tone curves. Pictures are (H, W, 3) uint8 RGB; curves run on 0..1.

Each curve is the polynomial of least degree through black, white and the points between, cut to
0..1: the published results are met to rounding.
"""

import numpy as np

from features.distortions.lab import to_lab, to_rgb
from features.distortions.pixels import from_planes, to_uint8

_LEVELS = np.arange(256) / 255


def brighten(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Lift the middle by half of ``strength``: RGB weighs two thirds, the L of Lab one third."""
    lab = to_lab(picture)
    middle = 0.5 + 0.5 * strength
    # L as finely as float32 tells it apart after the curve
    curve = 100 * _curve(np.linspace(0, 1, 4096), (0.5,), (middle,)).astype(np.float32)
    lab[0] = curve.take(
        (lab[0] * np.float32(40.95) + np.float32(0.5)).astype(np.int32), mode="clip"
    )
    curved = (2 * 255 * _curve(_LEVELS, (0.5,), (middle,))).astype(np.float32)
    both = curved.take(picture.transpose(2, 0, 1), mode="clip") + to_rgb(lab)
    both *= np.float32(1 / 3)
    return from_planes(both)


def darken(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Lower the middle of RGB by half of ``strength``."""
    return _bent(picture, (0.5,), (0.5 - 0.5 * strength,))


def contrast(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Bend RGB to an S through (.3, .25 - strength / 4) and its mirror image about the middle."""
    bend = strength / 4
    return _bent(picture, (0.3, 0.5, 0.7), (0.25 - bend, 0.5, 0.75 + bend))


def _bent(picture: np.ndarray, between: tuple[float, ...], points: tuple[float, ...]) -> np.ndarray:
    return to_uint8(255 * _curve(_LEVELS, between, points)).take(picture, mode="clip")


def _curve(values: np.ndarray, between: tuple[float, ...], points: tuple[float, ...]) -> np.ndarray:
    """The curve through (0, 0), (``between``, ``points``) and (1, 1) at ``values``."""
    coefficients = np.polyfit((0, *between, 1), (0, *points, 1), len(between) + 1)
    return np.clip(np.polyval(coefficients, values), 0, 1)
