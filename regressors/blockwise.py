"""Standardised rows of a matrix, exactly: in float64, a block of them at a time.

No copy of the matrix is made, so that this serves large ones in float32, too. A pass over the rows
costs about as much as converting them.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from regressors.scaling import standardiser

_BLOCK = 64  # rows that are float64 at a time: they stay in the processor's cache
_COLUMNS = 512  # columns that are float64 at a time


class Standardised:
    """Some rows of a matrix and the mean and scale of their columns.

    Parameters
    ----------
    X : (N, p) a matrix
    rows : (n,) of it
    """

    def __init__(self, X: np.ndarray, rows: np.ndarray) -> None:
        self.X, self.rows = X, rows
        parts = [
            standardiser(np.asarray(X[rows, start : start + _COLUMNS], float))
            for start in range(0, X.shape[1], _COLUMNS)
        ]
        self.mean, self.scale = (np.concatenate(part) for part in zip(*parts, strict=True))

    def columns(self, dtype: type) -> np.ndarray:
        """Return the (p, n) columns at zero mean and unit variance."""
        found = np.empty((len(self.mean), len(self.rows)), dtype)
        for start in range(0, len(self.rows), _BLOCK):
            block = self.X[self.rows[start : start + _BLOCK]]
            found[:, start : start + _BLOCK] = ((block - self.mean) / self.scale).T
        return found

    def predict(self, rows: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return standardised rows of the matrix times v, in float64: (m,)."""
        used = np.flatnonzero(v)
        w = v[used] / self.scale[used]
        if len(used) < self.X.shape[1] / 4:
            return (self.X[np.ix_(rows, used)] - self.mean[used]) @ w
        w, mean = v / self.scale, self.mean
        blocks = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
        return np.concatenate([(self.X[block] - mean) @ w for block in blocks])

    def correlations(self, y: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return Xs'(y - Xs v) / n in float64: (p,)."""
        w, total = v / self.scale, np.zeros(len(v))
        for start in range(0, len(y), _BLOCK):
            block = self.X[self.rows[start : start + _BLOCK]] - self.mean
            total += (y[start : start + _BLOCK] - block @ w) @ block
        return total / self.scale / len(y)

    def largest(self) -> float:
        """Return the largest eigenvalue of the correlations, to about three digits."""
        n, p = len(self.rows), len(self.mean)
        if min(n, p) <= 2:  # too few for an iteration
            return float(np.linalg.norm(self.columns(float), 2) ** 2 / n)
        zero = np.zeros(n)
        start = np.random.default_rng(0).standard_normal(p)
        operator = LinearOperator(
            (p, p), matvec=lambda v: -self.correlations(zero, v.ravel()), dtype=float
        )
        return float(eigsh(operator, 1, v0=start, tol=1e-4, return_eigenvectors=False)[0])
