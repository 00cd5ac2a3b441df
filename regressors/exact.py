"""Ridge regression for every penalty from one exact decomposition of a small training part.

In float64: of the n x n matrix X X' where n <= p, and of the p x p matrix X'X elsewhere.
"""

import numpy as np
import scipy.linalg

from regressors.scaling import standardiser


class Decomposition:
    """One training part and some rows to predict, whatever the scores: an exact decomposition.

    Parameters
    ----------
    X : (n, p) training embeddings
    X_new : (m, p) rows to predict
    """

    def __init__(self, X: np.ndarray, X_new: np.ndarray) -> None:
        X = np.asarray(X, float)
        mean, scale = standardiser(X)
        X = (X - mean) / scale
        X_new = (np.asarray(X_new, float) - mean) / scale
        if X.shape[0] <= X.shape[1]:
            values, vectors = scipy.linalg.eigh(X @ X.T)
            self.left, self.basis = vectors.T, (X_new @ X.T) @ vectors
        else:
            values, vectors = scipy.linalg.eigh(X.T @ X)
            self.left, self.basis = vectors.T @ X.T, X_new @ vectors
        self.values = np.maximum(values, 0.0)


class ExactPath:
    """A decomposition and the (n,) scores of its training part: then any alpha."""

    def __init__(self, decomposition: Decomposition, y: np.ndarray) -> None:
        self._decomposition = decomposition
        self._y_mean = y.mean()
        self._target = decomposition.left @ (y - self._y_mean)
        self.largest = float(decomposition.values[-1])

    def predict(self, alpha: float) -> np.ndarray:
        """Return the (m,) predictions at one alpha."""
        weights = self._target / (self._decomposition.values + alpha)
        return self._y_mean + self._decomposition.basis @ weights
