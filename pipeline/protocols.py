"""How a run splits, tunes and judges: `--protocol`.

Three are honest. Two explain other papers' numbers: they let the test parts have a say, and
are marked as optimistic wherever they are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from pipeline.splits import SIDES, Fold, draw_folds, draw_parts, fold_of_parts
from regressors.errors import DataError


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

    Pictures without a side are in no part. Where only training and validation parts have scores,
    the validation part is the test part.

    Raises
    ------
    DataError
        When the table has no split, or values in it that are not known.
    """
    sides = table.get("split", pd.Series("", index=table.index)).astype(str).str.strip().str.lower()
    if not sides.any():
        raise DataError("--protocol official: this database has no split; use --protocol nested")
    odd = table["name"][~sides.isin([*SIDES, ""])]
    if len(odd):
        raise DataError(
            f"--protocol official needs train, val or test (or nothing) for a picture: {len(odd)} "
            f"have another, the first is {odd.iloc[0]} ({sides[odd.index[0]]!r})"
        )
    sides = sides.map(SIDES)
    parts = {side: frozenset(table["name"][sides == side]) for side in ("train", "val", "test")}
    if not parts["test"]:
        parts |= {"test": parts["val"], "val": frozenset()}
    if not parts["train"] or not parts["test"]:
        raise DataError("--protocol official needs pictures in train, and in test or val")
    fold = fold_of_parts("official", 0, table, parts["train"], parts["val"], parts["test"])
    return [fold, draw_folds(table, 0)[-1]]


def no_folds(table: pd.DataFrame, n_folds: int) -> list[Fold]:
    """Say that splits must be given: `pipeline.given` reads them."""
    raise DataError("--protocol given needs the splits: --splits FILE")


def folds_tuned_on_test(table: pd.DataFrame, n_folds: int) -> list[Fold]:
    """Return the nested folds, each with its own test part as the validation part."""
    *folds, final = draw_folds(table, n_folds)
    return [*(replace(fold, inner=((fold.train, fold.test),)) for fold in folds), final]


PROTOCOLS = {
    "nested": Protocol(
        draw_folds, "{n} group-disjoint 80/20 folds, hyper-parameters tuned inside each"
    ),
    "official": Protocol(
        official_fold,
        "the database's own split, hyper-parameters tuned on its validation part, or inside",
    ),
    "given": Protocol(
        no_folds,
        "{n} splits that were given, hyper-parameters tuned inside each",
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
