"""What decides the numbers of a run, and what only how long it takes."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.data import Data
from pipeline.splits import N_FOLDS, Fold

# Raised whenever our code changes a number of a run; part of its settings.
VERSION = 4


@dataclass(frozen=True)
class How:
    """What decides the numbers of a run, beside the data."""

    regressor: str = "ridge"
    trials: int = 200
    seed: int = 0
    objective: str = "srcc"
    protocol: str = "nested"
    folds: int = N_FOLDS


@dataclass(frozen=True)
class Where:
    """What decides only how long a run takes.

    Attributes
    ----------
    storage : URL of a database that holds the studies; journals in the run's folder when not given
    jobs : processes; as the cores and the memory allow when not given
    gpu : CUDA device that large decompositions run on; its float32 sums are not the CPU's, so that
        numbers agree to the stated tolerance and not to the bit
    on_trial : called with the number of trials that were finished since the last call
    """

    storage: str | None = None
    jobs: int | None = None
    gpu: str | None = None
    on_trial: Callable[[int], None] = lambda count: None


def settings_of(data: Data, features: str, how: How, given: Sequence[Fold] | None = None) -> dict:
    """Return all that decides the numbers of a run, the data themselves included.

    Parameters
    ----------
    given : the folds, where they were not drawn
    """
    content = hashlib.sha256(np.ascontiguousarray(data.X))
    table = data.database.table.sort_values("name", kind="stable")
    official = ("split",) if how.protocol == "official" and "split" in table else ()
    types = ("distortion",) if "distortion" in table else ()
    for column in ("name", data.target, "group", *official, *types):
        content.update("\0".join(map(str, table[column])).encode())
    content.update("\0".join(data.names).encode())
    return {
        "db": data.database.name,
        "features": features,
        "keys": data.keys,
        "target": data.target,
        "range": asdict(data.database.targets[data.target]),
        **asdict(how),
        **({"folds": 1} if how.protocol == "official" else {}),
        "data_sha256": content.hexdigest(),
        "labels_sha256": data.database.labels_sha256,
        "group_by": data.database.group_by,
        "sizes_sha256": _sizes_sha256(data),
        "version": VERSION,
        **_augmented(data),
        **({"splits_sha256": _folds_sha256(given)} if given else {}),
    }


def _folds_sha256(folds: Sequence[Fold]) -> str:
    content = hashlib.sha256()
    for fold in folds:
        for part in (fold.train, fold.test, *(part for pair in fold.inner for part in pair)):
            content.update("\0".join([fold.name, *sorted(part), ""]).encode())
    return content.hexdigest()


def _sizes_sha256(data: Data) -> str:
    """Return what the size-only baseline depends on; nothing where no size is known."""
    return "" if data.sizes is None else hashlib.sha256(data.sizes.tobytes()).hexdigest()


def _augmented(data: Data) -> dict:
    """Say which distorted versions train beside the pictures; nothing where none do."""
    if data.augmented is None:
        return {}
    content = hashlib.sha256(np.ascontiguousarray(data.augmented.embeddings).tobytes())
    content.update("\0".join(data.augmented.originals).encode())
    return {"augmented": len(data.augmented.originals), "augmented_sha256": content.hexdigest()}
