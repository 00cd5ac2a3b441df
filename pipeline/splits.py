"""Folds by picture name: drawn over all labelled pictures, whatever the features.

A picture that gives no embedding leaves its fold; the others stay where they are.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from regressors.folds import N_FOLDS, inner_folds, outer_fold


@dataclass(frozen=True)
class Fold:
    """One 80/20 split and the inner folds of its training part, by name.

    `final` has no test part: its training part is everything.
    """

    name: str
    seed: int
    train: frozenset[str]
    test: frozenset[str]
    inner: tuple[tuple[frozenset[str], frozenset[str]], ...]


def draw_folds(table: pd.DataFrame, n_folds: int = N_FOLDS) -> list[Fold]:
    """Return the folds of seeds 0 upwards, and `final` last.

    Parameters
    ----------
    table : `name` and `group` of every labelled picture, in any order
    """
    table = table.sort_values("name", kind="stable")
    names, groups = table["name"].to_numpy(object), table["group"].to_numpy(str)
    folds = []
    for seed in range(n_folds):
        train, test = outer_fold(groups, seed)
        folds.append(_fold(f"fold-{seed}", seed, names, groups, train, test))
    everything, nothing = np.arange(len(names)), np.array([], int)
    folds.append(_fold("final", n_folds, names, groups, everything, nothing))
    return folds


def _fold(name, seed, names, groups, train, test) -> Fold:
    inner = inner_folds(groups[train], seed)
    return Fold(
        name,
        seed,
        frozenset(names[train]),
        frozenset(names[test]),
        tuple((frozenset(names[train[a]]), frozenset(names[train[b]])) for a, b in inner),
    )


def rows_of(names: list[str], chosen: frozenset[str]) -> np.ndarray:
    """Return the indices into `names` of those that are chosen, in the order of `names`."""
    return np.array([row for row, name in enumerate(names) if name in chosen], dtype=int)


def as_table(table: pd.DataFrame, folds: list[Fold]) -> pd.DataFrame:
    """Return splits.csv: name, group, and for each fold `train` or `test`."""
    result = table[["name", "group"]].sort_values("name", kind="stable").reset_index(drop=True)
    for fold in folds:
        if fold.test:
            result[fold.name] = np.where(result["name"].isin(fold.test), "test", "train")
    return result
