"""Folds by picture name: drawn over all labelled pictures, whatever the features.

A picture that gives no embedding leaves its fold; the others stay where they are.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from regressors.errors import DataError
from regressors.folds import N_FOLDS, inner_folds, outer_fold

# What people write for the parts of a split.
SIDES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SIDES["test"] = SIDES["testing"] = "test"


@dataclass(frozen=True)
class Fold:
    """One split and the inner folds of its training part, by name.

    `final` has no test part: its training part is everything.
    """

    name: str
    seed: int
    train: frozenset[str]
    test: frozenset[str]
    inner: tuple[tuple[frozenset[str], frozenset[str]], ...]


def draw_folds(table: pd.DataFrame, n_folds: int = N_FOLDS) -> list[Fold]:
    """Return the 80/20 folds of seeds 0 upwards, and `final` last.

    Parameters
    ----------
    table : `name` and `group` of every labelled picture, in any order
    """
    table = _sorted(table)
    groups = table["group"].to_numpy(str)
    pairs = [outer_fold(groups, seed) for seed in range(n_folds)]
    return _named(table, pairs)


def draw_parts(table: pd.DataFrame, n_folds: int = N_FOLDS) -> list[Fold]:
    """Return folds of which every picture is in the test part of one, and `final` last."""
    table = _sorted(table)
    groups = table["group"].to_numpy(str)
    if n_folds < 2:
        raise DataError("--protocol kfold needs --folds 2 or more")
    if len(set(groups)) < n_folds:
        raise DataError(
            f"{len(set(groups))} groups cannot make {n_folds} parts: give fewer --folds"
        )
    return _named(table, inner_folds(groups, 0, n_folds))


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("name", kind="stable")


def _named(table: pd.DataFrame, pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[Fold]:
    folds = [fold_of(f"fold-{seed}", seed, table, *pair) for seed, pair in enumerate(pairs)]
    # the seed of `final` is that of ten folds, however many there are: it is the same head
    everything, nothing = np.arange(len(table)), np.array([], int)
    return [*folds, fold_of("final", N_FOLDS, table, everything, nothing)]


def fold_of(name: str, seed: int, table: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> Fold:
    """Return the fold of some rows of a table that is sorted by name, with its inner folds."""
    names, groups = table["name"].to_numpy(object), table["group"].to_numpy(str)
    inner = inner_folds(groups[train], seed)
    return Fold(
        name,
        seed,
        frozenset(names[train]),
        frozenset(names[test]),
        tuple((frozenset(names[train[a]]), frozenset(names[train[b]])) for a, b in inner),
    )


def fold_of_parts(
    name: str,
    seed: int,
    table: pd.DataFrame,
    train: frozenset[str],
    validation: frozenset[str],
    test: frozenset[str],
) -> Fold:
    """Return a fold whose parts are given; without a validation part it has inner folds."""
    if validation:
        return Fold(name, seed, train | validation, test, ((train, validation),))
    rows = table[table["name"].isin(train)].sort_values("name", kind="stable")
    fold = fold_of(name, seed, rows, np.arange(len(rows)), np.array([], int))
    return replace(fold, test=test)


def crossing(fold: Fold, table: pd.DataFrame) -> int:
    """Return how many groups of a fold's test part train, too."""
    groups = [set(table["group"][table["name"].isin(part)]) for part in (fold.train, fold.test)]
    return len(groups[0] & groups[1])


def rows_of(names: list[str], chosen: frozenset[str]) -> np.ndarray:
    """Return the indices into `names` of those that are chosen, in the order of `names`."""
    return np.array([row for row, name in enumerate(names) if name in chosen], dtype=int)


def as_table(table: pd.DataFrame, folds: list[Fold]) -> pd.DataFrame:
    """Return splits.csv: name, group, and for each fold train, test, val of given parts, or ""."""
    result = table[["name", "group"]].sort_values("name", kind="stable").reset_index(drop=True)
    for fold in folds:
        if fold.test:
            result[fold.name] = np.where(result["name"].isin(fold.train), "train", "")
            test = result["name"].isin(fold.test)
            both = test & (result[fold.name] == "train")  # as splits that are given may have it
            result.loc[test, fold.name] = np.where(both[test], "train+test", "test")
            if len(fold.inner) == 1:
                validation = fold.inner[0][1] - fold.test
                result.loc[result["name"].isin(validation), fold.name] = "val"
    return result


def group_index(splits: pd.DataFrame) -> dict[str, int]:
    """Return the number of every group that intervals draw, so that runs draw alike.

    With several folds all groups are drawn; with one split only those of its test part, of which
    the others say nothing.

    Parameters
    ----------
    splits : as `as_table` returns it
    """
    folds = splits.columns.drop(["name", "group"])
    tested = splits[folds[0]].isin(["test", "train+test"])
    rows = splits[tested] if len(folds) == 1 else splits
    return {group: number for number, group in enumerate(sorted(set(rows["group"])))}
