"""Index splits: no group on both sides, every row used once, the seed decides."""

import numpy as np
import pytest

from regressors.errors import DataError
from regressors.folds import inner_folds, outer_fold

SEEDS = range(10)


def uneven(n_groups: int, seed: int) -> np.ndarray:
    """Groups of 1 to 40 rows, in mixed order, with names that are not their numbers."""
    rng = np.random.default_rng(seed)
    sizes = np.ceil(40 * rng.uniform(size=n_groups) ** 3).astype(int)
    names = np.array([f"g{rng.integers(1000):03d}-{index}" for index in range(n_groups)])
    return rng.permutation(np.repeat(names, sizes))


@pytest.mark.parametrize("n_groups", [7, 8, 23, 100])
@pytest.mark.parametrize("seed", SEEDS)
def test_outer_fold(seed, n_groups):
    """Train and test share no group, cover every row, and the test holds a fifth of the groups."""
    groups = uneven(n_groups, seed)
    train, test = outer_fold(groups, seed)
    assert not set(groups[train]) & set(groups[test])
    assert sorted([*train, *test]) == list(range(len(groups)))
    assert len(set(groups[test])) == np.ceil(n_groups / 5)


@pytest.mark.parametrize("n_groups", [5, 7, 23, 100])
@pytest.mark.parametrize("seed", SEEDS)
def test_inner_folds(seed, n_groups):
    """Every row is in one validation part, whose groups are not in the training part beside it."""
    groups = uneven(n_groups, seed)
    folds = inner_folds(groups, seed)
    assert len(folds) == 5
    assert sorted(np.concatenate([valid for _, valid in folds])) == list(range(len(groups)))
    for train, valid in folds:
        assert not set(groups[train]) & set(groups[valid])
        assert sorted([*train, *valid]) == list(range(len(groups)))


@pytest.mark.parametrize("seed", SEEDS)
def test_inner_folds_are_balanced(seed):
    """Two folds differ by no more rows than the largest group has; alike groups split evenly."""
    groups = uneven(60, seed)
    sizes = [len(valid) for _, valid in inner_folds(groups, seed)]
    assert max(sizes) - min(sizes) <= np.unique(groups, return_counts=True)[1].max()
    alike = np.repeat(np.arange(23), 4)
    sizes = [len(valid) for _, valid in inner_folds(alike, seed)]
    assert max(sizes) - min(sizes) <= 4


def test_one_large_group_stands_alone():
    """A group that outweighs all others is a validation part of its own."""
    groups = np.array(["large"] * 100 + [f"g{index}" for index in range(20)])
    sizes = sorted(len(valid) for _, valid in inner_folds(groups, 0))
    assert sizes == [5, 5, 5, 5, 100]


def test_seed_decides():
    """The same seed repeats the folds; another one changes them."""
    groups = uneven(40, 0)
    for split in (outer_fold, lambda *args: inner_folds(*args)[0]):
        first, again, other = split(groups, 3), split(groups, 3), split(groups, 4)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert not np.array_equal(first[1], other[1])


def test_order_of_rows_changes_no_group():
    """Which groups are in the test part does not depend on the order of the rows."""
    groups = uneven(40, 1)
    mixed = np.random.default_rng(2).permutation(groups)
    assert set(groups[outer_fold(groups, 5)[1]]) == set(mixed[outer_fold(mixed, 5)[1]])
    for (_, valid), (_, other) in zip(inner_folds(groups, 5), inner_folds(mixed, 5), strict=True):
        assert set(groups[valid]) == set(mixed[other])


def test_every_group_is_tested_about_equally_often():
    """Over 400 seeds each of 20 groups is in the test part for a fifth of them."""
    groups = np.repeat(np.arange(20), 3)
    counts = np.zeros(20)
    for seed in range(400):
        counts[np.unique(groups[outer_fold(groups, seed)[1]])] += 1
    # binomial(400, 0.2): 80, standard deviation 8
    assert counts.sum() == 400 * 4
    assert np.abs(counts - 80).max() < 4 * 8


def test_too_few_groups():
    """Seven groups are the fewest of an outer fold, as many as folds the fewest of inner ones."""
    train, _ = outer_fold(np.arange(7), 0)
    assert len(inner_folds(np.arange(7)[train], 0)) == 5
    with pytest.raises(DataError, match="6 groups are too few.* at least 7"):
        outer_fold(np.repeat(np.arange(6), 50), 0)
    with pytest.raises(DataError, match="4 groups cannot make 5 inner folds"):
        inner_folds(np.repeat(np.arange(4), 50), 0)
