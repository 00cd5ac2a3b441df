"""From float results back to uint8."""

import numpy as np


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Clip values on 0..255 and drop their fraction, as the published results do.

    The small addend keeps an integer that arithmetic left just below itself: a blurred constant
    picture must stay what it was.
    """
    return np.clip(values + 1e-6, 0, 255).astype(np.uint8)
