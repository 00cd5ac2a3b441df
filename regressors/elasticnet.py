"""Elastic net on standardised columns, exact, with its duality gap as a proof.

Minimises |y - Xs w - b|^2 / 2n + l1 |w|_1 + l2 |w|^2 / 2, Xs the columns of X at zero mean and unit
variance in the training part: the same as scikit-learn's Pipeline(StandardScaler(),
ElasticNet(alpha, l1_ratio)) with alpha = l1 + l2 and l1_ratio = l1 / (l1 + l2). The two penalties
apart are what is tuned: l1 is in the scores' unit, l2 has none, so that other units of the scores
only move l1, and each says one thing: which columns count, and how much those are drawn together.
"""

from functools import cached_property

import numpy as np
from optuna.distributions import FloatDistribution
from sklearn.utils.validation import check_X_y

from regressors import active_set
from regressors.base import Params, Prepared, Tuner
from regressors.blockwise import Standardised
from regressors.correlations import SMALL, Gram, Rows
from regressors.folds import N_INNER
from regressors.linear import Linear

# l1 as shares of the least one that leaves no column, l2 as shares of the largest eigenvalue of
# the correlations: as little as ridge regression's, and as much as leaves hardly any interplay.
L1_FLOOR, L2_FLOOR, L2_CEILING = 1e-3, 1e-5, 1.0
# Warm starts are at fixed places: powers of these factors. A start need not be exact.
L1_STEP, L2_STEP, START = 2.0, 10.0**0.5, 1e-4


class ElasticNet(Linear):
    """Elastic net with its scaler inside; see the module for the model.

    Parameters
    ----------
    l1 : penalty on the absolute coefficients of the standardised columns, at least 0
    l2 : penalty on their squares, > 0
    """

    def __init__(self, l1: float = 0.1, l2: float = 0.1) -> None:
        self.l1 = l1
        self.l2 = l2

    @property
    def alpha(self) -> float:
        """The sum of the penalties, as scikit-learn has it."""
        return self.l1 + self.l2

    @property
    def l1_ratio(self) -> float:
        """The share of the absolute coefficients in it, as scikit-learn has it."""
        return self.l1 / (self.l1 + self.l2)

    def fit(self, X: np.ndarray, y: np.ndarray) -> "ElasticNet":
        """Fit on (n, p) embeddings and (n,) scores.

        Raises
        ------
        NoHead
            When a duality gap of `active_set.TOLERANCE` of the scores' variance is not reached,
            as happens where l2 is next to nothing.
        """
        if not self.l1 >= 0:
            raise ValueError(f"l1 must be at least 0, got {self.l1}")
        if not self.l2 > 0:
            raise ValueError(f"l2 must be above 0, got {self.l2}")
        X, y = check_X_y(X, y, dtype=[np.float64, np.float32], y_numeric=True, ensure_min_samples=2)
        return self.fit_problem(Problem(Columns(X, np.arange(len(X))), y))

    def fit_problem(self, problem: "Problem") -> "ElasticNet":
        """Fit on rows that are prepared already; see `fit`."""
        part = problem.columns.part
        self.n_features_in_, self.mean_, self.scale_ = len(part.mean), part.mean, part.scale
        self.coef_, self.intercept_ = problem.coefficients(self.l1, self.l2), problem.mean
        return self


class Columns:
    """The columns of some rows of a matrix, whatever the scores.

    Parameters
    ----------
    X : (N, p) a matrix; rows : (n,) of it
    often : whether many problems will be solved: then the correlations themselves pay
    """

    def __init__(self, X: np.ndarray, rows: np.ndarray, often: bool = False) -> None:
        self.part = Standardised(X, rows)
        n, p = len(rows), X.shape[1]
        # a product with the correlations costs p^2, one with the rows and back 2 n p
        as_gram = p <= 2 * n if often else p <= n / 4
        self.exact = (p if as_gram else n) * p <= SMALL
        form = Gram if as_gram else Rows
        self.form = form.of(self.part, np.float64 if self.exact else np.float32)


class Problem:
    """Columns and the (n,) scores of their rows: then any penalties."""

    def __init__(self, columns: Columns, y: np.ndarray) -> None:
        self.columns = columns
        self.mean = float(y.mean())
        # all in units of the scores' spread, so that float32 has room
        self._unit = float(y.std()) or 1.0
        self._y = (y - self.mean) / self._unit
        self._c = columns.part.correlations(self._y, np.zeros(len(columns.form)))
        self.largest = float(np.abs(self._c).max()) * self._unit
        self._starts: dict[tuple[int, int], np.ndarray] = {}

    def correlations(self, v: np.ndarray) -> np.ndarray:
        """Return those of the columns with the residuals of v, in float64: (p,)."""
        if self.columns.exact:
            return self._c - self.columns.form.product(v)
        return self.columns.part.correlations(self._y, v)

    def coefficients(self, l1: float, l2: float, start: np.ndarray | None = None) -> np.ndarray:
        """Return the (p,) coefficients; `start` has their signs, or nearly so."""
        bound = active_set.TOLERANCE * float(self._y @ self._y) / len(self._y)
        found = active_set.solve(
            self.columns.form.anew(), self, self._c, l1 / self._unit, l2, bound, start
        )
        return found * self._unit

    def start(self, l1: float, l2: float) -> np.ndarray:
        """Return the (p,) signs of the coefficients nearby, at a place of a fixed grid.

        They are the same whatever was asked for before: always found from nothing.
        """
        place = round(np.log(l1) / np.log(L1_STEP)), round(np.log(l2) / np.log(L2_STEP))
        if place not in self._starts:
            l1, l2 = L1_STEP ** place[0] / self._unit, L2_STEP ** place[1]
            form = self.columns.form.anew()
            self._starts[place] = active_set.signs(form, self._c, l1, l2, START)
        return self._starts[place]


class ElasticNetPrepared(Prepared):
    """The correlations of the inner folds' columns."""

    @property
    def place(self) -> tuple[np.ndarray, np.ndarray]:
        """The matrix and the (n,) rows of the training part in it."""
        return self._matrix, self._rows

    @cached_property
    def columns(self) -> list[Columns]:
        """Of each inner fold; made once for all targets."""
        X, rows = self.place
        return [Columns(X, rows[train], often=True) for train, _ in self.folds]

    @cached_property
    def whole(self) -> Standardised:
        """The whole training part."""
        return Standardised(*self.place)

    @cached_property
    def largest(self) -> float:
        """The largest eigenvalue of the correlations of the whole training part's columns."""
        return self.whole.largest()

    def predict(self, fold: int, v: np.ndarray) -> np.ndarray:
        """Return what coefficients add to the mean score of a fold's validation rows."""
        return self.columns[fold].part.predict(self._rows[self.folds[fold][1]], v)


class ElasticNetTuner(Tuner):
    """Any two penalties, on inner folds whose correlations are made once."""

    head = "linear"
    prepared_as = ElasticNetPrepared
    natural = frozenset({("l1", "high")})  # where no column is left

    @staticmethod
    def memory(n: int, p: int, n_sets: int = 1) -> float:
        """Return about how many bytes tuning takes, and the fit of all."""
        kept = min(float(p) ** 2, 0.8 * n * p) if p <= 1.6 * n else 0.8 * n * p
        size = 8 if kept <= SMALL else 4
        # of each inner fold its numbers; of one of them a factor and what it was made of
        return (
            size * (N_INNER * kept + 2.5 * max(kept, float(p) ** 2 if p <= n else 0)) + 4.0 * n * p
        )

    @cached_property
    def _problems(self) -> list[Problem]:
        columns = self.prepared.columns
        return [
            Problem(own, self.y[train]) for own, (train, _) in zip(columns, self.folds, strict=True)
        ]

    @cached_property
    def space(self) -> dict[str, FloatDistribution]:
        """Both penalties, relative to what the whole training part can bear."""
        y = self.y - self.y.mean()
        none = np.zeros(self.prepared.n_dims)
        # two digits, so that another machine's last bits do not make another study
        l1 = float(f"{np.abs(self.prepared.whole.correlations(y, none)).max():.1e}") or 1.0
        l2 = float(f"{self.prepared.largest:.1e}") or 1.0
        return {
            "l1": FloatDistribution(L1_FLOOR * l1, l1, log=True),
            "l2": FloatDistribution(L2_FLOOR * l2, L2_CEILING * l2, log=True),
        }

    def predictions(self, params: Params) -> list[np.ndarray]:
        """Return the predictions of each inner fold's validation rows."""
        l1, l2 = params["l1"], params["l2"]
        found = []
        for fold, problem in enumerate(self._problems):
            coef = problem.coefficients(l1, l2, problem.start(l1, l2))
            found.append(problem.mean + self.prepared.predict(fold, coef))
        return found

    def fitted(self, params: Params) -> ElasticNet:
        """Return the elastic net on the whole training part."""
        whole = Problem(Columns(*self.prepared.place), self.y)
        return ElasticNet(params["l1"], params["l2"]).fit_problem(whole)
