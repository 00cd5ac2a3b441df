"""What tuning asks of a regressor, whatever it is."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.distributions import BaseDistribution

from regressors.errors import DataError, NoHead
from regressors.metrics import is_flat
from regressors.objectives import OBJECTIVES

Folds = Sequence[tuple[np.ndarray, np.ndarray]]
Params = Mapping[str, float]
Blocks = Mapping[str, slice]


@dataclass(frozen=True)
class Training:
    """One training part of a matrix.

    Attributes
    ----------
    rows : (n,) its rows of the matrix
    y : (n,) their scores
    inner : (train, validation) as indices into `rows`; another target's training part with the
        very same two objects shares all work that does not depend on scores
    n_judged : so many leading rows may be in validation parts; the others, which are distorted
        versions of these, only ever train
    """

    rows: np.ndarray
    y: np.ndarray
    inner: Folds
    n_judged: int


class Prepared:
    """What a regressor makes of the pictures of one training part, whatever their scores.

    Costly parts belong into cached properties of a subclass: they are made at their first use, in
    the process that tunes, and serve all targets.

    Attributes
    ----------
    folds : (train, validation) as indices into the training part
    blocks : name of a feature set -> its columns
    """

    def __init__(
        self,
        X: np.ndarray,
        folds: Folds,
        rows: np.ndarray | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        """Keep what is given; `rows` are those of the training part, all when not given."""
        self._matrix = X
        self._rows = np.arange(len(X)) if rows is None else rows
        self.folds = folds
        self.blocks = blocks or {"all": slice(0, X.shape[1])}

    @property
    def n_dims(self) -> int:
        """The number of columns."""
        return self._matrix.shape[1]

    def X(self, part: np.ndarray | None = None) -> np.ndarray:
        """Return a copy of rows of the training part, all when not given: (n, p)."""
        return self._matrix[self._rows if part is None else self._rows[part]]


class Tuner:
    """Predicts the validation parts of the inner folds of one training part, for any parameters.

    A regressor gives `space`, `head`, `predictions` and `fitted`; `prepared_as` where work can be
    shared by targets, `many` where preparing several training parts together saves work. It is sent
    to the process that tunes it, so that nothing costly is computed before `space` is asked for.

    Attributes
    ----------
    space : name of a hyper-parameter -> its Optuna distribution
    head : the kind of head that `fitted` predicts as; a key of `regressors.heads.HEADS`
    on_device : whether `many` takes `device_X`, the matrix on another device
    natural : (hyper-parameter, "low" or "high") beyond which nothing exists, such as a share of 1:
        a best value there is no hint that the space is too narrow
    """

    space: Mapping[str, BaseDistribution]
    head: str
    on_device: bool = False
    natural: frozenset[tuple[str, str]] = frozenset()
    prepared_as: type[Prepared] = Prepared

    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        folds: Folds,
        rows: np.ndarray | None = None,
        blocks: Blocks | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        """Keep what is given.

        Parameters
        ----------
        X : (N, p) embeddings; y : (n,) scores of `rows` (all rows of X when not given)
        folds : (train, validation) as indices into y
        blocks : name of a feature set -> its columns
        prepared : of the same rows and folds, where another target has one
        """
        self.y, self.folds = np.asarray(y, float), folds
        self.prepared = prepared or self.prepared_as(X, folds, rows, blocks)

    def anew(self, prepared: dict[int, Prepared]) -> "Tuner":
        """Return a copy that keeps to itself what it makes.

        Parameters
        ----------
        prepared : copies made for other targets; those of the same pictures share one
        """
        mine = copy.copy(self)
        mine.prepared = prepared.setdefault(id(self.prepared), copy.copy(self.prepared))
        return mine

    @classmethod
    def many(
        cls, X: np.ndarray, trainings: Sequence[Training], blocks: Blocks | None = None
    ) -> Iterator["Tuner"]:
        """Yield the tuner of each training part of one matrix, in their order."""
        known: dict[tuple[int, int], Prepared] = {}
        for training in trainings:
            same = id(training.rows), id(training.inner)
            if same not in known:
                known[same] = cls.prepared_as(X, training.inner, training.rows, blocks)
            yield cls(X, training.y, training.inner, prepared=known[same])

    @staticmethod
    def memory(n: int, p: int, n_sets: int = 1) -> float:
        """Return about how many bytes one study takes: n rows of p numbers, in so many sets."""
        return 24.0 * n * p

    def predictions(self, params: Params) -> list[np.ndarray]:
        """Return the predictions of each inner fold's validation rows.

        Raises
        ------
        NoHead
            When these parameters give no head: the trial is left out, and counted.
        """
        raise NotImplementedError

    def fitted(self, params: Params):
        """Return the regressor fitted on the whole training part."""
        raise NotImplementedError

    def score(self, params: Params, objective: str = "srcc") -> float:
        """Return the mean objective over the inner folds, higher is better."""
        judge, scores = OBJECTIVES[objective], []
        for (_, part), found in zip(self.folds, self.predictions(params), strict=True):
            if is_flat(found):
                raise NoHead("the predictions are all alike")
            if not is_flat(self.y[part]):  # few ratings, many ties: nothing to rank in this part
                scores.append(judge(self.y[part], found))
        if not scores:
            raise DataError("all scores are alike in every inner validation part")
        value = float(np.mean(scores))
        if not np.isfinite(value):
            raise NoHead("the predictions are not finite")
        return value

    def out_of_fold(self, params: Params) -> np.ndarray:
        """Return the (n,) predictions of every row by the inner fold that did not see it.

        NaN for a row that is in no validation part.
        """
        predictions = np.full(len(self.y), np.nan)
        for (_, part), found in zip(self.folds, self.predictions(params), strict=True):
            predictions[part] = found
        return predictions
