"""To float32 planes, and back to uint8."""

import numpy as np


def planes_of(picture: np.ndarray) -> np.ndarray:
    """Return an (H, W, 3) uint8 picture as (3, H, W) float32."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.float32)


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Clip values on 0..255 and drop their fraction, as the published results do.

    The small addend keeps an integer that arithmetic left just below itself: a blurred constant
    picture must stay what it was. Float32 leaves it some 1e-4 below.
    """
    values = values + np.asarray(1e-3 if values.dtype == np.float32 else 1e-6, values.dtype)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def from_planes(planes: np.ndarray) -> np.ndarray:
    """Return (3, H, W) values as an (H, W, 3) uint8 picture; see `to_uint8`."""
    return np.stack(list(to_uint8(planes)), axis=-1)  # faster than a transposed copy
