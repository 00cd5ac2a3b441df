"""Support vector regression on standardised columns: RBF and linear, kernels made once.

Minimises |w|^2 / 2 + C sum_i max(0, |y_i - f(x_i)| - epsilon), f(x) = <w, x> + b, in the kernel's
space: the same as scikit-learn's Pipeline(StandardScaler(), SVR(...)), up to libsvm's tolerance.
C and epsilon are on the scale of the scores, gamma on that of the squared distance between two
standardised rows, which is 2 p for typical ones. libsvm itself is given scores of unit spread, to
which its tolerance is relative then, and the finished kernel, for which one matrix product per
training part serves every hyper-parameter.

Source: Chang and Lin, LIBSVM: a library for support vector machines, ACM TIST 2, 2011; the
stopping rule is its section 4.1.2.
"""

import warnings
from functools import cached_property

import numpy as np
import sklearn
from optuna.distributions import FloatDistribution
from sklearn import svm
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y

from regressors.base import Params, Prepared, Tuner
from regressors.errors import NoHead
from regressors.heads import HEADS
from regressors.kernels import Kernel, Pairs, Solution, linear, rbf

# C and epsilon over the scores' spread, gamma times p; for linear kernels, which grow with p, C as
# well. Outside, every row is at its bound or none is, the kernel is linear or no two rows look
# alike, and epsilon is below the tolerance or swallows all but a few.
C_RANGE, LINEAR_C_RANGE = (1e-2, 1e3), (1e-2, 1e2)
GAMMA_RANGE, EPSILON_RANGE = (1e-3, 1e1), (1e-3, 1.0)
# libsvm stops where no pair of rows violates optimality by more than this share of the spread.
TOLERANCE = 1e-3
# In tuning libsvm makes at most so many steps a training row, or LEAST in all where that is more,
# which takes a tenth of a second. On large data the best hyper-parameters take below 10 a row;
# worse ones, which follow the training rows too closely, hundreds. A final fit may take ten times
# as many, as it has a quarter more rows than those that chose its hyper-parameters.
STEPS, FINAL_STEPS = 30, 300
LEAST = 100_000
# libsvm's copy of the kernel rows that it needs; a larger kernel's rows are in part made again, MB.
CACHE = 500


def solve(kernel: np.ndarray, y: np.ndarray, C: float, epsilon: float, steps: int) -> Solution:
    """Fit libsvm with a (n, n) kernel to (n,) scores, in at most `steps` a row (see `LEAST`)."""
    n, centre, spread = len(y), y.mean(), y.std()
    spread = spread if spread > 0 else 1.0
    model = svm.SVR(
        kernel="precomputed",
        C=C / spread,
        epsilon=epsilon / spread,
        tol=TOLERANCE,
        max_iter=max(steps * n, LEAST * steps // STEPS),
        cache_size=min(CACHE, 1 + 4 * n * n / 2**20),
    )
    with (
        warnings.catch_warnings(),
        # the kernel was made here of numbers that were looked at: once is enough
        sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(kernel, (y - centre) / spread)
    return Solution(
        model.support_,
        spread * model.dual_coef_[0],
        float(centre + spread * model.intercept_[0]),
        model.fit_status_ == 0,
    )


class _Machine(RegressorMixin, BaseEstimator):
    """What both estimators share; the kernel is their own."""

    _head: str

    def _fit(self, X: np.ndarray, y: np.ndarray, of: Kernel) -> tuple[Solution, np.ndarray]:
        """Return the solution and its standardised support vectors, (s, p)."""
        for name, value in self.get_params().items():
            if not (value > 0 or (name == "epsilon" and value == 0)):
                raise ValueError(f"{name} must be above 0, got {value}")
        # float32 stays: a copy in float64 would be the largest array of all
        kinds = (np.float64, np.float32)
        X, y = check_X_y(X, y, dtype=kinds, y_numeric=True, ensure_min_samples=2)
        self.n_features_in_ = X.shape[1]
        rows = np.arange(len(X))
        pairs = Pairs(X, rows, rows[:0], distances=self._head == "rbf")
        self.mean_, self.scale_ = pairs.mean, pairs.scale
        kernel = pairs.kernel(of)
        del pairs  # which libsvm's memory then takes
        found = solve(kernel, y.astype(float), self.C, self.epsilon, FINAL_STEPS)
        del kernel
        if not found.converged:
            warnings.warn(
                f"libsvm was stopped after {FINAL_STEPS} steps a training row, short of its "
                "tolerance: a smaller C converges",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.support_, self.intercept_ = found.support, found.intercept
        support = X[found.support].astype(float)
        support -= self.mean_
        support /= self.scale_
        return found, support

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the (m,) scores of (m, p) embeddings."""
        check_is_fitted(self)
        X = check_array(X, dtype=(np.float64, np.float32))
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"expected {self.n_features_in_} columns, got {X.shape[1]}")
        return HEADS[self._head](self.arrays(), X)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that a prediction needs, as arrays to share; see `regressors.heads`."""
        intercept = np.array([self.intercept_])
        return {"mean": self.mean_, "scale": self.scale_, "intercept": intercept}


class SVR(_Machine):
    """Support vector regression with an RBF kernel and its scaler inside; see the module.

    Parameters
    ----------
    C : the largest weight of a row, > 0, and epsilon : errors up to it are free, >= 0; both on the
        scale of the scores
    gamma : the kernel is exp(-gamma squared distance) on standardised columns, > 0
    """

    _head = "rbf"

    def __init__(self, C: float = 1.0, gamma: float = 1e-3, epsilon: float = 0.1) -> None:
        self.C, self.gamma, self.epsilon = C, gamma, epsilon

    def fit(self, X: np.ndarray, y: np.ndarray) -> "SVR":
        """Fit on (n, p) embeddings and (n,) scores."""
        found, self.support_vectors_ = self._fit(X, y, rbf(self.gamma))
        self.dual_, self.gamma_ = found.dual, float(self.gamma)
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that a prediction needs, as arrays to share; see `regressors.heads`."""
        own = {"support": self.support_vectors_, "dual": self.dual_}
        return {**super().arrays(), **own, "gamma": np.array([self.gamma_])}


class LinearSVR(_Machine):
    """The same with a linear kernel: one coefficient a column."""

    _head = "linear"

    def __init__(self, C: float = 1.0, epsilon: float = 0.1) -> None:
        self.C, self.epsilon = C, epsilon

    def fit(self, X: np.ndarray, y: np.ndarray) -> "LinearSVR":
        """Fit on (n, p) embeddings and (n,) scores."""
        found, support = self._fit(X, y, linear)
        self.coef_ = found.dual @ support
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that a prediction needs, as arrays to share; see `regressors.heads`."""
        return {**super().arrays(), "coef": self.coef_}


class SVRPrepared(Prepared):
    """The scalar products and the squared distances of the inner folds, each made once."""

    @cached_property
    def products(self) -> list[Pairs]:
        """For linear kernels."""
        return self._pairs(distances=False)

    @cached_property
    def distances(self) -> list[Pairs]:
        """For RBF kernels."""
        return self._pairs(distances=True)

    def _pairs(self, distances: bool) -> list[Pairs]:
        rows = self._rows
        return [
            Pairs(self._matrix, rows[train], rows[part], distances) for train, part in self.folds
        ]


class LinearSVRTuner(Tuner):
    """Any C and epsilon on inner folds whose scalar products are made once."""

    head = "linear"
    natural = frozenset({("epsilon", "low")})  # no smaller than libsvm's tolerance
    prepared_as = SVRPrepared

    @cached_property
    def space(self) -> dict[str, FloatDistribution]:
        """C relative to the scores' spread and the rows' length, epsilon to the spread."""
        return self._space(np.array(LINEAR_C_RANGE) / self.prepared.n_dims)

    def _space(self, C: np.ndarray) -> dict[str, FloatDistribution]:
        # two digits, so that another machine's last bits do not make another study
        spread = float(f"{self.y.std():.1e}")
        C, epsilon = C * spread, np.array(EPSILON_RANGE) * spread
        return {
            "C": FloatDistribution(*C, log=True),
            "epsilon": FloatDistribution(*epsilon, log=True),
        }

    @staticmethod
    def memory(n: int, p: int, n_sets: int = 1) -> float:
        """Return about how many bytes the tuning of n rows of p numbers takes in its process."""
        # half of each inner fold's pairs in float32; the final fit's kernel and its copy in libsvm;
        # its rows as they come, and standardised
        return 10.0 * n * n + 12.0 * n * n + 12.0 * n * p

    def predictions(self, params: Params) -> list[np.ndarray]:
        """Return the predictions of each inner fold's validation rows."""
        return self._predictions(self.prepared.products, linear, params)

    def _predictions(self, pairs: list[Pairs], of: Kernel, params: Params) -> list[np.ndarray]:
        predictions = []
        for found, (train, _) in zip(pairs, self.folds, strict=True):
            fit = solve(found.kernel(of), self.y[train], params["C"], params["epsilon"], STEPS)
            if not fit.converged:
                raise NoHead(
                    f"libsvm did not converge in {STEPS} steps a training row or {LEAST:,}"
                )
            if len(fit.support) == 0:
                raise NoHead("epsilon is so large that it needs no row")
            predictions.append(found.predict(of, fit))
        return predictions

    def fitted(self, params: Params) -> LinearSVR:
        """Return the support vector regression on the whole training part."""
        return LinearSVR(**params).fit(self.prepared.X(), self.y)


class SVRTuner(LinearSVRTuner):
    """Any C, gamma and epsilon on inner folds whose distances are made once."""

    head = "rbf"

    @cached_property
    def space(self) -> dict[str, FloatDistribution]:
        """C and epsilon relative to the scores' spread, gamma to the number of columns."""
        gamma = np.array(GAMMA_RANGE) / self.prepared.n_dims
        return {**self._space(np.array(C_RANGE)), "gamma": FloatDistribution(*gamma, log=True)}

    def predictions(self, params: Params) -> list[np.ndarray]:
        """Return the predictions of each inner fold's validation rows."""
        return self._predictions(self.prepared.distances, rbf(params["gamma"]), params)

    def fitted(self, params: Params) -> SVR:
        """Return the support vector regression on the whole training part."""
        return SVR(**params).fit(self.prepared.X(), self.y)
