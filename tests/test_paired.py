"""Paired draws, against SciPy on rows that really are repeated."""

import numpy as np
import pytest
import scipy.stats

from regressors.intervals import group_draws, median_draws
from regressors.paired import paired_draws


def two_heads(n_folds=3, n=40, seed=0):
    """Test parts of one data set in eight groups, with ties, and two heads' predictions."""
    rng = np.random.default_rng(seed)
    folds = []
    for _ in range(n_folds):
        mos = rng.normal(size=n).round(1)
        a, b = ((mos + rng.normal(size=n)).round(1) for _ in range(2))
        folds.append((mos, a, b, rng.integers(0, 8, n)))
    return folds


def repeated_srcc(mos, prediction, counts):
    """SciPy's correlation of rows that stand there `counts` times."""
    return scipy.stats.spearmanr(np.repeat(mos, counts), np.repeat(prediction, counts)).statistic


def test_draws_equal_repeated_rows():
    """Every draw's medians are those of a bootstrap that copies rows."""
    folds, draws = two_heads(), group_draws(8, 25)
    found = paired_draws(folds, draws)
    for side in (0, 1):
        expected = [
            np.median([repeated_srcc(f[0], f[1 + side], draw[f[3]]) for f in folds])
            for draw in draws
        ]
        np.testing.assert_allclose(found[side], expected, atol=1e-12)


def test_each_side_is_as_alone():
    """The draws of one head do not depend on the other."""
    folds, draws = two_heads(10), group_draws(8, 200)
    a, b = paired_draws(folds, draws)
    np.testing.assert_array_equal(a, median_draws([(m, x, g) for m, x, _, g in folds], draws))
    np.testing.assert_array_equal(b, median_draws([(m, x, g) for m, _, x, g in folds], draws))


def test_a_pair_stays_a_pair():
    """What a draw leaves without a correlation for one head counts for neither."""
    mos, group = np.array([1.0, 2, 3, 4]), np.array([0, 0, 1, 1])
    a, b = np.array([1.0, 2, 3, 4]), np.array([5.0, 5, 1, 2])  # b is flat in group 0
    other = (np.array([1.0, 2]), np.array([2.0, 1]), np.array([1.0, 2]), np.array([0, 0]))
    draws = np.array([[2, 0], [0, 2]])
    found = paired_draws([(mos, a, b, group)], draws)
    assert [part.tolist() for part in found] == [[pytest.approx(1)], [pytest.approx(1)]]
    found = paired_draws([(mos, a, b, group), other], draws)
    np.testing.assert_allclose(found, [[-1, 1], [1, 1]], atol=1e-12)
