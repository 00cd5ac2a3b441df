"""Correlations between the standardised columns of some rows, for linear systems in many of them.

As the matrix itself where there are at most about as many columns as rows, else as the standardised
rows. Large ones are kept in float32: `regressors.blockwise` has what must be exact.

Systems in few columns are solved by Cholesky, in the form of the columns or of the rows, whichever
is smaller; others by a few steps of conjugate gradients, preconditioned by the largest
eigenvectors, which a randomised iteration finds (Halko, Martinsson and Tropp 2011, SIAM Review
53:217; Frangella, Tropp and Udell 2023, SIAM Journal on Matrix Analysis and Applications 44:718).
"""

import numpy as np
import scipy.linalg

from regressors.blockwise import Standardised
from regressors.errors import NoHead

# So many numbers are kept in float64: 64 MB.
SMALL = 8_000_000
# Systems of up to so many unknowns are solved by Cholesky.
DIRECT = 500
# Eigenvectors for the others: more make fewer steps, which cost more each.
N_EIGENVECTORS = 256


def _cholesky(system: np.ndarray, target: np.ndarray, l2: float) -> np.ndarray:
    system = np.array(system, float)
    system.flat[:: len(system) + 1] += l2
    try:
        factor = scipy.linalg.cho_factor(system, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise NoHead(f"l2 {l2:.3g} is lost in rounding: the columns depend on each other") from None
    return scipy.linalg.cho_solve(factor, target, check_finite=False)


class _Form:
    """What both forms share: the choice of how to solve, and the preconditioner.

    Attributes
    ----------
    factor : (p, k) whose product with its transpose is nearly the matrix; None for a small one
    """

    factor: np.ndarray | None = None

    def solve(self, active: np.ndarray, target: np.ndarray, l2: float, share: float) -> np.ndarray:
        """Solve (G_aa + l2) x = target about as exactly as `share` of the target says."""
        if self.factor is None or self._unknowns(active) <= DIRECT:
            return self._directly(active, target, l2)
        factor = self.factor[active]
        # standardised columns correlate with themselves by 1, of which the factor has a part
        rest = float(l2) + np.maximum(1 - np.sum(factor * factor, axis=1), 0)
        weighted = factor / rest[:, None]
        inner = np.eye(factor.shape[1]) + factor.T @ weighted
        inner = scipy.linalg.cho_factor(inner, check_finite=False)

        def approximate(r):
            small = scipy.linalg.cho_solve(inner, r @ weighted, check_finite=False)
            return r / rest - weighted @ small.astype(r.dtype)

        product = self._within_active(active)
        return _conjugate_gradients(
            lambda d: product(d) + d.dtype.type(l2) * d,
            approximate,
            target.astype(factor.dtype),
            share,
        ).astype(float)

    def _factorise(self, dtype: type) -> None:
        size = min(N_EIGENVECTORS, len(self))
        basis = np.random.default_rng(0).standard_normal((len(self), size)).astype(dtype)
        basis = scipy.linalg.qr(self._block(basis), mode="economic", check_finite=False)[0]
        image = self._block(basis)
        values, vectors = scipy.linalg.eigh(np.asarray(basis.T @ image, float))
        usable = values > 1e-6 * values[-1]
        turn = vectors[:, usable] / np.sqrt(values[usable])
        self.factor = np.ascontiguousarray(image @ turn.astype(dtype))


def _conjugate_gradients(product, approximate, target, share, max_steps=200):
    """Solve a linear system until the residual is a share of the target."""
    x, r = np.zeros_like(target), target.copy()
    small, direction, before = share * np.linalg.norm(target), 0.0, 1.0
    for _ in range(max_steps):
        if np.linalg.norm(r) <= small:
            break
        preconditioned = approximate(r)
        now = r @ preconditioned
        direction = preconditioned + (now / before) * direction
        image = product(direction)
        curvature = direction @ image
        if not curvature > 0:  # rounding: the matrix has no more to tell
            break
        length = now / curvature
        x += length * direction
        r -= length * image
        before = now
    return x


class Gram(_Form):
    """The matrix itself.

    Parameters
    ----------
    matrix : (p, p), symmetric
    """

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    @classmethod
    def of(cls, part: Standardised, dtype: type) -> "Gram":
        """Return the correlations of the columns of a part."""
        columns = part.columns(dtype)
        matrix = columns @ columns.T
        matrix /= columns.shape[1]
        found = cls(matrix)
        if len(matrix) > DIRECT:
            found._factorise(dtype)
        return found

    def anew(self) -> "Gram":
        """Return the same, which remembers nothing of what it was asked for."""
        return self

    def __len__(self) -> int:
        return len(self.matrix)

    def product(self, v: np.ndarray) -> np.ndarray:
        """Return G v."""
        used = np.flatnonzero(v)
        weights = v.astype(self.matrix.dtype)
        if 4 * len(used) < len(v):
            return np.asarray(weights[used] @ self.matrix[used], float)
        return np.asarray(weights @ self.matrix, float)

    def within(self, kept: np.ndarray) -> "Gram":
        """Return those of some columns only."""
        found = Gram(self.matrix[np.ix_(kept, kept)])
        found.factor = None if self.factor is None else self.factor[kept]
        return found

    def _unknowns(self, active):
        return len(active)

    def _directly(self, active, target, l2):
        return _cholesky(self.matrix[np.ix_(active, active)], target, l2)

    def _within_active(self, active):
        whole = np.zeros(len(self), self.matrix.dtype)

        def product(d):
            whole[active] = d
            return (whole @ self.matrix)[active]

        return product

    def _block(self, basis):
        return self.matrix @ basis


class Rows(_Form):
    """The standardised rows, which are taken for the columns of a matrix.

    Parameters
    ----------
    columns : (p, n) the standardised columns, divided by the root of n
    """

    def __init__(self, columns: np.ndarray) -> None:
        self.columns = columns
        # columns -> the products of the rows in them: to begin with, of none
        self.known = [(np.zeros(len(columns), bool), 0.0)]

    @classmethod
    def of(cls, part: Standardised, dtype: type) -> "Rows":
        """Return the correlations of the columns of a part."""
        columns = part.columns(dtype)
        columns /= np.sqrt(columns.shape[1]).astype(dtype)
        found, (p, n) = cls(columns), columns.shape
        if min(n, p) > DIRECT:
            found._factorise(dtype)
        elif n < p:
            found._products(np.arange(len(found)))
        return found

    def anew(self) -> "Rows":
        """Return the same, which remembers nothing of what it was asked for."""
        found = Rows(self.columns)
        found.factor, found.known = self.factor, self.known
        return found

    def __len__(self) -> int:
        return len(self.columns)

    def product(self, v: np.ndarray) -> np.ndarray:
        """Return G v."""
        used = np.flatnonzero(v)
        weights = v.astype(self.columns.dtype)
        if 2 * len(used) < len(v):
            image = weights[used] @ self.columns[used]
        else:
            image = weights @ self.columns
        return np.asarray(self.columns @ image, float)

    def within(self, kept: np.ndarray) -> "Rows":
        """Return those of some columns only."""
        found = Rows(self.columns[kept])
        found.factor = None if self.factor is None else self.factor[kept]
        found.known += [
            (there[kept], products)
            for there, products in self.known[1:]
            if there[kept].sum() == there.sum()
        ]
        return found

    def _unknowns(self, active):
        return min(len(active), self.columns.shape[1])

    def _directly(self, active, target, l2):
        if len(active) <= self.columns.shape[1]:
            columns = np.asarray(self.columns[active], float)
            return _cholesky(columns @ columns.T, target, l2)
        # the same in the form of the rows (Woodbury)
        whole = np.zeros(len(self))
        whole[active] = target
        inner = _cholesky(self._products(active), whole @ self.columns, l2)
        return (target - (self.columns @ inner)[active]) / l2

    def _products(self, active):
        """Return the (n, n) products of the rows in some columns, from those known already."""
        wanted = np.zeros(len(self), bool)
        wanted[active] = True
        there, products = min(self.known, key=lambda one: np.sum(one[0] != wanted))
        more = np.asarray(self.columns[wanted & ~there], float)
        less = np.asarray(self.columns[there & ~wanted], float)
        products = products + more.T @ more - less.T @ less
        self.known = [*self.known[:2], (wanted, products)]
        return products

    def _within_active(self, active):
        columns = self.columns[active]
        return lambda d: columns @ (d @ columns)

    def _block(self, basis):
        return self.columns @ (self.columns.T @ basis)
