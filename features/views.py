"""Views: the pictures that a network sees of one picture. All resizing is Pillow's."""

import numpy as np
from PIL import Image


def scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    """Resize with Pillow's bicubic filter to (int(w * scale), int(h * scale)).

    At 0.5 this is the half-size view of Re-IQA, (w // 2, h // 2).

    Parameters
    ----------
    picture : (height, width, 3) uint8
    scale : in (0, 1]; 1 returns the picture itself
    """
    if scale == 1:
        return picture
    height, width = picture.shape[:2]
    size = int(width * scale), int(height * scale)
    if min(size) < 1:
        raise ValueError(f"a {width}x{height} picture has no pixel left at scale {scale:g}")
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def smallest_side(scales: tuple[float, ...]) -> int:
    """Return the smallest side, in pixels, that keeps a pixel at every scale."""
    side = 1
    while int(side * min(scales)) < 1:
        side += 1
    return side
