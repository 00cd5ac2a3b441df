"""Ridge regression on many training parts of one matrix at once, for every penalty.

Golub-Kahan bidiagonalisation of the standardised training rows, started at the centred scores
(Golub and Kahan 1965; Paige and Saunders 1982): after k steps, ridge regression within the span of
the k basis vectors is a problem of k unknowns, for any penalty, and needs no more of the matrix.
All parts step together: one product with X and one with its transpose serve all of
them, at the processor's full speed, where one part alone would wait for memory. Each part learns
its own mean and scale, which enter as corrections of a vector before and after a product.

Only the basis is kept orthogonal (Simon and Zha 2000); the other side need not be, since the small
problem is made from the projections themselves, in float64. The matrix is never squared in float32,
so that small penalties are resolved, too.

The matrix may be another library's, on a GPU; see `regressors.device`. What is of its size is then
computed there; the projections, the small problems and all that is returned are NumPy's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal, solveh_banded

from regressors.device import Array, Place, host
from regressors.standardising import chunks, standardise, standardisers

# The smallest penalty, as a share of the largest eigenvalue of a part's X'X: below it lies noise.
FLOOR = 1e-5
MAX_STEPS = 300
# Root mean squared error of the training rows' predictions that counts as exact, as a share of the
# scores' spread. Rows like them are as exact; one far outside of them is off in proportion.
TOLERANCE = 1e-4
_NOTHING = 1e-6
_CHECK_EVERY = 10


@dataclass(frozen=True)
class Part:
    """One training part: its rows of the matrix, and their scores."""

    rows: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class SmallProblem:
    """Ridge regression within the basis, diagonalised: (k,), (k, k), (k,)."""

    values: np.ndarray
    vectors: np.ndarray
    target: np.ndarray

    def weights(self, alpha: float) -> np.ndarray:
        """Return the (k,) weights of the basis vectors at one penalty."""
        return self.vectors @ (self.target / (self.values + alpha))


@dataclass
class Path:
    """The ridge regressions of one part.

    Attributes
    ----------
    mean, scale : (p,) float64 of the training rows; a constant column has scale 1
    y_mean : of the training scores
    basis : (k, p) float32, orthonormal, on standardised columns
    projections : (k, n) float32, every row of X, standardised by this part, on the basis
    """

    part: Part
    mean: np.ndarray
    scale: np.ndarray
    y_mean: float
    basis: np.ndarray
    projections: np.ndarray
    resolved: float = np.inf  # the smallest penalty that the steps resolve
    small: SmallProblem = field(init=False)

    def __post_init__(self) -> None:
        seen = self.projections[:, self.part.rows].astype(float)
        values, vectors = np.linalg.eigh(seen @ seen.T)
        target = vectors.T @ (seen @ (self.part.y - self.y_mean))
        self.small = SmallProblem(np.maximum(values, 0), vectors, target)

    @property
    def largest(self) -> float:
        """The largest eigenvalue of X'X with standardised columns."""
        # 0 where all are alike
        return max(float(self.small.values[-1]), np.finfo(float).tiny)

    def predict(self, alpha: float, rows: np.ndarray) -> np.ndarray:
        """Return the predictions of some rows of X at one penalty."""
        return self.y_mean + self.small.weights(alpha) @ self.projections[:, rows]

    def coefficients(self, alpha: float, columns: slice = slice(None)) -> np.ndarray:
        """Return the coefficients of standardised columns."""
        return self.small.weights(alpha) @ self.basis[:, columns]


def paths(
    X: Array,
    parts: Sequence[Part],
    floor: float = FLOOR,
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> list[Path]:
    """Return the ridge regressions of every part.

    Parameters
    ----------
    X : (n, p) finite, NumPy's or another library's
    floor : the smallest penalty to resolve, as a share of the largest eigenvalue
    """
    steps = min(max_steps, X.shape[1], min(len(part.rows) for part in parts))
    found = _found(X, parts, floor, tolerance, steps)
    _resolve(X, found, floor, tolerance)
    return found


def _found(
    X: Array, parts: Sequence[Part], floor: float, tolerance: float, steps: int
) -> list[Path]:
    """Step until the error left at the floor is small for all parts, or there are enough steps."""
    place, (n, p) = Place.of(X), X.shape
    xp = place.xp
    X, mean, scale = standardise(X)  # one copy, in which no column is large
    mask, U = np.zeros((2, n, len(parts)), np.float32)
    for index, part in enumerate(parts):
        mask[part.rows, index] = 1
        U[part.rows, index] = part.y - part.y.mean()
    means, scales, varying = standardisers(X, mask)
    # a column that is constant in a part is left out of it altogether
    inverse = place.put(varying / scales, np.float32)
    shift = place.put(means * varying / scales, np.float32)

    def forward(V):
        """All rows, standardised by each part, times a vector of each part."""
        return X @ (V * inverse) - xp.sum(shift * V, axis=0)

    def backward(U):
        return (X.T @ U) * inverse - shift * xp.sum(U, axis=0)

    bases = place.empty((len(parts), steps, p), np.float32)
    projections = np.empty((len(parts), steps, n), np.float32)
    lengths = np.linalg.norm(U, axis=0)
    U /= np.where(lengths > 0, lengths, 1)  # scores that are all alike leave nothing to fit
    mask, U = place.put(mask, np.float32), place.put(U, np.float32)
    diagonal, below = np.zeros((2, len(parts), steps + 1))
    V = backward(U)
    done = steps
    for k in range(steps):
        rows = place.contiguous(V.T)
        _orthogonalise(rows, bases[:, :k, :], place)
        diagonal[:, k] = _unit(rows, diagonal.max(axis=1), place)
        bases[:, k, :] = rows
        V = place.contiguous(rows.T)
        product = forward(V)
        projections[:, k] = host(product).T
        rows = (product * mask - place.put(diagonal[:, k], np.float32) * U).T
        below[:, k] = _unit(rows, diagonal.max(axis=1), place)
        U = rows.T
        V = backward(U) - place.put(below[:, k], np.float32) * V
        if k % _CHECK_EVERY == _CHECK_EVERY - 1 and all(
            _left(diagonal[i], below[i], k + 1, floor) < tolerance / 10 for i in range(len(parts))
        ):
            done = k + 1
            break
    return [
        Path(
            part,
            mean + scale * means[:, i],
            # a constant column has scale 1, as everywhere
            np.where(varying[:, i], scale * scales[:, i], 1),
            float(part.y.mean()),
            host(bases[i, :done, :]),
            projections[i, :done],
        )
        for i, part in enumerate(parts)
    ]


def _resolve(X: Array, found: Sequence[Path], floor: float, tolerance: float) -> None:
    """Find the smallest penalty that each path resolves, by its residual in float64.

    With r the residual of the normal equations, the training rows' predictions are off by at most
    |r| / (2 sqrt(alpha)) in norm.
    """
    shares = floor * 10.0 ** np.arange(0, 6)
    errors = np.zeros((X.shape[0], len(found), len(shares)))
    alphas = np.array([path.largest for path in found])[:, None] * shares
    for i, path in enumerate(found):
        for j, alpha in enumerate(alphas[i]):
            errors[path.part.rows, i, j] = path.part.y - path.predict(alpha, path.part.rows)
    exact = Place.of(X).exact()
    flat = exact.put(errors.reshape(X.shape[0], -1), float)
    squares = np.zeros(alphas.shape)
    for columns in chunks(X.shape[1]):
        products = host(exact.double(X[:, columns]).T @ flat).reshape(-1, *alphas.shape)
        for i, path in enumerate(found):
            mean, scale = path.mean[columns, None], path.scale[columns, None]
            gradient = (products[:, i] - mean * errors[:, i].sum(axis=0)) / scale
            weights = [path.coefficients(alpha, columns) for alpha in alphas[i]]
            squares[i] += ((gradient - alphas[i] * np.stack(weights, axis=1)) ** 2).sum(axis=0)
    for i, path in enumerate(found):
        spread = path.part.y.std() * np.sqrt(len(path.part.y))
        bad = np.sqrt(squares[i] / alphas[i]) / 2 > tolerance * spread
        # the smallest one above all that are not resolved
        worst = int(np.flatnonzero(bad).max(initial=-1))
        path.resolved = alphas[i, worst + 1] if worst + 1 < len(shares) else np.inf
        if worst < 0:
            path.resolved = 0.99 * path.resolved  # the floor itself is well inside


def _unit(rows: Array, largest: np.ndarray, place: Place) -> np.ndarray:
    """Scale each row to length 1 in place and return the lengths.

    What is next to nothing beside the largest length so far is rounding: that part has seen all
    that it has, and goes on with zeros.
    """
    lengths = host(place.xp.linalg.vector_norm(rows, axis=1))
    alive = lengths > _NOTHING * largest
    rows *= place.put((alive / np.where(alive, lengths, 1))[:, None], np.float32)
    return lengths * alive


def _orthogonalise(rows: Array, bases: Array, place: Place) -> None:
    """Take from each of the (parts, p) rows what lies in its (parts, k, p) basis, in place."""
    if not place.is_host:  # all at once, since a GPU would wait for each decision
        for _ in range(2 if bases.shape[1] else 0):
            inside = place.xp.matmul(bases, rows[:, :, None])
            rows -= place.xp.matmul(place.xp.matrix_transpose(inside), bases)[:, 0, :]
        return
    for row, basis in zip(rows, bases, strict=True):
        for _ in range(2):  # once more where much of it was taken away: rounding stays behind
            before = row @ row
            row -= (basis @ row) @ basis
            if row @ row > 0.5 * before:
                break


def _left(diagonal: np.ndarray, below: np.ndarray, k: int, floor: float) -> float:
    """Estimate the error that is left after k steps at the floor, over the scores' spread.

    The residual of the normal equations lies in the next basis vector alone, and its length is the
    last weight times the next two numbers of the bidiagonal, the second taken as large as this one.
    """
    if diagonal[0] == 0:
        return 0.0  # scores or embeddings that are all alike: the mean is all there is
    squares = diagonal[:k] ** 2 + below[:k] ** 2
    beside = diagonal[1:k] * below[: k - 1]
    largest = eigvalsh_tridiagonal(squares, beside, select="i", select_range=(k - 1, k - 1))[0]
    alpha = floor * largest
    target = np.zeros(k)
    target[0] = diagonal[0]
    banded = np.stack([np.append(0, beside), squares + alpha])
    weights = solveh_banded(banded, target)
    return diagonal[k - 1] * below[k - 1] * abs(weights[-1]) / (2 * np.sqrt(alpha))
