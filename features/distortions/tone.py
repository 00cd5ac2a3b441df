"""Tone curves. Pictures are (H, W, 3) uint8 RGB; curves run on 0..1.

Each curve is the polynomial of least degree through black, white and the points between, cut to
0..1: the published results are met to rounding.
"""

import numpy as np

from features.distortions.lab import to_lab, to_rgb
from features.distortions.pixels import to_uint8


def brighten(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Lift the middle by half of ``strength``: RGB weighs two thirds, the L of Lab one third."""
    lab = to_lab(picture)
    middle = 0.5 + 0.5 * strength
    lab[..., 0] = 100 * _curve(lab[..., 0] / 100, (0.5,), (middle,))
    curved = _curve(picture / 255, (0.5,), (middle,))
    return to_uint8(255 * (2 * curved + to_rgb(lab)) / 3)


def darken(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Lower the middle of RGB by half of ``strength``."""
    return to_uint8(255 * _curve(picture / 255, (0.5,), (0.5 - 0.5 * strength,)))


def contrast(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Bend RGB to an S through (.3, .25 - strength / 4) and its mirror image about the middle."""
    bend = strength / 4
    points = (0.25 - bend, 0.5, 0.75 + bend)
    return to_uint8(255 * _curve(picture / 255, (0.3, 0.5, 0.7), points))


def _curve(values: np.ndarray, between: tuple[float, ...], points: tuple[float, ...]) -> np.ndarray:
    """The curve through (0, 0), (``between``, ``points``) and (1, 1) at ``values``."""
    coefficients = np.polyfit((0, *between, 1), (0, *points, 1), len(between) + 1)
    return np.clip(np.polyval(coefficients, values), 0, 1)
