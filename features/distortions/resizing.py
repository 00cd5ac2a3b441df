"""Loss of resolution: down to fewer pixels and up again, by Pillow.

Pictures are (H, W, 3) uint8 RGB. Sides are rounded down and never shorter than one pixel.
"""

import numpy as np
from PIL import Image
from PIL.Image import Resampling


def down_and_up(
    picture: np.ndarray, factor: int, rng: np.random.Generator, resample: Resampling
) -> np.ndarray:
    """Shrink both sides by ``factor`` and enlarge again, both with ``resample``."""
    height, width = picture.shape[:2]
    return _through(picture, height // factor, width // factor, resample)


def pixelate(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Keep ``.95 - strength ** .6`` of the pixels of each side, repeated to fill the picture."""
    height, width = picture.shape[:2]
    kept = 0.95 - strength**0.6
    return _through(picture, int(height * kept), int(width * kept), Resampling.NEAREST)


def _through(picture: np.ndarray, height: int, width: int, resample: Resampling) -> np.ndarray:
    """The picture resized to (height, width) and back."""
    smaller = Image.fromarray(picture).resize((max(1, width), max(1, height)), resample)
    return np.array(smaller.resize((picture.shape[1], picture.shape[0]), resample))
