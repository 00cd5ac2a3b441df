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
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y

from regressors import bidiagonal
from regressors.base import Blocks, Params, Prepared, Training, Tuner
from regressors.scaling import standardiser

# Penalties as shares of the largest eigenvalue of X'X: below the floor lie directions that float32
# embeddings do not know, at the ceiling next to nothing is left of the best direction.
FLOOR, CEILING = bidiagonal.FLOOR, 10.0
# Up to so many rows or columns an exact decomposition is quick.
EXACT = 500
# Large parts are decomposed so many at a time (ten folds and all data, with five inner folds each),
# or more where they fit into so many bytes.
TOGETHER, MEMORY = 66, 1.5e9


class Ridge(RegressorMixin, BaseEstimator):
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
        n, p = X.shape
        if n <= p:
            dual = _solve(X @ X.T, y - self.intercept_, self.alpha)
            self.coef_ = X.T @ dual
        else:
            self.coef_ = _solve(X.T @ X, X.T @ (y - self.intercept_), self.alpha)
        return self

    def set_fitted(
        self, mean: np.ndarray, scale: np.ndarray, coef: np.ndarray, intercept: float
    ) -> "Ridge":
        """Take a solution that was found elsewhere."""
        self.n_features_in_ = len(coef)
        self.mean_, self.scale_, self.coef_, self.intercept_ = mean, scale, coef, intercept
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the (m,) scores of (m, p) embeddings."""
        check_is_fitted(self)
        X = check_array(X, dtype=np.float64)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"expected {self.n_features_in_} columns, got {X.shape[1]}")
        return self.intercept_ + ((X - self.mean_) / self.scale_) @ self.coef_

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that a prediction needs, as arrays to share; see `regressors.heads`."""
        return {
            "mean": self.mean_,
            "scale": self.scale_,
            "coef": self.coef_,
            "intercept": np.array([self.intercept_]),
        }


def _solve(gram: np.ndarray, target: np.ndarray, alpha: float) -> np.ndarray:
    gram[np.diag_indices_from(gram)] += alpha
    return scipy.linalg.solve(gram, target, assume_a="pos", overwrite_a=True)


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


class KrylovPath:
    """The same from a few hundred steps of bidiagonalisation; see `regressors.bidiagonal`.

    A penalty that the steps did not resolve is solved exactly, in float64.

    Parameters
    ----------
    X : (N, p) the matrix that the path was made of
    rows : (m,) those to predict
    """

    def __init__(self, X: np.ndarray, path: bidiagonal.Path, rows: np.ndarray) -> None:
        self._X, self._part, self._rows = X, path.part, rows
        self._mean, self._scale, self._y_mean = path.mean, path.scale, path.y_mean
        self._small = path.small
        # only the whole training part, which predicts no rows, is asked for its coefficients
        self._basis = None if len(rows) else path.basis
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
    krylov: Sequence[KrylovPath] = ()  # of inner folds and whole, where `many` made them

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
        cls, X: np.ndarray, trainings: Sequence[Training], blocks: Blocks | None = None
    ) -> Iterator["RidgeTuner"]:
        """Yield the tuner of each training part; large ones are decomposed together."""
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
        found = (
            KrylovPath(X, path, own)  # which keeps only what tuning needs
            for start in range(0, len(parts), step)
            for path, own in zip(
                bidiagonal.paths(X, parts[start : start + step], FLOOR),
                rows[start : start + step],
                strict=True,
            )
        )
        ours = iter(list(found))
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
