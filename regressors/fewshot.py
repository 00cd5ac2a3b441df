"""A head from a handful of rated pictures: a Gaussian process with a linear kernel.

y = m + w'z + noise, with w Gaussian: ridge regression whose penalty and scale come from the pairs
alone, by the marginal likelihood under a weak prior, and which says how sure it is. Rasmussen and
Williams, "Gaussian Processes for Machine Learning", 2006, equations 2.25, 2.26 and 2.30; the
amplitude is integrated out, so that predictions follow Student's t with k - 1 degrees of freedom.

The variance of a column over so few pictures says little: standardising by it alone lets chance
rule. Every column's variance is joined by the median variance of its block of columns.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y

from regressors.errors import DataError

MINIMUM_PAIRS = 3
# Noise variance over the signal's, per picture: from next to none to nothing but noise.
NOISE = np.logspace(-3, 2, 51)
# Its prior, log-normal: so few pictures may fit without any noise, and would then promise too much.
NOISE_MEDIAN, NOISE_SPREAD = 0.3, 1.5
COVERAGE = 0.9


class FewShot(RegressorMixin, BaseEstimator):
    """Gaussian process on a few rated pictures.

    Parameters
    ----------
    blocks : slices of the columns, one for each feature set; None takes all columns as one
    """

    def __init__(self, blocks: Sequence[slice] | None = None) -> None:
        self.blocks = blocks

    def fit(self, X: np.ndarray, y: np.ndarray) -> "FewShot":
        """Fit on (k, p) embeddings and (k,) scores, k at least 3.

        Raises
        ------
        DataError
            Too few pairs, scores or embeddings that are all alike.
        """
        if len(X) < MINIMUM_PAIRS:
            raise DataError(f"{len(X)} rated pictures: at least {MINIMUM_PAIRS} are needed")
        X, y = check_X_y(X, y, dtype=np.float64, y_numeric=True)
        if np.ptp(y) == 0:
            raise DataError(f"all {len(y)} scores are {y[0]:g}: there is nothing to learn")
        if not np.ptp(X, axis=0).any():
            raise DataError("the rated pictures have the same embedding: nothing to learn from")
        self.n_features_in_ = X.shape[1]
        self.mean_ = X.mean(axis=0)
        self.scale_ = self._scales(X)
        rows = self._scaled(X)
        # one number for all columns: the kernel of a typical rated picture with itself is 1
        self.scale_ = self.scale_ * np.sqrt((rows**2).sum(axis=1).mean())
        self.rows_ = self._scaled(X)
        self.y_mean_ = float(y.mean())
        values, vectors = np.linalg.eigh(self.rows_ @ self.rows_.T)
        target = vectors.T @ (y - self.y_mean_)
        values = np.maximum(values, 0)[:, None] + NOISE  # (k, noises)
        amplitudes = (target[:, None] ** 2 / values).mean(axis=0)
        # twice the negative logarithm of the posterior, the amplitude at its best
        losses = len(y) * np.log(amplitudes) + np.log(values).sum(axis=0)
        losses += (np.log(NOISE / NOISE_MEDIAN) / NOISE_SPREAD) ** 2
        best = int(losses.argmin())
        self.noise_, self.amplitude_ = float(NOISE[best]), float(amplitudes[best])
        self.inverse_ = (vectors / values[:, best]) @ vectors.T
        self.dual_ = self.inverse_ @ (y - self.y_mean_)
        return self

    def _scales(self, X: np.ndarray) -> np.ndarray:
        scales = np.ones(X.shape[1])
        for block in self.blocks or [slice(None)]:
            variance = X[:, block].var(axis=0)
            varying = variance[variance > 0]
            if len(varying):
                scales[block] = np.sqrt(variance + np.median(varying))
        return scales

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        return (X - self.mean_) / self.scale_

    def predict(self, X: np.ndarray, return_std: bool = False):
        """Return the (m,) scores of (m, p) embeddings, with `return_std` their deviations too.

        A deviation is that of a new rating: it holds the noise.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=np.float64)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"expected {self.n_features_in_} columns, got {X.shape[1]}")
        X = self._scaled(X)
        kernel = X @ self.rows_.T
        scores = self.y_mean_ + kernel @ self.dual_
        if not return_std:
            return scores
        known = np.einsum("ij,jk,ik->i", kernel, self.inverse_, kernel)
        # the last term is for the mean, which the pairs had to give as well
        unknown = (X**2).sum(axis=1) - known + self.noise_ * (1 + 1 / len(self.rows_))
        return scores, np.sqrt(self.amplitude_ * np.maximum(unknown, 0))

    def interval(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores, and the ends of the interval that holds nine of ten ratings."""
        scores, deviations = self.predict(X, return_std=True)
        reach = student.ppf((1 + COVERAGE) / 2, len(self.rows_) - 1) * deviations
        return scores, scores - reach, scores + reach
