"""What linear heads on standardised columns share: how they predict, and what they are made of."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted


class Linear(RegressorMixin, BaseEstimator):
    """A head that is fitted once it has these attributes.

    Attributes
    ----------
    n_features_in_ : p
    mean_, scale_ : (p,) of the columns in the training part
    coef_ : (p,) of the standardised columns
    intercept_ : float
    """

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
