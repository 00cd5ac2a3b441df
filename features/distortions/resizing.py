"""Loss of resolution: down to fewer pixels and up again, by Pillow; and parts of resized pictures.

Pictures are (H, W, 3) uint8 RGB. Sides are rounded down and never shorter than one pixel.
"""

import math

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from features.distortions.windows import Window

# Pixels on either side that a filter takes from, of those it makes when it shrinks and of those it
# has when it enlarges; one more than its support, for what rounding moves.
_REACH = {
    Resampling.NEAREST: 2,
    Resampling.BILINEAR: 2,
    Resampling.BICUBIC: 3,
    Resampling.LANCZOS: 4,
}
Size = tuple[int, int]  # height, width


def down_and_up(
    picture: np.ndarray,
    factor: int,
    rng: np.random.Generator,
    window: Window,
    resample: Resampling,
) -> np.ndarray:
    """Shrink both sides by ``factor`` and enlarge again, both with ``resample``."""
    height, width = picture.shape[:2]
    return _through(picture, (height // factor, width // factor), resample, window)


def pixelate(
    picture: np.ndarray, strength: float, rng: np.random.Generator, window: Window
) -> np.ndarray:
    """Keep ``.95 - strength ** .6`` of the pixels of each side, repeated to fill the picture."""
    height, width = picture.shape[:2]
    kept = 0.95 - strength**0.6
    return _through(picture, (int(height * kept), int(width * kept)), Resampling.NEAREST, window)


def needed(full: Size, size: Size, resample: Resampling, window: Window) -> Window:
    """Return what a window of a picture resized to `size` takes from that picture, of size `full`.

    Raises
    ------
    KeyError
        When the filter's reach is not known.
    """
    down, across = full[0] / size[0], full[1] / size[1]
    above, beside = (_REACH[resample] * max(1.0, step) for step in (down, across))
    return Window(
        max(0, math.floor(window.top * down - above)),
        max(0, math.floor(window.left * across - beside)),
        min(full[0], math.ceil(window.bottom * down + above)),
        min(full[1], math.ceil(window.right * across + beside)),
    )


def resized(
    part: np.ndarray, place: Window, full: Size, size: Size, resample: Resampling, window: Window
) -> np.ndarray:
    """Return a window of a picture resized to `size`, as if all of it had been resized.

    Parameters
    ----------
    part : the picture, of size `full`, at `place`, which covers what is `needed`
    """
    down, across = full[0] / size[0], full[1] / size[1]
    if resample is Resampling.NEAREST:
        rows = _nearest(down, size[0])[window.top : window.bottom] - place.top
        columns = _nearest(across, size[1])[window.left : window.right] - place.left
        if len(rows) < len(part):
            return part.take(rows, axis=0).take(columns, axis=1)
        return part.take(columns, axis=1).take(rows, axis=0)  # the same, sooner
    box = (
        max(0.0, window.left * across - place.left),
        max(0.0, window.top * down - place.top),
        min(place.width, window.right * across - place.left),
        min(place.height, window.bottom * down - place.top),
    )
    image = Image.fromarray(np.ascontiguousarray(part))
    return np.array(image.resize((window.width, window.height), resample, box))


def _nearest(step: float, n: int) -> np.ndarray:
    """Pillow's nearest pixels: it adds up steps, and so decides where a place lies between two."""
    return np.cumsum([step / 2, *[step] * (n - 1)]).astype(int)


def _through(picture: np.ndarray, size: Size, resample: Resampling, window: Window) -> np.ndarray:
    """The window of the picture resized to `size` and back."""
    full, size = picture.shape[:2], (max(1, size[0]), max(1, size[1]))
    inner = needed(size, full, resample, window)
    outer = needed(full, size, resample, inner)
    smaller = resized(picture[outer.slices], outer, full, size, resample, inner)
    return resized(smaller, inner, size, full, resample, window)
