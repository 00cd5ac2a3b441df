"""Gram matrices of feature sets, weighed anew for every choice of one penalty per set.

In the n x n form there is one matrix per set; their weighted sum is solved. In the p x p form there
is one for all columns, whose rows and columns are scaled. Products, sums and solutions are float64;
of a large matrix only the storage is float32. A matrix is stored as its lower triangle, in stripes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import LinearOperator, eigsh

from regressors.base import Blocks
from regressors.standardising import chunks, standardise

# With more rows and columns than this, storage is float32: its rounding is a few 1e-8 of the
# largest eigenvalue, far below the smallest penalty.
DOUBLE = 2000
# Matrices of many sets may take so many times the memory of one p x p matrix before that is made.
SPARE = 4
_STRIPE = 512
_FEW = 100  # so many rows or columns, and all eigenvalues are quick

Triangle = Sequence[np.ndarray]


class FoldGrams:
    """One training part and some rows to predict, whatever the scores.

    Parameters
    ----------
    X : (n, p) training embeddings
    X_new : (m, p) rows to predict
    blocks : name of a feature set -> its columns

    Attributes
    ----------
    dual : whether it is the n x n form
    """

    def __init__(self, X: np.ndarray, X_new: np.ndarray, blocks: Blocks) -> None:
        self._blocks, (n, p) = blocks, X.shape
        self.dual = n <= p and len(blocks) * n**2 <= SPARE * p**2
        dtype = np.float64 if min(n, p) <= DOUBLE else np.float32
        Z, self._mean, self._scale = standardise(X, dtype)
        Z_new = ((X_new - self._mean) / self._scale).astype(dtype, copy=False)
        if self.dual:
            self._grams = {name: triangle(Z[:, own]) for name, own in blocks.items()}
            self._new = {name: Z_new[:, own] @ Z[:, own].T for name, own in blocks.items()}
        else:
            self._gram, self._new = triangle(Z.T), Z_new

    def target(self, y: np.ndarray, X: np.ndarray | None = None) -> np.ndarray:
        """Return what `predict` needs of the (n,) centred scores.

        Parameters
        ----------
        X : (n, p) the training embeddings once more, which only the p x p form needs
        """
        if self.dual:
            return y
        # columns standardised first: large means would cancel
        return np.concatenate(
            [
                y @ ((X[:, some] - self._mean[some]) / self._scale[some])
                for some in chunks(X.shape[1])
            ]
        )

    def predict(self, alphas: Mapping[str, float], target: np.ndarray) -> np.ndarray:
        """Return the (m,) predictions, less the mean score, at one penalty of each set."""
        smallest, scales = relative(alphas, self._blocks, len(self._mean))
        if not self.dual:
            solution = _solved(_scaled(self._gram, scales), scales * target, smallest)
            return self._new @ (scales * solution)
        weights = {name: smallest / alphas[name] for name in self._blocks}
        gram = _sum([(self._grams[name], weight) for name, weight in weights.items()])
        solution = _solved(gram, target, smallest)
        return sum(weight * (self._new[name] @ solution) for name, weight in weights.items())


def relative(alphas: Mapping[str, float], blocks: Blocks, n_dims: int) -> tuple[float, np.ndarray]:
    """Return the smallest penalty and the (p,) scales of columns with which it serves all sets."""
    smallest, scales = min(alphas.values()), np.ones(n_dims)
    for name, own in blocks.items():
        scales[own] = np.sqrt(smallest / alphas[name])
    return smallest, scales


def largest_eigenvalue(Z: np.ndarray) -> float:
    """Return the largest eigenvalue of Z'Z, to about 1e-5; 1 for a matrix of zeros."""
    if not Z.any():
        return 1.0  # any penalty does
    if min(Z.shape) <= _FEW:
        Z = Z.astype(float)
        return float(np.linalg.eigvalsh(Z @ Z.T if Z.shape[0] <= Z.shape[1] else Z.T @ Z)[-1])
    p = Z.shape[1]
    squared = LinearOperator((p, p), lambda v: Z.T @ (Z @ v.astype(Z.dtype)), dtype=float)
    start = np.random.default_rng(0).normal(size=p)  # else SciPy draws one
    return float(eigsh(squared, 1, v0=start, tol=1e-6, return_eigenvectors=False)[0])


def triangle(Z: np.ndarray) -> Triangle:
    """Return the lower triangle of Z Z' as stripes of rows, stored as Z is."""
    stripes = []
    for start in range(0, len(Z), _STRIPE):
        rows = Z[start : start + _STRIPE]
        stripe = np.zeros((len(rows), start + len(rows)))
        for some in chunks(Z.shape[1]):
            earlier = Z[: stripe.shape[1], some].astype(float, copy=False)
            stripe += rows[:, some].astype(float, copy=False) @ earlier.T
        stripes.append(stripe.astype(Z.dtype, copy=False))
    return stripes


def _sum(weighted: Sequence[tuple[Triangle, float]]) -> np.ndarray:
    """Return the sum of triangles, each times a number, as the lower half of a square matrix."""
    total = np.empty((weighted[0][0][-1].shape[1],) * 2)
    for index, stripes in enumerate(zip(*(stripes for stripes, _ in weighted), strict=True)):
        place = _place(total, index, stripes[0])
        for number, (stripe, (_, weight)) in enumerate(zip(stripes, weighted, strict=True)):
            if number == 0:
                np.multiply(stripe, weight, out=place, dtype=float)
            else:
                place += np.multiply(stripe, weight, dtype=float)
    return total


def _scaled(stripes: Triangle, scales: np.ndarray) -> np.ndarray:
    """Return a triangle with rows and columns scaled, as the lower half of a square matrix."""
    total = np.empty((len(scales), len(scales)))
    for index, stripe in enumerate(stripes):
        place = _place(total, index, stripe)
        start = index * _STRIPE
        np.multiply(stripe, scales[start : start + len(stripe), None], out=place, dtype=float)
        place *= scales[: stripe.shape[1]]
    return total


def _place(total: np.ndarray, index: int, stripe: np.ndarray) -> np.ndarray:
    start = index * _STRIPE
    return total[start : start + len(stripe), : stripe.shape[1]]


def _solved(gram: np.ndarray, target: np.ndarray, alpha: float) -> np.ndarray:
    """Solve (gram + alpha) x = target, given and overwriting the lower half of gram."""
    gram[np.diag_indices_from(gram)] += alpha
    # its transpose is in LAPACK's order: nothing is copied
    factor = scipy.linalg.cho_factor(gram.T, lower=False, overwrite_a=True, check_finite=False)
    return scipy.linalg.cho_solve(factor, target, check_finite=False)
