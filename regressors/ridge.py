"""Ridge regression on standardised columns, exact for every alpha from one decomposition.

Minimises |y - Xs w - b|^2 + alpha |w|^2, Xs the columns of X at zero mean and unit variance in the
training part: the same as scikit-learn's Pipeline(StandardScaler(), Ridge(alpha)). All in float64.
With n rows and p columns the n x n form is taken where n <= p, the p x p form elsewhere.
"""

from collections.abc import Sequence

import numpy as np
import optuna
import scipy.linalg
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y

from regressors.metrics import srcc

# The eigenvalues of X'X with standardised columns sum to n * p: 1e-2 is no penalty for the smallest
# database, 1e7 a heavy one for the largest with thousands of columns.
SPACE = {"alpha": optuna.distributions.FloatDistribution(1e-2, 1e7, log=True)}


def standardiser(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of every column; a constant column has scale 1 and becomes zero."""
    mean, scale = X.mean(axis=0), X.std(axis=0)
    # rounding leaves a constant column a spread: that of a mean over n rows grows with n
    constant = scale <= max(10, len(X)) * np.finfo(float).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, scale)


class RidgePath:
    """One training part and some rows to predict; any alpha costs one small product.

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

    def predict(self, alpha: float) -> np.ndarray:
        """Return the (m,) predictions at one alpha."""
        return self.y_mean + self._basis @ (self._target / (self._values + alpha))


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


class RidgeTuner:
    """Scores any alpha on inner folds whose decompositions are made once."""

    space = SPACE
    head = "linear"

    def __init__(
        self, X: np.ndarray, y: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        self._paths = [
            (RidgePath(X[train], y[train], X[validation]), y[validation], validation)
            for train, validation in folds
        ]
        self._n = len(y)

    def score(self, params: dict[str, float]) -> float:
        """Return the mean SRCC over the inner folds."""
        return float(np.mean([srcc(y, path.predict(**params)) for path, y, _ in self._paths]))

    def out_of_fold(self, params: dict[str, float]) -> np.ndarray:
        """Return the (n,) predictions of every row by the inner fold that did not see it.

        NaN for a row that is in no validation part.
        """
        predictions = np.full(self._n, np.nan)
        for path, _, validation in self._paths:
            predictions[validation] = path.predict(**params)
        return predictions

    @staticmethod
    def model(params: dict[str, float]) -> Ridge:
        """Return the unfitted regressor."""
        return Ridge(**params)
