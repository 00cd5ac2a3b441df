"""Ridge regression on standardised columns, exact for every alpha from one decomposition.

Minimises |y - Xs w - b|^2 + alpha |w|^2, Xs the columns of X at zero mean and unit variance in the
training part: the same as scikit-learn's Pipeline(StandardScaler(), Ridge(alpha)). All in float64.
Small training parts are decomposed exactly, in the n x n form where n <= p and in the p x p form
elsewhere; large ones together, by bidiagonalisation.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import scipy.linalg
from optuna.distributions import FloatDistribution
from sklearn.utils.validation import check_X_y

from regressors import bidiagonal
from regressors.base import Blocks, Params, Prepared, Training, Tuner
from regressors.device import Array
from regressors.exact import Decomposition, ExactPath
from regressors.linear import Linear
from regressors.scaling import standardiser

# Penalties as shares of the largest eigenvalue of X'X: below the floor lie directions that float32
# embeddings do not know, at the ceiling next to nothing is left of the best direction.
FLOOR, CEILING = bidiagonal.FLOOR, 10.0
# Up to so many rows or columns an exact decomposition is quick.
EXACT = 500
# Large parts are decomposed so many at a time (ten folds and all data, with five inner folds each),
# or more where they fit into so many bytes.
TOGETHER, MEMORY = 66, 1.5e9


class Ridge(Linear):
    """Ridge regression with its scaler inside; see the module for the model.

    Parameters
    ----------
    alpha : penalty on the squared coefficients of the standardised columns, > 0
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Ridge":
        """Fit on (n, p) embeddings and (n,) scores."""
        if not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}")
        X, y = check_X_y(X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        self.n_features_in_ = X.shape[1]
        self.mean_, self.scale_ = standardiser(X)
        X = (X - self.mean_) / self.scale_
        self.intercept_ = float(y.mean())
        self.coef_ = coefficients(X, y - self.intercept_, self.alpha)
        return self

    def set_fitted(
        self, mean: np.ndarray, scale: np.ndarray, coef: np.ndarray, intercept: float
    ) -> "Ridge":
        """Take a solution that was found elsewhere."""
        self.n_features_in_ = len(coef)
        self.mean_, self.scale_, self.coef_, self.intercept_ = mean, scale, coef, intercept
        return self


def coefficients(X: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """Return the (p,) ridge coefficients of (n, p) centred columns and (n,) centred scores."""
    if X.shape[0] <= X.shape[1]:
        return X.T @ _solve(X @ X.T, y, alpha)
    return _solve(X.T @ X, X.T @ y, alpha)


def _solve(gram: np.ndarray, target: np.ndarray, alpha: float) -> np.ndarray:
    gram[np.diag_indices_from(gram)] += alpha
    return scipy.linalg.solve(gram, target, assume_a="pos", overwrite_a=True)


class KrylovPath:
    """The same from a few hundred steps of bidiagonalisation; see `regressors.bidiagonal`.

    A penalty that the steps did not resolve is solved exactly, in float64.

    Parameters
    ----------
    X : (N, p) the matrix that the path was made of, NumPy's
    rows : (m,) those to predict
    """

    def __init__(self, X: np.ndarray, path: bidiagonal.Path, rows: np.ndarray) -> None:
        self._X, self._part, self._rows = X, path.part, rows
        self._mean, self._scale, self._y_mean = path.mean, path.scale, path.y_mean
        self._small = path.small
        # only the whole training part, which predicts no rows, is asked for its coefficients
        self._basis = None if len(rows) else path.basis.copy()  # frees those of the other parts
        self._projections = np.ascontiguousarray(path.projections[:, rows])
        self.largest, self.resolved = path.largest, path.resolved

    def predict(self, alpha: float) -> np.ndarray:
        """Return the predictions of the rows at one alpha."""
        if alpha < self.resolved:
            return self._exactly(alpha).predict(self._X[self._rows])
        return self._y_mean + self._small.weights(alpha) @ self._projections

    def fitted(self, alpha: float) -> Ridge:
        """Return the ridge regression on the training part."""
        if alpha < self.resolved or self._basis is None:
            return self._exactly(alpha)
        coef = self._small.weights(alpha) @ self._basis
        return Ridge(alpha).set_fitted(self._mean, self._scale, coef, self._y_mean)

    def _exactly(self, alpha: float) -> Ridge:
        return Ridge(alpha).fit(self._X[self._part.rows], self._part.y)


def _decomposed(
    X: np.ndarray,
    parts: Sequence[bidiagonal.Part],
    rows: Sequence[np.ndarray],
    where: Array,
) -> list[KrylovPath]:
    """Return what tuning needs of each part's path; the rest is gone before others are made."""
    found = bidiagonal.paths(where, parts, FLOOR)
    return [KrylovPath(X, path, own) for path, own in zip(found, rows, strict=True)]


class RidgePrepared(Prepared):
    """The exact decompositions of the inner folds and, last, of the whole training part."""

    @cached_property
    def decompositions(self) -> list[Decomposition]:
        """Made once for all targets."""
        found = [Decomposition(self.X(train), self.X(part)) for train, part in self.folds]
        whole = self.X()
        return [*found, Decomposition(whole, whole[:0])]


class RidgeTuner(Tuner):
    """Any penalty on inner folds whose decompositions are made once."""

    head = "linear"
    prepared_as = RidgePrepared
    on_device = True
    krylov: Sequence[KrylovPath] = ()  # of inner folds and whole, where `many` made them

    @staticmethod
    def memory(n: int, p: int, n_sets: int = 1) -> float:
        """Return about how many bytes one study takes, beside the decompositions."""
        return 8.0 * n * p + 8.0 * min(n, EXACT) * max(n, p)

    @cached_property
    def _paths(self) -> Sequence:
        if self.krylov:
            return self.krylov
        *inner, whole = self.prepared.decompositions
        paths = [
            ExactPath(found, self.y[train])
            for found, (train, _) in zip(inner, self.folds, strict=True)
        ]
        return [*paths, ExactPath(whole, self.y)]

    @cached_property
    def space(self) -> dict[str, FloatDistribution]:
        """The penalty, relative to the largest eigenvalue of the whole training part."""
        # two digits, so that another machine's last bits do not make another study
        largest = float(f"{self._paths[-1].largest:.1e}")
        return {"alpha": FloatDistribution(FLOOR * largest, CEILING * largest, log=True)}

    @classmethod
    def many(
        cls,
        X: np.ndarray,
        trainings: Sequence[Training],
        blocks: Blocks | None = None,
        device_X: Array | None = None,
    ) -> Iterator["RidgeTuner"]:
        """Yield the tuner of each training part; large ones are decomposed together.

        Parameters
        ----------
        device_X : the same matrix as another library's array, such as one on a GPU, where large
            parts are then decomposed; see `regressors.device`

        Raises
        ------
        ValueError
            When the two matrices differ in shape.
        """
        if device_X is not None and tuple(device_X.shape) != X.shape:
            raise ValueError(f"device_X is {tuple(device_X.shape)}, X is {X.shape}: not the same")
        if min(max(len(training.rows) for training in trainings), X.shape[1]) <= EXACT:
            yield from super().many(X, trainings, blocks)
            return
        parts, rows = [], []
        for training in trainings:
            whole = np.arange(len(training.y))
            for train, part in (*training.inner, (whole, whole[:0])):
                parts.append(bidiagonal.Part(training.rows[train], training.y[train]))
                rows.append(training.rows[part])
        # so many at once that their products run at full speed, and that memory stays bounded
        step = max(TOGETHER, int(MEMORY / (4 * bidiagonal.MAX_STEPS * sum(X.shape))))
        found: list[KrylovPath] = []
        for start in range(0, len(parts), step):
            some = slice(start, start + step)
            found += _decomposed(X, parts[some], rows[some], X if device_X is None else device_X)
        ours = iter(found)
        for training in trainings:
            tuner = cls(X, training.y, training.inner, training.rows, blocks)
            tuner.krylov = [next(ours) for _ in range(len(training.inner) + 1)]
            yield tuner

    def predictions(self, params: Params) -> list[np.ndarray]:
        """Return the predictions of each inner fold's validation rows."""
        return [path.predict(params["alpha"]) for path in self._paths[:-1]]

    def fitted(self, params: Params) -> Ridge:
        """Return the ridge regression on the whole training part."""
        if self.krylov:
            return self.krylov[-1].fitted(params["alpha"])
        return Ridge(params["alpha"]).fit(self.prepared.X(), self.y)
