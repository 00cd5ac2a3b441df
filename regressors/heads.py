"""Predicting from a head's arrays: plain NumPy, nothing of the library that fitted it.

A head is a dict of arrays, all float64. `mean` and `scale` (p,) standardise an embedding; the rest
depends on the kind.
"""

from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


def predict_linear(arrays: Arrays, X: np.ndarray) -> np.ndarray:
    """Return (n,) scores: intercept (1,) plus the standardised (n, p) rows times coef (p,)."""
    return arrays["intercept"][0] + standardised(arrays, X) @ arrays["coef"]


HEADS: dict[str, Callable[[Arrays, np.ndarray], np.ndarray]] = {"linear": predict_linear}


def standardised(arrays: Arrays, X: np.ndarray) -> np.ndarray:
    """Return (n, p) embeddings at zero mean and unit variance of the head's training data."""
    return (np.asarray(X, float) - arrays["mean"]) / arrays["scale"]


def distance(arrays: Arrays, X: np.ndarray) -> np.ndarray:
    """Return how far (n, p) embeddings lie from the training data: (n,) root mean squared z-score.

    A typical training picture lies at 1.
    """
    return np.sqrt(np.mean(standardised(arrays, X) ** 2, axis=1))
