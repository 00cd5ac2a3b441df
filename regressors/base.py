"""What tuning asks of a regressor, whatever it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.distributions import BaseDistribution

from regressors.metrics import srcc

Folds = Sequence[tuple[np.ndarray, np.ndarray]]
Params = Mapping[str, float]


@dataclass(frozen=True)
class Training:
    """One training part of a matrix.

    Attributes
    ----------
    rows : (n,) its rows of the matrix
    y : (n,) their scores
    inner : (train, validation) as indices into `rows`
    n_judged : so many leading rows are in one validation part each; the others, which are distorted
        versions of these, only ever train
    """

    rows: np.ndarray
    y: np.ndarray
    inner: Folds
    n_judged: int


class Tuner:
    """Predicts the validation parts of the inner folds of one training part, for any parameters.

    A regressor gives `space`, `head`, `predictions` and `fitted`; `many` where preparing several
    training parts together saves work.

    Attributes
    ----------
    space : name of a hyper-parameter -> its Optuna distribution
    head : the kind of head that `fitted` predicts as; a key of `regressors.heads.HEADS`
    """

    space: Mapping[str, BaseDistribution]
    head: str

    def __init__(self, X: np.ndarray, y: np.ndarray, folds: Folds) -> None:
        self.X, self.y, self.folds = X, y, folds

    @classmethod
    def many(cls, X: np.ndarray, trainings: Sequence[Training]) -> Iterator["Tuner"]:
        """Yield the tuner of each training part of one matrix, in their order."""
        for training in trainings:
            yield cls(X[training.rows], training.y, training.inner)

    def predictions(self, params: Params) -> list[np.ndarray]:
        """Return the predictions of each inner fold's validation rows."""
        raise NotImplementedError

    def fitted(self, params: Params):
        """Return the regressor fitted on the whole training part."""
        raise NotImplementedError

    def score(self, params: Params) -> float:
        """Return the mean SRCC over the inner folds."""
        pairs = zip(self.folds, self.predictions(params), strict=True)
        return float(np.mean([srcc(self.y[part], found) for (_, part), found in pairs]))

    def out_of_fold(self, params: Params) -> np.ndarray:
        """Return the (n,) predictions of every row by the inner fold that did not see it.

        NaN for a row that is in no validation part.
        """
        predictions = np.full(len(self.y), np.nan)
        for (_, part), found in zip(self.folds, self.predictions(params), strict=True):
            predictions[part] = found
        return predictions
