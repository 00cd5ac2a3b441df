"""Kernels of training rows against all rows, from one matrix product for every hyper-parameter.

Columns are standardised by the training rows. The scores have no say here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from regressors.scaling import standardiser

# Products of more multiply-adds than this are made, and kept, in float32, of columns standardised
# in float64; libsvm keeps kernels in float32 in any case.
EXACT = 2e9
# So many numbers are standardised at a time, and so many rows of a kernel are worked on.
CELLS, BLOCK = 2**22, 256

Kernel = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Solution:
    """f(x) = intercept + sum of dual (s,) times the kernel of x and the `support` (s,) rows."""

    support: np.ndarray
    dual: np.ndarray
    intercept: float
    converged: bool


class Pairs:
    """Every training row against every row, whatever the scores, in standardised columns.

    Attributes
    ----------
    n : the number of training rows; mean, scale : (p,) of their columns

    Parameters
    ----------
    X : (N, p) embeddings, of which `train` (n,) and `others` (m,) are rows
    distances : keep squared Euclidean distances instead of scalar products
    """

    def __init__(
        self, X: np.ndarray, train: np.ndarray, others: np.ndarray, distances: bool
    ) -> None:
        rows, p = np.concatenate([train, others]), X.shape[1]
        n = self.n = len(train)
        exact = float(n) * len(rows) * p <= EXACT
        Z = np.empty((len(rows), p), np.float64 if exact else np.float32)
        self.mean, self.scale = np.empty(p), np.empty(p)
        width = max(1, CELLS // len(rows))
        for own in (slice(start, start + width) for start in range(0, p, width)):
            columns = X[rows, own].astype(float)
            self.mean[own], self.scale[own] = standardiser(columns[:n])
            Z[:, own] = (columns - self.mean[own]) / self.scale[own]
        norms = np.einsum("ij,ij->i", Z, Z) if distances else None
        # the kernel is symmetric: of the training rows, a block's columns end where its rows do
        self._train = [
            _products(Z, norms, start, min(start + BLOCK, n), min(start + BLOCK, n))
            for start in range(0, n, BLOCK)
        ]
        if distances:
            for start, block in zip(range(0, n, BLOCK), self._train, strict=True):
                np.fill_diagonal(block[:, start:], 0)
        self._others = _products(Z, norms, n, len(rows), n)

    def kernel(self, of: Kernel) -> np.ndarray:
        """Return the (n, n) float64 kernel of the training rows."""
        full = np.empty((self.n, self.n))
        start = 0
        for block in self._train:
            values, stop = of(block), start + len(block)
            full[start:stop, :stop] = values
            full[:start, start:stop] = values[:, :start].T
            start = stop
        return full

    def predict(self, of: Kernel, found: "Solution") -> np.ndarray:
        """Return the (m,) scores of the other rows."""
        sums = [
            of(self._others[start : start + BLOCK, found.support]) @ found.dual
            for start in range(0, len(self._others), BLOCK)
        ]
        return found.intercept + np.concatenate(sums)


def _products(
    Z: np.ndarray, norms: np.ndarray | None, start: int, stop: int, columns: int
) -> np.ndarray:
    """Return rows start..stop against rows ..columns: products, or distances where norms are."""
    block = Z[start:stop] @ Z[:columns].T
    if norms is None:
        return block
    block *= -2
    block += norms[start:stop, None]
    block += norms[:columns]
    return np.maximum(block, 0, out=block)  # rounding takes duplicates below 0


def linear(products: np.ndarray) -> np.ndarray:
    """Return the linear kernel of scalar products."""
    return products


def rbf(gamma: float) -> Kernel:
    """Return the function from squared distances to exp(-gamma distances), in their precision."""

    def values(distances: np.ndarray) -> np.ndarray:
        out = distances * distances.dtype.type(-gamma)
        return np.exp(out, out=out)

    return values
