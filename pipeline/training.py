"""The training parts of a run, as rows of one matrix."""

from collections.abc import Sequence

import numpy as np

from pipeline import splits
from pipeline.data import Data
from regressors.base import Training
from regressors.errors import DataError
from regressors.metrics import MINIMUM_ROWS


def training_parts(
    data: Data, folds: Sequence[splits.Fold], on_test: bool = False
) -> tuple[np.ndarray, list[Training]]:
    """Return the matrix of pictures, then of their distorted versions, and its training parts.

    A version trains wherever its picture does, and is in no validation or test part.

    Parameters
    ----------
    on_test : every fold but `final` is tuned on its test part, which so belongs to these rows
    """
    _check_finite(data)
    versions = data.augmented
    originals = np.array(versions.originals if versions else [], dtype=object)
    X = np.concatenate([data.X, versions.embeddings]) if versions else data.X
    row_of = {name: row for row, name in enumerate(data.names)}
    source = np.array([row_of.get(name, len(row_of)) for name in originals], int)
    parts = []
    for fold in folds:
        train, test = (splits.rows_of(data.names, part) for part in (fold.train, fold.test))
        _check_size(fold, train, test)
        if on_test:
            train = np.sort(np.concatenate([train, test]))
        kept = np.flatnonzero(np.isin(source, train))
        position = np.searchsorted(train, source[kept])  # of each version's picture in train
        inner = [
            (np.concatenate([a, len(train) + np.flatnonzero(np.isin(position, a))]), b)
            for a, b in _inner_rows(data.names, train, fold)
        ]
        rows = np.concatenate([train, len(data.names) + kept])
        parts.append(Training(rows, scores(data)[rows], inner, len(train)))
    return X, parts


def scores(data: Data) -> np.ndarray:
    """Return the scores of every row of that matrix: a distorted version has its picture's."""
    if data.augmented is None:
        return data.y
    row_of = {name: row for row, name in enumerate(data.names)}
    source = [row_of.get(name, -1) for name in data.augmented.originals]
    return np.concatenate([data.y, np.append(data.y, np.nan)[source]])


def _check_finite(data: Data) -> None:
    bad = ~np.isfinite(data.X).all(axis=1)
    if bad.any():
        names = [data.names[row] for row in np.flatnonzero(bad)]
        some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise DataError(
            f"{len(names)} embeddings hold NaN or infinity: {some}; extract these pictures again"
        )


def _inner_rows(names: list[str], train: np.ndarray, fold: splits.Fold) -> list[tuple]:
    """Return the inner folds as indices into the training rows that have an embedding."""
    own = [names[row] for row in train]
    pairs = [(splits.rows_of(own, a), splits.rows_of(own, b)) for a, b in fold.inner]
    if min(min(len(a), len(b)) for a, b in pairs) < MINIMUM_ROWS:
        raise DataError(
            f"{fold.name}: an inner fold has fewer than {MINIMUM_ROWS} pictures; more rated "
            "pictures are needed"
        )
    return pairs


def _check_size(fold: splits.Fold, train: np.ndarray, test: np.ndarray) -> None:
    if fold.test and len(test) < MINIMUM_ROWS:
        raise DataError(
            f"{fold.name}: {len(test)} pictures in the test part, at least {MINIMUM_ROWS} are "
            "needed; more rated pictures are needed"
        )
