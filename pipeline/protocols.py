"""How a run splits, tunes and judges: `--protocol`.

Three are honest. Two explain other papers' numbers: they let the test parts have a say, and
are marked as optimistic wherever they are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.splits import Fold, draw_folds, draw_parts, fold_of
from regressors.errors import DataError

_SIDES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_SIDES["test"] = _SIDES["testing"] = "test"


@dataclass(frozen=True)
class Protocol:
    """One way to judge.

    Attributes
    ----------
    folds : (table with `name`, `group` and perhaps `split`, number of folds) -> folds, `final` last
    says : what it is, for the table's legend; `{n}` stands for the number of folds
    optimistic : why its numbers are too high; empty for an honest protocol
    chooses : where a fold's hyper-parameters come from: its own "inner" validation parts, those of
        all folds "together", or its "test" part
    """

    folds: Callable[[pd.DataFrame, int], list[Fold]]
    says: str
    optimistic: str = ""
    chooses: str = "inner"


def official_fold(table: pd.DataFrame, n_folds: int) -> list[Fold]:
    """Return the database's own split, tuned on its validation part where it has one, and `final`.

    Raises
    ------
    DataError
        When the table has no split, or values in it that are not known.
    """
    sides = table.get("split", pd.Series("", index=table.index)).astype(str).str.strip().str.lower()
    if not sides.any():
        raise DataError("--protocol official: this database has no split; use --protocol nested")
    without = table["name"][~sides.isin(list(_SIDES))]
    if len(without):
        raise DataError(
            f"--protocol official needs train, val or test for every picture: {len(without)} have "
            f"another or none, the first is {without.iloc[0]} ({sides[without.index[0]]!r})"
        )
    sides = sides.map(_SIDES)
    parts = {side: frozenset(table["name"][sides == side]) for side in ("train", "val", "test")}
    if not parts["train"] or not parts["test"]:
        raise DataError("--protocol official needs pictures in train and in test")
    rows = table[sides != "test"].sort_values("name", kind="stable")
    fold = fold_of("official", 0, rows, np.arange(len(rows)), np.array([], int))
    inner = ((parts["train"], parts["val"]),) if parts["val"] else fold.inner
    final = draw_folds(table, 0)[-1]
    return [replace(fold, test=parts["test"], inner=inner), final]


def folds_tuned_on_test(table: pd.DataFrame, n_folds: int) -> list[Fold]:
    """Return the nested folds, each with its own test part as the validation part."""
    *folds, final = draw_folds(table, n_folds)
    return [*(replace(fold, inner=((fold.train, fold.test),)) for fold in folds), final]


PROTOCOLS = {
    "nested": Protocol(
        draw_folds, "{n} group-disjoint 80/20 folds, hyper-parameters tuned inside each"
    ),
    "official": Protocol(
        official_fold, "the database's own split, hyper-parameters tuned on its validation part"
    ),
    "kfold": Protocol(
        draw_parts,
        "{n} group-disjoint parts, each the test part once, hyper-parameters tuned on the others",
    ),
    "shared-alpha": Protocol(
        draw_folds,
        "{n} group-disjoint 80/20 folds, one choice of hyper-parameters for all",
        "its hyper-parameters were chosen on all folds together, whose training parts hold each "
        "other's test pictures",
        "together",
    ),
    "best-on-test": Protocol(
        folds_tuned_on_test,
        "{n} group-disjoint 80/20 folds, hyper-parameters that are best on the test part",
        "its hyper-parameters are those that are best on the very pictures that it is judged on",
        "test",
    ),
}
