"""How far a few plain numbers go: ridge whose penalty the inner folds choose from a grid.

For numbers that know next to nothing of a picture, such as its height: what they reach is a floor
under every other result. No study, no search: some milliseconds.
"""

from collections.abc import Sequence

import numpy as np
import scipy.stats

from regressors.base import Folds
from regressors.metrics import is_flat, pearson
from regressors.ridge import Decomposition, ExactPath

# Penalties as shares of the largest eigenvalue, strongest first: of equally good ones, the first.
GRID = np.logspace(1, -5, 20)

Fold = tuple[np.ndarray, np.ndarray, Folds]


def baseline(Z: np.ndarray, y: np.ndarray, folds: Sequence[Fold]) -> list[np.ndarray]:
    """Return the predictions of each fold's test rows.

    Parameters
    ----------
    Z : (n, p) a few finite numbers of every picture
    y : (n,) scores
    folds : of each its training rows, its test rows, and its inner folds as pairs of indices into
        the training rows

    Returns
    -------
    predictions : all alike in a fold whose training or test part has but one value of everything
    """
    Z, y = np.asarray(Z, float), np.asarray(y, float)
    return [_predictions(Z[train], y[train], Z[test], inner) for train, test, inner in folds]


def _predictions(Z: np.ndarray, y: np.ndarray, Z_new: np.ndarray, inner: Folds) -> np.ndarray:
    if not np.ptp(Z, axis=0).any():
        return np.full(len(Z_new), y.mean())
    whole = ExactPath(Decomposition(Z, Z_new), y)
    alphas = GRID * whole.largest
    scores = [_scores(Z, y, *pair, alphas) for pair in inner]
    known = [found for found in scores if found is not None]
    best = alphas[np.argmax(np.mean(known, axis=0))] if known else alphas[0]
    return whole.predict(best)


def _scores(
    Z: np.ndarray, y: np.ndarray, train: np.ndarray, part: np.ndarray, alphas: np.ndarray
) -> np.ndarray | None:
    """Return the SRCC of every penalty in one inner fold; None where there is none to be had."""
    if min(len(train), len(part)) < 2 or is_flat(y[part]) or not np.ptp(Z[train], axis=0).any():
        return None
    path = ExactPath(Decomposition(Z[train], Z[part]), y[train])
    ranks = scipy.stats.rankdata(y[part])
    found = []
    for alpha in alphas:
        prediction = path.predict(alpha)
        if is_flat(prediction):
            return None
        found.append(pearson(ranks, scipy.stats.rankdata(prediction)))
    return np.array(found)
