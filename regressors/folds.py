"""Index splits in which no group stands on both sides."""

import numpy as np

from regressors.errors import DataError

N_FOLDS = 10
N_INNER = 5
TEST_SHARE = 0.2


def outer_fold(groups: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (train, test) row indices: a fifth of the groups, drawn by `seed`, is the test part.

    Parameters
    ----------
    groups : (n,) group of every row, in an order that does not depend on the disk
    """
    from sklearn.model_selection import GroupShuffleSplit  # a head is read and used without it

    n_groups = len(np.unique(groups))
    smallest = next(g for g in range(2, 100) if int((1 - TEST_SHARE) * g) >= N_INNER)
    if n_groups < smallest:
        raise DataError(
            f"{n_groups} groups are too few: an 80/20 fold with {N_INNER} inner folds needs at "
            f"least {smallest}; a group is what must not stand on both sides of a fold, such as "
            "the pictures of one reference"
        )
    split = GroupShuffleSplit(n_splits=1, test_size=TEST_SHARE, random_state=seed)
    train, test = next(split.split(groups, groups=groups))
    return train, test


def inner_folds(
    groups: np.ndarray, seed: int, n_folds: int = N_INNER
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return `n_folds` (train, validation) pairs of row indices that use every row once.

    Groups are shuffled by `seed`, then the largest go first, each to the lightest fold: the folds
    hold about the same number of rows even when the groups do not.
    """
    names, members, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < n_folds:
        raise DataError(f"{len(names)} groups cannot make {n_folds} inner folds")
    shuffled = np.random.default_rng(seed).permutation(len(names))
    by_size = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    fold_of, load = np.empty(len(names), int), np.zeros(n_folds, int)
    for group in by_size:
        fold_of[group] = np.argmin(load)
        load[fold_of[group]] += counts[group]
    row_fold = fold_of[members]
    return [
        (np.flatnonzero(row_fold != fold), np.flatnonzero(row_fold == fold))
        for fold in range(n_folds)
    ]
