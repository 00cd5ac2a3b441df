"""Nested evaluation: everything is learnt in the training part; the test part is scored once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from regressors.base import Blocks, Training, Tuner
from regressors.errors import DataError
from regressors.heads import distance
from regressors.metrics import all_metrics, fit_logistic4, srcc
from regressors.tuning import at_edge, tune


@dataclass(frozen=True)
class Tuned:
    """A head fitted with the hyper-parameters that its own training part chose.

    Attributes
    ----------
    out_of_fold : (n,) predictions of the training pictures by inner folds that did not see them
    """

    params: dict[str, float]
    edges: dict[str, str]
    inner_srcc: float
    out_of_fold: np.ndarray
    model: object
    head: str


def fit_tuned(
    tuner: Tuner,
    study: optuna.Study,
    n_trials: int,
    seed: int = 0,
    on_trial: Callable[[], None] = lambda: None,
    n_judged: int | None = None,
) -> Tuned:
    """Tune on the inner folds of a training part, then fit on all of it.

    Parameters
    ----------
    n_judged : see `Training`; all rows when not given

    Raises
    ------
    DataError
        When the inner folds do not judge each of these rows.
    """
    params = tune(tuner, study, n_trials, seed, on_trial)
    out_of_fold = tuner.out_of_fold(params)[:n_judged]
    if np.isnan(out_of_fold).any():
        raise DataError("the inner folds do not cover every row of the training part")
    return Tuned(
        params,
        at_edge(tuner, params),
        tuner.score(params),
        out_of_fold,
        tuner.fitted(params),
        tuner.head,
    )


def tuners(
    regressor: type[Tuner],
    X: np.ndarray,
    trainings: Sequence[Training],
    blocks: Blocks | None = None,
) -> Iterator[Tuner]:
    """Check the training parts of a matrix and yield the tuner of each, in their order.

    Raises
    ------
    DataError
        When no head can be fitted to one of them.
    """
    for training in trainings:
        check(X[training.rows], training.y)
    return regressor.many(X, trainings, blocks)


def evaluate(tuned: Tuned, y_train: np.ndarray, X: np.ndarray, y: np.ndarray) -> tuple:
    """Score the test part: its (m,) predictions, and the numbers of the report.

    The logistic of the `_train` numbers is learnt from the training part's out-of-fold predictions.
    """
    predictions = tuned.model.predict(X)
    mapping = fit_logistic4(y_train, tuned.out_of_fold)
    return predictions, all_metrics(y, predictions, mapping)


def reach(tuned: Tuned, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return what a head says of new pictures beside their score.

    `error90` : nine of ten out-of-fold predictions lie within this of the score, on its own scale.
    `distance_max` : how far the farthest training picture lies (see `regressors.heads.distance`).
    """
    errors = np.abs(y - tuned.out_of_fold)
    # the conformal quantile of n exchangeable errors: the ceil(.9 (n + 1))-th smallest
    rank = min(len(errors), int(np.ceil(0.9 * (len(errors) + 1))))
    return {
        "error90": float(np.sort(errors)[rank - 1]),
        "distance_max": float(distance(tuned.model.arrays(), X).max()),
        "out_of_fold_srcc": srcc(y, tuned.out_of_fold),
    }


def check(X: np.ndarray, y: np.ndarray) -> None:
    """Refuse data that no head can be fitted to.

    Raises
    ------
    DataError
        Values that are not finite, scores that are all alike, embeddings without any variation.
    """
    if not np.isfinite(X).all():
        rows = np.flatnonzero(~np.isfinite(X).all(axis=1))
        raise DataError(f"{len(rows)} embeddings are not finite, the first in row {rows[0]}")
    if not np.isfinite(y).all():
        raise DataError("the scores hold values that are not finite")
    if not 1e-100 < np.abs(y).max() < 1e100 and np.ptp(y) > 0:
        raise DataError(f"scores up to {np.abs(y).max():g} are beyond exact sums: rescale them")
    if np.ptp(y) == 0:
        raise DataError(f"all {len(y)} scores are {y[0]:g}: there is nothing to learn")
    if not np.ptp(X, axis=0).any():
        raise DataError("all embeddings are alike: there is nothing to learn from")
