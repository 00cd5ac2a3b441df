"""The baseline on plain numbers, against scikit-learn's ridge and SciPy's correlation."""

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regressors.baseline import GRID, baseline
from regressors.folds import inner_folds, outer_fold


def problem(n=90, p=4, seed=0):
    """Numbers of which two nearly agree, scores that follow them with noise, three folds."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, p)) * 10.0 ** np.arange(p) + 5
    Z[:, 1] = 10 * Z[:, 0] + 0.1 * rng.normal(size=n)
    y = 3 + Z[:, 0] - 0.002 * Z[:, 3] + rng.normal(size=n)
    folds = []
    for seed_ in range(3):
        train, test = outer_fold(np.arange(n), seed_)
        folds.append((train, test, inner_folds(train, seed_)))
    return Z, y, folds


def reference(Z, y, train, test, inner):
    """Every penalty tried by scikit-learn, the best one by the mean of SciPy's correlations."""
    scaled = StandardScaler().fit_transform(Z[train])
    largest = np.linalg.eigvalsh(scaled.T @ scaled)[-1]
    scores = []
    for share in GRID:
        model = make_pipeline(StandardScaler(), Ridge(alpha=share * largest, solver="svd"))
        scores.append(
            np.mean(
                [
                    scipy.stats.spearmanr(
                        y[train[b]], model.fit(Z[train[a]], y[train[a]]).predict(Z[train[b]])
                    ).statistic
                    for a, b in inner
                ]
            )
        )
    model = make_pipeline(StandardScaler(), Ridge(alpha=GRID[np.argmax(scores)] * largest))
    return model.fit(Z[train], y[train]).predict(Z[test])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", [4, 8])
def test_predictions_are_those_of_a_search_with_scikit_learn(seed, p):
    """The same penalty is chosen, and the predictions agree."""
    Z, y, folds = problem(60, p, seed)
    for found, fold in zip(baseline(Z, y, folds), folds, strict=True):
        np.testing.assert_allclose(found, reference(Z, y, *fold), rtol=1e-6, atol=1e-6)


def test_fewer_rows_than_numbers():
    """The n x n form gives the same."""
    Z, y, folds = problem(20, 30, 1)
    for found, fold in zip(baseline(Z, y, folds), folds, strict=True):
        np.testing.assert_allclose(found, reference(Z, y, *fold), rtol=1e-6, atol=1e-6)


def test_units_do_not_matter():
    """Numbers in other units give the same predictions."""
    Z, y, folds = problem()
    for one, two in zip(
        baseline(Z, y, folds), baseline(Z * [1e6, 1e-3, 7, 1] + 9, y, folds), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-7)


def test_a_test_part_has_no_say():
    """Other scores in the test part change nothing; other rows of it change their own only."""
    Z, y, folds = problem()
    _, test, _ = folds[0]
    before = baseline(Z, y, folds[:1])[0]
    other = y.copy()
    other[test] = 0
    np.testing.assert_array_equal(baseline(Z, other, folds[:1])[0], before)
    Z[test[0]] += 100
    np.testing.assert_allclose(baseline(Z, y, folds[:1])[0][1:], before[1:], rtol=1e-12)


def test_alike_numbers_predict_the_mean():
    """All alike in the training part: the mean of its scores, for every row."""
    Z, y, folds = problem()
    train = folds[0][0]
    Z[train] = [3.0, 0.1, 1e9, -1]
    found = baseline(Z, y, folds[:1])[0]
    np.testing.assert_array_equal(found, np.full(len(found), y[train].mean()))


def test_inner_folds_without_a_correlation():
    """One that is flat, empty or of one row is left out; none left is no error."""
    Z, y, folds = problem(60)
    train, test, inner = folds[0]
    flat = Z[train].copy()
    nothing = np.array([], int)
    bad = [(inner[0][0], nothing), (nothing, inner[0][1]), (inner[0][0], np.array([0]))]
    whole = baseline(Z, y, [(train, test, inner)])[0]
    np.testing.assert_array_equal(baseline(Z, y, [(train, test, [*bad, *inner])])[0], whole)
    found = baseline(Z, y, [(train, test, bad)])[0]
    assert np.isfinite(found).all() and np.ptp(found) > 0
    rows = inner[0][1]
    flat[rows] = flat[0]
    Z[train] = flat
    assert np.isfinite(baseline(Z, y, [(train, test, inner)])[0]).all()
