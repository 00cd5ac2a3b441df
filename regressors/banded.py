"""Ridge regression with one penalty per feature set, and what each set contributes.

Minimises |y - Xs w - b|^2 + sum over sets of alpha_s |w_s|^2, Xs the columns of X at zero mean and
unit variance in the training part: banded ridge (Nunez-Elizalde, Huth and Gallant 2019). A set
whose penalty is large is switched off; with equal penalties it is `regressors.ridge`. It is ridge
regression with penalty a on columns that are scaled by sqrt(a / alpha_s); a is the smallest of the
penalties, so that no column grows.

Gram matrices are made once per inner fold; a trial weighs them and is one Cholesky solve, see
`regressors.grams`.
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from optuna.distributions import FloatDistribution
from sklearn.utils.validation import check_X_y

from regressors.base import Blocks, Params, Prepared, Tuner
from regressors.errors import DataError
from regressors.folds import N_INNER
from regressors.grams import DOUBLE, FoldGrams, largest_eigenvalue, relative
from regressors.heads import Arrays
from regressors.ridge import FLOOR, Ridge, coefficients
from regressors.scaling import standardiser
from regressors.standardising import standardise

# A set's penalty as a share of the largest eigenvalue of its own X'X, at most: a thousandth of its
# best direction is left.
CEILING = 1e3
_PREFIX = "alpha:"


class BandedRidge(Ridge):
    """Banded ridge regression with its scaler inside; see the module for the model.

    Each penalty is also a parameter by itself, `alpha:NAME`: `get_params` gives it, `set_params`
    takes it.

    Parameters
    ----------
    alphas : name of a feature set -> penalty on the squared coefficients of its standardised
        columns, > 0; or one number for all sets
    blocks : name of a feature set -> its columns; each column is in one set. A single set, `all`,
        when not given
    """

    def __init__(
        self, alphas: float | Mapping[str, float] = 1.0, blocks: Blocks | None = None
    ) -> None:
        self.alphas = alphas
        self.blocks = blocks

    def get_params(self, deep: bool = True) -> dict:
        """Return what the constructor takes and, when `deep`, each penalty by itself."""
        own = super().get_params(deep=False)
        single = {_PREFIX + name: alpha for name, alpha in self._alphas().items()}
        return own | single if deep else own

    def set_params(self, **params) -> "BandedRidge":
        """Set what the constructor takes, then single penalties."""
        single = {key: params.pop(key) for key in list(params) if key.startswith(_PREFIX)}
        super().set_params(**params)
        alphas = self._alphas()
        for key, alpha in single.items():
            if key.removeprefix(_PREFIX) not in alphas:
                raise ValueError(f"there is no {key}; the feature sets are {sorted(alphas)}")
            alphas[key.removeprefix(_PREFIX)] = alpha
        if single:
            self.alphas = alphas
        return self

    def fit(self, X: np.ndarray, y: np.ndarray) -> "BandedRidge":
        """Fit on (n, p) embeddings and (n,) scores."""
        X, y = check_X_y(X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        alphas, blocks = self._alphas(), self.blocks or {"all": slice(None)}
        check_blocks(blocks, X.shape[1])
        if set(alphas) != set(blocks):
            raise ValueError(f"penalties are for {sorted(alphas)}, columns for {sorted(blocks)}")
        if not all(0 < alpha < np.inf for alpha in alphas.values()):
            raise ValueError(f"every alpha must be above 0 and finite, got {alphas}")
        smallest, scales = relative(alphas, blocks, X.shape[1])
        self.n_features_in_ = X.shape[1]
        self.mean_, self.scale_ = standardiser(X)
        X = (X - self.mean_) / self.scale_
        X *= scales
        self.intercept_ = float(y.mean())
        self.coef_ = scales * coefficients(X, y - self.intercept_, smallest)
        return self

    def _alphas(self) -> dict[str, float]:
        if isinstance(self.alphas, Mapping):
            return dict(self.alphas)
        return dict.fromkeys(self.blocks or ["all"], self.alphas)


class BandedRidgePrepared(Prepared):
    """The Gram matrices of the inner folds, and the size of each feature set."""

    @cached_property
    def grams(self) -> list[FoldGrams]:
        """Made once for all targets."""
        check_blocks(self.blocks, self.n_dims)
        return [FoldGrams(self.X(train), self.X(part), self.blocks) for train, part in self.folds]

    @cached_property
    def largest(self) -> dict[str, float]:
        """The largest eigenvalue of X'X of each feature set, in the whole training part."""
        check_blocks(self.blocks, self.n_dims)
        Z, _, _ = standardise(self.X(), np.float32)
        return {name: largest_eigenvalue(Z[:, own]) for name, own in self.blocks.items()}


class BandedRidgeTuner(Tuner):
    """One penalty per feature set, `alpha:NAME`, on Gram matrices that are made once."""

    head = "linear"
    prepared_as = BandedRidgePrepared

    @staticmethod
    def memory(n: int, p: int, n_sets: int = 2) -> float:
        """Return about how many bytes tuning takes, and the fit of all."""
        train, valid = n * (1 - 1 / N_INNER), n / N_INNER
        dual, primal = n_sets * (train**2 / 2 + train * valid), p**2 / 2 + valid * p
        small = min(train, p)
        numbers = N_INNER * (max(dual, primal) if train <= p else primal)
        # beside what is kept, the weighted sum of a trial
        return (8 if small <= DOUBLE else 4) * numbers + 16.0 * small**2 + 24.0 * n * p

    @property
    def natural(self) -> frozenset[tuple[str, str]]:
        """Beyond the ceiling a feature set is switched off, and nothing else changes."""
        return frozenset((_PREFIX + name, "high") for name in self.prepared.blocks)

    @cached_property
    def space(self) -> dict[str, FloatDistribution]:
        """The penalty of each feature set, relative to its own largest eigenvalue."""
        space = {}
        for name, largest in self.prepared.largest.items():
            # two digits, so that another machine's last bits do not make another study
            unit = float(f"{largest:.1e}")
            space[_PREFIX + name] = FloatDistribution(FLOOR * unit, CEILING * unit, log=True)
        return space

    @cached_property
    def _targets(self) -> list[tuple[float, np.ndarray]]:
        """The mean score of each inner fold, and what its solutions need of the others."""
        targets = []
        for grams, (train, _) in zip(self.prepared.grams, self.folds, strict=True):
            mean = self.y[train].mean()
            X = None if grams.dual else self.prepared.X(train)
            targets.append((mean, grams.target(self.y[train] - mean, X)))
        return targets

    def predictions(self, params: Params) -> list[np.ndarray]:
        """Return the predictions of each inner fold's validation rows."""
        alphas = self._alphas(params)
        return [
            mean + grams.predict(alphas, target)
            for grams, (mean, target) in zip(self.prepared.grams, self._targets, strict=True)
        ]

    def fitted(self, params: Params) -> BandedRidge:
        """Return the banded ridge regression on the whole training part."""
        model = BandedRidge(self._alphas(params), dict(self.prepared.blocks))
        return model.fit(self.prepared.X(), self.y)

    def _alphas(self, params: Params) -> dict[str, float]:
        return {name: params[_PREFIX + name] for name in self.prepared.blocks}


def contributions(arrays: Arrays, blocks: Blocks, X: np.ndarray) -> dict[str, float]:
    """Return the share of each feature set in what a linear head predicts on (n, p) rows.

    With f_s what the columns of a set add to the prediction f, its share is cov(f_s, f) / var(f).
    Shares sum to 1; that of a set that works against the others is below 0.

    Parameters
    ----------
    arrays : of any head of kind "linear"; see `regressors.heads`

    Raises
    ------
    DataError
        When the predictions are all alike.
    """
    check_blocks(blocks, X.shape[1])
    parts = {}
    for name, own in blocks.items():
        part = ((X[:, own] - arrays["mean"][own]) / arrays["scale"][own]) @ arrays["coef"][own]
        parts[name] = part - part.mean()
    whole = np.sum(list(parts.values()), axis=0)
    total = whole @ whole
    if not total > 0:
        raise DataError("the predictions are all alike: no feature set contributes to them")
    return {name: float(part @ whole / total) for name, part in parts.items()}


def check_blocks(blocks: Blocks, n_dims: int) -> None:
    """Refuse feature sets that do not hold each of `n_dims` columns exactly once."""
    counts = np.zeros(n_dims, int)
    for own in blocks.values():
        counts[own] += 1
    if (counts != 1).any():
        column = np.flatnonzero(counts != 1)[0]
        raise ValueError(
            f"column {column} of {n_dims} is in {counts[column]} feature sets; each must be in one"
        )
