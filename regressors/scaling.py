"""Standardising columns."""

import numpy as np


def standardiser(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of every column; a constant column has scale 1 and becomes zero."""
    mean, scale = X.mean(axis=0), X.std(axis=0)
    # rounding leaves a constant column a spread: that of a mean over n rows grows with n
    constant = scale <= max(10, len(X)) * np.finfo(float).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, scale)
