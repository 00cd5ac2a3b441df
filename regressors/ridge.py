"""Ridge regression on standardised columns, exact for every alpha from one decomposition.

Minimises |y - Xs w - b|^2 + alpha |w|^2, Xs the columns of X at zero mean and unit variance in the
training part: the same as scikit-learn's Pipeline(StandardScaler(), Ridge(alpha)). All in float64.
Small training parts are decomposed exactly, in the n x n form where n <= p and in the p x p form
elsewhere; large ones together, by bidiagonalisation.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import optuna
import scipy.linalg
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y

from regressors import bidiagonal
from regressors.base import Folds, Params, Training, Tuner
from regressors.scaling import standardiser

# Penalties as shares of the largest eigenvalue of X'X: below the floor lie directions that float32
# embeddings do not know, at the ceiling next to nothing is left of the best direction.
FLOOR, CEILING = bidiagonal.FLOOR, 10.0
# Up to so many rows or columns an exact decomposition is quick.
EXACT = 500


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


class ExactPath:
    """One training part and some rows to predict: an exact decomposition, then any alpha.

    Parameters
    ----------
    X : (n, p) training embeddings
    y : (n,) scores
    X_new : (m, p) rows to predict
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, X_new: np.ndarray) -> None:
        X = np.asarray(X, float)
        mean, scale = standardiser(X)
        X = (X - mean) / scale
        X_new = (np.asarray(X_new, float) - mean) / scale
        self.y_mean = y.mean()
        y = y - self.y_mean
        if X.shape[0] <= X.shape[1]:
            values, vectors = scipy.linalg.eigh(X @ X.T)
            self._target, self._basis = vectors.T @ y, (X_new @ X.T) @ vectors
        else:
            values, vectors = scipy.linalg.eigh(X.T @ X)
            self._target, self._basis = vectors.T @ (X.T @ y), X_new @ vectors
        self._values = np.maximum(values, 0.0)
        self.largest = float(self._values[-1])

    def predict(self, alpha: float) -> np.ndarray:
        """Return the (m,) predictions at one alpha."""
        return self.y_mean + self._basis @ (self._target / (self._values + alpha))

    @staticmethod
    def fitted(alpha: float, X: np.ndarray, y: np.ndarray) -> Ridge:
        """Return the ridge regression on the training part."""
        return Ridge(alpha).fit(X, y)


class KrylovPath:
    """The same from a few hundred steps of bidiagonalisation; see `regressors.bidiagonal`.

    A penalty that the steps did not resolve is solved exactly, in float64.
    """

    def __init__(self, X: np.ndarray, path: bidiagonal.Path, rows: np.ndarray) -> None:
        self._X, self._path, self._rows = X, path, rows
        self.largest = path.largest
        self.resolved = path.resolved

    def predict(self, alpha: float) -> np.ndarray:
        """Return the predictions of the rows at one alpha."""
        if alpha >= self.resolved:
            return self._path.predict(alpha, self._rows)
        part = self._path.part
        return Ridge(alpha).fit(self._X[part.rows], part.y).predict(self._X[self._rows])

    def fitted(self, alpha: float, X: np.ndarray, y: np.ndarray) -> Ridge:
        """Return the ridge regression on the training part (X, y)."""
        if alpha < self.resolved:
            return Ridge(alpha).fit(X, y)
        path = self._path
        return Ridge(alpha).set_fitted(path.mean, path.scale, path.coefficients(alpha), path.y_mean)


class RidgeTuner(Tuner):
    """Any penalty on inner folds whose decompositions are made once."""

    head = "linear"

    def __init__(
        self, X: np.ndarray, y: np.ndarray, folds: Folds, paths: Sequence | None = None
    ) -> None:
        """Prepare the inner folds.

        Parameters
        ----------
        paths : of each inner fold and, last, of the whole training part, where `many` made them
        """
        super().__init__(X, y, folds)
        whole = np.arange(len(y))
        self._parts = [*folds, (whole, whole[:0])]
        self._paths = paths or [
            ExactPath(X[train], y[train], X[part]) for train, part in self._parts
        ]
        # two digits, so that another machine's last bits do not make another study
        largest = float(f"{self._paths[-1].largest:.1e}")
        self.space = {
            "alpha": optuna.distributions.FloatDistribution(
                FLOOR * largest, CEILING * largest, log=True
            )
        }

    @classmethod
    def many(cls, X: np.ndarray, trainings: Sequence[Training]) -> Iterator["RidgeTuner"]:
        """Yield the tuner of each training part; large ones are decomposed together."""
        if min(max(len(training.rows) for training in trainings), X.shape[1]) <= EXACT:
            yield from super().many(X, trainings)
            return
        parts, rows = [], []
        for training in trainings:
            whole = np.arange(len(training.y))
            for train, part in (*training.inner, (whole, whole[:0])):
                parts.append(bidiagonal.Part(training.rows[train], training.y[train]))
                rows.append(training.rows[part])
        found = iter(zip(bidiagonal.paths(X, parts, FLOOR), rows, strict=True))
        for training in trainings:
            own = [KrylovPath(X, *next(found)) for _ in range(len(training.inner) + 1)]
            yield cls(X[training.rows], training.y, training.inner, own)

    def predictions(self, params: Params) -> list[np.ndarray]:
        """Return the predictions of each inner fold's validation rows."""
        return [path.predict(params["alpha"]) for path in self._paths[:-1]]

    def fitted(self, params: Params) -> Ridge:
        """Return the ridge regression on the whole training part."""
        return self._paths[-1].fitted(params["alpha"], self.X, self.y)
