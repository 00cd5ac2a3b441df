"""The bootstrap over groups, against SciPy on rows that really are repeated."""

import numpy as np
import pytest
import scipy.stats

from regressors import intervals
from regressors.folds import outer_fold
from regressors.intervals import (
    group_draws,
    interval,
    median_draws,
    weighted_plcc,
    weighted_srcc,
)


def scored(n: int, seed: int, n_groups: int | None = None) -> tuple[np.ndarray, ...]:
    """Scores, predictions that correlate with them at about .8, and the group of every row."""
    rng = np.random.default_rng(seed)
    mos = rng.normal(size=n)
    return mos, 0.8 * mos + 0.6 * rng.normal(size=n), np.arange(n) % (n_groups or n)


def ten_folds(n: int, seed: int) -> list[tuple[np.ndarray, ...]]:
    """Ten test parts of one data set whose every row is a group."""
    mos, prediction, group = scored(n, seed)
    tests = [outer_fold(group, fold)[1] for fold in range(10)]
    return [(mos[test], prediction[test], group[test]) for test in tests]


@pytest.mark.parametrize(
    "ours, theirs",
    [(weighted_srcc, scipy.stats.spearmanr), (weighted_plcc, scipy.stats.pearsonr)],
    ids=["srcc", "plcc"],
)
@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("n", [5, 40, 200])
def test_a_weighted_correlation_equals_repeated_rows(n, decimals, ours, theirs):
    """It is SciPy's on data in which row i stands weights[i] times."""
    x, y, _ = scored(n, n)
    x, y = np.round(x, decimals), np.round(y, decimals)
    weights = group_draws(n, 30, seed=1)
    found = ours(x, y, weights)
    for value, counts in zip(found, weights, strict=True):
        repeated_x, repeated_y = np.repeat(x, counts), np.repeat(y, counts)
        if np.ptp(repeated_x) and np.ptp(repeated_y):
            expected = theirs(repeated_x, repeated_y).statistic
            assert value == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(value)


def test_equal_weights_are_no_weights():
    """Every row once, or every row seven times, is the plain correlation."""
    x, y, _ = scored(50, 0)
    expected = scipy.stats.spearmanr(x, y).statistic
    found = weighted_srcc(x, y, np.array([np.ones(50), np.full(50, 7)]))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_what_has_no_correlation_is_nan():
    """No row, one row, and one value repeated over many rows all give NaN."""
    x, y = np.array([1.0, 1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0, 7.0])
    weights = np.array([[0, 0, 0, 0], [0, 0, 9, 0], [30001, 77777, 0, 0], [1, 1, 1, 1]])
    assert np.isnan(weighted_srcc(x, y, weights)).tolist() == [True, True, True, False]


def test_chunks_change_nothing(monkeypatch):
    """Work arrays of any size give the same bits."""
    x, y, _ = scored(30, 0)
    draws = group_draws(30, 100)
    expected = weighted_srcc(x, y, draws)
    for size in (1, 30, 100, 2999):
        monkeypatch.setattr(intervals, "_CHUNK", size)
        assert np.array_equal(weighted_srcc(x, y, draws), expected)


def test_draws():
    """A draw takes as many groups as there are, the seed repeats it, and groups are alike."""
    draws = group_draws(25, seed=3)
    assert draws.shape == (2000, 25)
    assert (draws.sum(axis=1) == 25).all()
    assert draws.min() == 0
    assert np.array_equal(draws, group_draws(25, seed=3))
    assert not np.array_equal(draws, group_draws(25, seed=4))
    # a share of (1 - 1/25)^25 is absent from a draw with replacement
    assert (draws == 0).mean() == pytest.approx(0.96**25, abs=0.01)
    np.testing.assert_allclose(draws.mean(axis=0), 1, atol=0.12)


def test_median_equals_a_plain_loop():
    """The median over folds of repeated rows, in each draw, by SciPy and a loop."""
    mos, prediction, group = scored(60, 0, n_groups=12)
    tests = [outer_fold(group, seed)[1] for seed in range(5)]
    folds = [(mos[test], prediction[test], group[test]) for test in tests]
    draws = group_draws(12, 40)
    expected = []
    for draw in draws:
        values = []
        for y, p, g in folds:
            rows = np.repeat(np.arange(len(y)), draw[g])
            if len(rows):
                values.append(scipy.stats.spearmanr(y[rows], p[rows]).statistic)
        expected.append(np.median(values))
    found = median_draws(folds, draws)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_empty_fold_is_left_out():
    """A fold none of whose groups is drawn leaves the median; a draw without any fold goes."""
    first = (np.array([1.0, 2, 3]), np.array([1.0, 2, 3]), np.array([0, 0, 0]))
    second = (np.array([1.0, 2, 3]), np.array([3.0, 2, 1]), np.array([1, 1, 1]))
    draws = np.array([[1, 1, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3]])
    assert median_draws([first, second], draws).tolist() == pytest.approx([0, 1, -1])


def test_interval_is_central():
    """Of 0..1000 the 95 % interval is 25 to 975, whatever the order; other levels too."""
    values = np.random.default_rng(0).permutation(1001)
    assert interval(values) == pytest.approx((25, 975))
    assert interval(values, 0.5) == pytest.approx((250, 750))


def test_interval_equals_scipys_bootstrap():
    """One fold of single pictures: the percentile interval of `scipy.stats.bootstrap`."""
    mos, prediction, group = scored(80, 5)

    def statistic(x, y):
        return scipy.stats.spearmanr(x, y).statistic

    reference = scipy.stats.bootstrap(
        (mos, prediction),
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        random_state=0,
    ).confidence_interval
    found = interval(median_draws([(mos, prediction, group)], group_draws(80)))
    # quantiles of 1000 draws whose standard deviation is .05
    assert found == pytest.approx((reference.low, reference.high), abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_interval_contains_the_median(seed):
    """The median SRCC lies in its interval, which narrows with more pictures."""
    widths = []
    for n in (60, 960):
        folds = ten_folds(n, seed)
        point = np.median([scipy.stats.spearmanr(mos, p).statistic for mos, p, _ in folds])
        low, high = interval(median_draws(folds, group_draws(n, 500)))
        assert low < point < high
        widths.append(high - low)
    # sixteen times the pictures: a quarter of the width
    assert widths[1] < widths[0] / 2


def test_fewer_groups_are_less_sure():
    """The same rows in few groups of their own level have a wider interval than as single rows."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 30)
    mos = rng.normal(size=300)
    prediction = mos + rng.normal(size=300) + 2 * rng.normal(size=10)[group]
    few = interval(median_draws([(mos, prediction, group)], group_draws(10, 500)))
    many = interval(median_draws([(mos, prediction, np.arange(300))], group_draws(300, 500)))
    assert few[1] - few[0] > 1.3 * (many[1] - many[0])
