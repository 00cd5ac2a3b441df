"""Lossy coding. Pictures are (H, W, 3) uint8 RGB."""

import io

import numpy as np
from PIL import Image


def jpeg(picture: np.ndarray, quality: int, rng: np.random.Generator) -> np.ndarray:
    """Encode as JPEG at ``quality`` (1 to 100, Pillow's default subsampling) and decode."""
    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        return np.array(Image.open(file))
