"""Nested evaluation: everything is learnt in the training part; the test part is scored once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import optuna

from regressors.base import Blocks, Params, Training, Tuner
from regressors.device import Array
from regressors.errors import DataError
from regressors.heads import distance
from regressors.metrics import MINIMUM_ROWS, all_metrics, fit_logistic4, srcc
from regressors.tuning import at_edge, n_without_head, tune


@dataclass(frozen=True)
class Plan:
    """How a study is run.

    Attributes
    ----------
    seed : of the sampler
    objective : a key of `regressors.objectives.OBJECTIVES`
    n_judged : so many leading rows of the training part may be judged; all when not given
    params : hyper-parameters that were chosen elsewhere: nothing is tuned
    on_trial : called after each finished trial
    """

    n_trials: int = 200
    seed: int = 0
    objective: str = "srcc"
    n_judged: int | None = None
    params: Params | None = None
    on_trial: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Tuned:
    """A head fitted with the hyper-parameters that its own training part chose.

    Attributes
    ----------
    edges : hyper-parameter -> "low" or "high", where its best value lies at the edge of its space
    inner : objective -> mean over the inner folds
    out_of_fold : (n,) predictions of the training pictures by inner folds that did not see them;
        NaN for those that are in no validation part
    n_without_head : trials that gave none
    """

    params: dict[str, float]
    edges: dict[str, str]
    inner: dict[str, float]
    out_of_fold: np.ndarray
    model: object
    head: str
    n_without_head: int = 0


def fit_tuned(tuner: Tuner, study: optuna.Study, plan: Plan = Plan()) -> Tuned:
    """Tune on the inner folds of a training part, then fit on all of it.

    Raises
    ------
    DataError
        When several inner folds do not judge each row that may be judged.
    """
    tuned = _choose(tuner, study, plan)
    out_of_fold = tuner.out_of_fold(tuned.params)[: plan.n_judged]
    if len(tuner.folds) > 1 and np.isnan(out_of_fold).any():
        raise DataError("the inner folds do not cover every row of the training part")
    return replace(tuned, out_of_fold=out_of_fold, model=tuner.fitted(tuned.params))


def best_on_test(tuner: Tuner, study: optuna.Study, plan: Plan, y: np.ndarray) -> tuple:
    """Judge the best trial on the very rows that chose it; see `pipeline.protocols`.

    Parameters
    ----------
    tuner : its one inner fold is (training part, test part)
    y : (m,) scores of the test part
    """
    tuned = _choose(tuner, study, plan)
    (predictions,) = tuner.predictions(tuned.params)
    return tuned, predictions, all_metrics(y, predictions)


def _choose(tuner: Tuner, study: optuna.Study, plan: Plan) -> Tuned:
    n_trials, objective = plan.n_trials, plan.objective
    if plan.params is None:
        params = tune(tuner, study, n_trials, plan.seed, plan.on_trial, objective)
        without = n_without_head(study, n_trials)
    else:
        params, without = dict(plan.params), 0
    inner = {name: tuner.score(params, name) for name in dict.fromkeys(("srcc", objective))}
    if objective == "rmse":  # which a study maximises below zero
        inner["rmse"] = -inner["rmse"]
    edges = at_edge(tuner, params)
    return Tuned(params, edges, inner, np.array([]), None, tuner.head, without)


class Together:
    """Tunes several training parts with one choice of hyper-parameters: their median objective."""

    def __init__(self, parts: Sequence[Tuner]) -> None:
        self._parts = parts

    def anew(self, prepared: dict) -> "Together":
        """Return a copy that keeps to itself what it makes; see `Tuner.anew`."""
        return Together([part.anew(prepared) for part in self._parts])

    @property
    def space(self) -> dict:
        """Every hyper-parameter, over all that any part would search."""
        spaces = [part.space for part in self._parts]
        return {
            name: optuna.distributions.FloatDistribution(
                min(space[name].low for space in spaces),
                max(space[name].high for space in spaces),
                log=spaces[0][name].log,
            )
            for name in spaces[0]
        }

    def score(self, params: Params, objective: str = "srcc") -> float:
        """Return the median over the parts, higher is better."""
        return float(np.median([part.score(params, objective) for part in self._parts]))


def tuners(
    regressor: type[Tuner],
    X: np.ndarray,
    trainings: Sequence[Training],
    blocks: Blocks | None = None,
    device_X: Array | None = None,
) -> Iterator[Tuner]:
    """Check the training parts of a matrix and yield the tuner of each, in their order.

    Parameters
    ----------
    device_X : the same matrix on another device, for a regressor that can use it

    Raises
    ------
    DataError
        When no head can be fitted to one of them.
    """
    check_embeddings(X)
    for training in trainings:
        check_scores(training.y)
        if not _varies(X, training.rows):
            raise DataError("all embeddings are alike: there is nothing to learn from")
    return regressor.many(
        X, trainings, blocks, **({} if device_X is None else {"device_X": device_X})
    )


def evaluate(tuned: Tuned, y_train: np.ndarray, X: np.ndarray, y: np.ndarray) -> tuple:
    """Score the test part: its (m,) predictions, and the numbers of the report.

    The logistic of the `_train` numbers is learnt from the training part's out-of-fold predictions,
    and so is `error90` (see `reach`); `coverage90` is the share of the test part within it.
    """
    predictions = tuned.model.predict(X)
    judged = np.isfinite(tuned.out_of_fold)
    mapping = fit_logistic4(y_train[judged], tuned.out_of_fold[judged])
    numbers = all_metrics(y, predictions, mapping)
    numbers["error90"] = error = _error90(tuned, y_train)
    numbers["coverage90"] = float(np.mean(np.abs(y - predictions) <= error))
    return predictions, numbers


def reach(tuned: Tuned, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return what a head says of new pictures beside their score.

    `error90` : nine of ten out-of-fold predictions lie within this of the score, on its own scale.
    `distance_max` : how far the farthest training picture lies (see `regressors.heads.distance`).
    """
    judged = np.isfinite(tuned.out_of_fold)
    return {
        "error90": _error90(tuned, y),
        "distance_max": float(distance(tuned.model.arrays(), X).max()),
        "out_of_fold_srcc": srcc(y[judged], tuned.out_of_fold[judged]),
    }


def _error90(tuned: Tuned, y: np.ndarray) -> float:
    """Return the half width of intervals that should hold nine of ten new scores.

    Of n errors the ceil(.9 (n + 1))-th smallest, as split conformal prediction has it (Lei, G'Sell,
    Rinaldo, Tibshirani, Wasserman, JASA 2018, algorithm 2); but the errors are those of the inner
    folds, whose models chose the hyper-parameters: what is promised there is measured here. Of
    fewer than nine errors it is the largest, which holds fewer than nine of ten.
    """
    errors = np.abs(y - tuned.out_of_fold)[np.isfinite(tuned.out_of_fold)]
    rank = min(len(errors), int(np.ceil(0.9 * (len(errors) + 1))))
    return float(np.sort(errors)[rank - 1])


def check_embeddings(X: np.ndarray) -> None:
    """Refuse (n, p) embeddings that no head can be fitted to.

    Raises
    ------
    DataError
        Values that are not finite; the rows are named.
    """
    finite = np.isfinite(X).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise DataError(f"{len(rows)} embeddings are not finite, the first in row {rows[0]}")


def check_scores(y: np.ndarray) -> None:
    """Refuse (n,) scores that no head can be fitted to.

    Raises
    ------
    DataError
        Values that are not finite, or all alike, or too few.
    """
    if len(y) < MINIMUM_ROWS:
        raise DataError(f"{len(y)} pictures in the training part, {MINIMUM_ROWS} are the least")
    if not np.isfinite(y).all():
        raise DataError("the scores hold values that are not finite")
    if not 1e-100 < np.abs(y).max() < 1e100 and np.ptp(y) > 0:
        raise DataError(f"scores up to {np.abs(y).max():g} are beyond exact sums: rescale them")
    if np.ptp(y) == 0:
        raise DataError(f"all {len(y)} scores are {y[0]:g}: there is nothing to learn")


def _varies(X: np.ndarray, rows: np.ndarray) -> bool:
    # row by row against the first: the answer comes with the second row, and nothing is copied
    first = X[rows[0]]
    return any((X[row] != first).any() for row in rows[1:])
