"""Predicting from a head's arrays: plain NumPy, nothing of the library that fitted it.

A head is a dict of arrays, all float64. `mean` and `scale` (p,) standardise an embedding; the rest
depends on the kind.
"""

from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
# So many numbers of a kernel or of its rows are held at a time.
CELLS = 2**22


def predict_linear(arrays: Arrays, X: np.ndarray) -> np.ndarray:
    """Return (n,) scores: intercept (1,) plus the standardised (n, p) rows times coef (p,)."""
    return arrays["intercept"][0] + standardised(arrays, X) @ arrays["coef"]


def predict_rbf(arrays: Arrays, X: np.ndarray) -> np.ndarray:
    """Return (n,) scores: intercept (1,) plus dual (s,) times the kernel of the (n, p) rows.

    The kernel of a row and one of the support (s, p), both standardised, is exp(-gamma d^2), d
    their Euclidean distance and gamma (1,).
    """
    support, scores = arrays["support"], np.full(len(X), arrays["intercept"][0])
    lengths = np.einsum("ij,ij->i", support, support)
    # some rows at a time, so that memory stays bounded
    step = max(1, CELLS // max(1, *support.shape))
    for start in range(0, len(X), step):
        Z = standardised(arrays, X[start : start + step])
        squared = np.einsum("ij,ij->i", Z, Z)[:, None] + lengths - 2 * (Z @ support.T)
        # rounding takes a row at a support vector below 0
        kernel = np.exp(-arrays["gamma"][0] * np.maximum(squared, 0))
        scores[start : start + step] += kernel @ arrays["dual"]
    return scores


HEADS: dict[str, Callable[[Arrays, np.ndarray], np.ndarray]] = {
    "linear": predict_linear,
    "rbf": predict_rbf,
}


def standardised(arrays: Arrays, X: np.ndarray) -> np.ndarray:
    """Return (n, p) embeddings at zero mean and unit variance of the head's training data."""
    return (np.asarray(X, float) - arrays["mean"]) / arrays["scale"]


def distance(arrays: Arrays, X: np.ndarray) -> np.ndarray:
    """Return how far (n, p) embeddings lie from the training data: (n,) root mean squared z-score.

    A typical training picture lies at 1.
    """
    parts = np.array_split(X, max(1, X.size // CELLS))
    return np.concatenate(
        [np.sqrt(np.mean(standardised(arrays, part) ** 2, axis=1)) for part in parts]
    )
