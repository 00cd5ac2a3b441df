"""Two runs on the pictures that both have, fold by fold, or why they cannot be compared."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from features.errors import InputError, UsageError
from features.files import read_json
from pipeline.splits import group_index
from regressors.errors import DataError
from regressors.metrics import srcc
from regressors.paired import PairedFold

_FACTS = ("db", "features", "regressor", "target", "protocol")


class Side(NamedTuple):
    """One of the two runs, as its files have it."""

    folder: Path
    result: dict
    predictions: pd.DataFrame
    splits: pd.DataFrame

    @property
    def protocol(self) -> str:
        """The protocol's name, without the words that explain it."""
        return self.result["protocol"].split(":")[0]


def read_side(folder: Path) -> Side:
    """Read what a comparison needs of a finished run.

    Raises
    ------
    InputError
        When a file is missing or damaged.
    """
    result = read_json(folder / "result.json", *_FACTS)
    predictions = _read(
        folder / "predictions.csv", ["name", "fold", result["target"], "prediction"]
    )
    for column in (result["target"], "prediction"):
        try:
            # not pandas' own reading, which may miss the last digit
            values = np.array([float(text) for text in predictions[column]])
        except ValueError as error:
            raise InputError(f"{folder / 'predictions.csv'}: {column}: {error}") from error
        if not np.isfinite(values).all():
            raise InputError(f"{folder / 'predictions.csv'}: {column} holds what is no number")
        predictions[column] = values
    return Side(folder, result, predictions, _read(folder / "splits.csv", ["name", "group"]))


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        # as text: a name such as 007 or NA is no number and no gap
        table = pd.read_csv(io.BytesIO(path.read_bytes()), dtype=str, keep_default_na=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} was damaged or changed: {error}") from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{path} was damaged or changed, it lacks {', '.join(missing)}")
    return table


class Pair(NamedTuple):
    """Two runs on the pictures that both have.

    Attributes
    ----------
    names : of the folds
    srccs : of A and B, for each fold
    folds : what `regressors.paired` takes
    n_pictures : different ones, in all test parts
    n_groups : how many are drawn
    used : how many of those have a tested picture left
    left_out : pictures that one of the two lacks
    """

    names: list[str]
    srccs: list[list[float]]
    folds: list[PairedFold]
    n_pictures: int
    n_groups: int
    used: int
    left_out: list[str]


def pair_of(a: Side, b: Side) -> Pair:
    """Join two runs.

    Raises
    ------
    UsageError, InputError
        When their numbers are not of the same database, target and protocol; of the same splits
        and scores.
    DataError
        When a fold has no correlation on the pictures that both have.
    """
    _check_alike(a, b)
    target = a.result["target"]
    both = a.predictions.merge(b.predictions, on=["fold", "name"], suffixes=("_a", "_b"))
    mos = both[f"{target}_a"]
    changed = both["name"][mos != both[f"{target}_b"]].unique()
    if len(changed):
        raise InputError(
            f"the two runs saw different scores of {len(changed)} pictures, such as {changed[0]}: "
            "the labels changed between them; fit both again"
        )
    names = [set(side.predictions["name"]) for side in (a, b)]
    for side, others in zip((a, b), reversed(names), strict=True):
        if side.predictions["name"].isin(others).sum() != len(both):
            raise InputError(
                f"predictions.csv of {a.folder} or {b.folder} lacks rows of a fold, or has some "
                "twice: it was changed; fit again"
            )
    index, n_groups = drawn_groups(a.splits)
    strange = sorted((names[0] | names[1]) - set(index))
    if strange:
        raise InputError(
            f"predictions.csv holds {strange[0]!r}, which splits.csv has in no test part: one of "
            "the two was changed; fit again"
        )
    folds, srccs, judged = list(a.predictions["fold"].unique()), [], []
    for name in folds:
        rows = both[both["fold"] == name]
        group = np.array([index[picture] for picture in rows["name"]], int)
        fold = tuple(
            rows[column].to_numpy() for column in (f"{target}_a", "prediction_a", "prediction_b")
        )
        srccs.append(_srccs(name, *fold))
        judged.append((*fold, group))
    # a group whose pictures are all left out has no say; one that no test part holds is as in `fit`
    tested = {index[name] for side in names for name in side}
    used = n_groups - len(tested - {group for *_, groups in judged for group in groups})
    left_out = sorted(names[0] ^ names[1])
    return Pair(folds, srccs, judged, both["name"].nunique(), n_groups, used, left_out)


def _check_alike(a: Side, b: Side) -> None:
    for key, first, second in (
        *((key, a.result[key], b.result[key]) for key in ("db", "target")),
        ("protocol", a.protocol, b.protocol),
    ):
        if first != second:
            what = {"db": "database"}.get(key, key)
            raise UsageError(
                f"the two runs differ in {what}, {first} and {second}: only runs on the same "
                "pictures, scores and folds can be compared"
            )
    if not _by_name(a.splits).equals(_by_name(b.splits)):
        folds = [len(side.splits.columns) - 2 for side in (a, b)]
        pictures = [len(side.splits) for side in (a, b)]
        detail = (
            f"{folds[0]} and {folds[1]} folds"
            if folds[0] != folds[1]
            else f"{pictures[0]} and {pictures[1]} pictures"
            if pictures[0] != pictures[1]
            else "other groups, or other pictures in the test parts"
        )
        raise InputError(
            f"the two runs have different splits ({detail}): the database, --folds, --group-by or "
            "--splits changed between them; fit both alike"
        )


def _by_name(splits: pd.DataFrame) -> pd.DataFrame:
    return splits.set_index("name").sort_index().sort_index(axis=1)


def drawn_groups(splits: pd.DataFrame) -> tuple[dict[str, int], int]:
    """Return picture -> index of its group, and how many groups the draws take, as in `fit`.

    Parameters
    ----------
    splits : splits.csv: name, group, and a column for each fold
    """
    number = group_index(splits)
    rows = splits[splits["group"].isin(number)]
    return dict(zip(rows["name"], map(number.get, rows["group"]), strict=True)), len(number)


def _srccs(name: str, mos, *predictions) -> list[float]:
    try:
        return [srcc(mos, prediction) for prediction in predictions]
    except DataError as error:
        raise DataError(f"{name}, on the pictures that both runs have: {error}") from error
