"""Where in a picture its score comes from: a map of parts that are scored by themselves."""

from itertools import pairwise

import matplotlib
import numpy as np
from PIL import Image

from features.errors import InputError

ACROSS = 8  # parts along the longer side, where they are not too small
LEAST = 64  # pixels of a part's side
_LONGER = 900  # pixels of what is shown


def cut(pixels: np.ndarray, least: int = LEAST) -> tuple[list[np.ndarray], tuple[int, int]]:
    """Cut a (height, width, 3) picture into a grid of nearly equal, nearly square parts.

    Parameters
    ----------
    least : pixels that every side of a part has at least; `LEAST` where that is more

    Returns
    -------
    parts, shape : row by row; (rows, columns)

    Raises
    ------
    InputError
        When the picture is too small for two parts.
    """
    height, width = pixels.shape[:2]
    side = max(LEAST, least, max(height, width) / ACROSS)
    rows, columns = (max(1, int(length // side)) for length in (height, width))
    if rows * columns < 2:
        raise InputError(
            f"{width}x{height} is too small for a map: parts of {max(LEAST, least)} pixels are "
            "scored by themselves"
        )
    ys, xs = (
        np.linspace(0, length, count + 1).round().astype(int)
        for length, count in ((height, rows), (width, columns))
    )
    parts = [
        pixels[top:bottom, left:right]
        for top, bottom in pairwise(ys)
        for left, right in pairwise(xs)
    ]
    return parts, (rows, columns)


def overlay(pixels: np.ndarray, goodness: np.ndarray) -> Image.Image:
    """Return a picture with the (rows, columns) goodness of its parts as colours, red to blue.

    NaN, for a part without a score, is as the middle.
    """
    low, high = np.nanmin(goodness), np.nanmax(goodness)
    flat = not high > low
    level = np.nan_to_num(0.5 if flat else (goodness - low) / (high - low), nan=0.5)
    level = np.broadcast_to(level, goodness.shape)
    colours = matplotlib.colormaps["RdYlBu"](level)[:, :, :3]
    image = Image.fromarray(pixels)
    image.thumbnail((_LONGER, _LONGER), reducing_gap=3.0)
    heat = Image.fromarray((255 * colours).round().astype(np.uint8))
    return Image.blend(
        image.convert("L").convert("RGB"), heat.resize(image.size, Image.Resampling.BILINEAR), 0.5
    )
