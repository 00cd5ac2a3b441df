"""One run: ten nested folds and a final head, written as a run folder."""

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from features.files import locked, read_json, write_atomic, write_json
from features.names import parse
from features.weights import seen_by
from pipeline import splits
from pipeline.data import Data
from pipeline.databases import aliases
from pipeline.plots import scatter
from pipeline.runs import point_latest, provenance, run_folder, write_head
from regressors import REGRESSORS
from regressors.base import Training
from regressors.errors import DataError
from regressors.intervals import group_draws, interval, median_draws
from regressors.metrics import MINIMUM_ROWS
from regressors.nested import evaluate, fit_tuned, reach, tuners

# Raised whenever our code changes a number of a run; part of its settings.
VERSION = 2
MEDIANS = (
    "srcc",
    "krcc",
    "plcc",
    "plcc_logistic",
    "plcc_logistic_train",
    "rmse",
    "rmse_logistic",
    "rmse_logistic_train",
    "mae",
    "mae_logistic",
)


def settings_of(data: Data, features: str, regressor: str, trials: int, seed: int) -> dict:
    """Return all that decides the numbers of a run, the data themselves included."""
    content = hashlib.sha256(np.ascontiguousarray(data.X).tobytes())
    table = data.database.table.sort_values("name", kind="stable")
    for column in ("name", data.target, "group"):
        content.update("\0".join(map(str, table[column])).encode())
    content.update("\0".join(data.names).encode())
    return {
        "db": data.database.name,
        "features": features,
        "keys": data.keys,
        "regressor": regressor,
        "target": data.target,
        "protocol": "nested",
        "folds": splits.N_FOLDS,
        "trials": trials,
        "seed": seed,
        "data_sha256": content.hexdigest(),
        "labels_sha256": data.database.labels_sha256,
        "group_by": data.database.group_by,
        "version": VERSION,
        **_augmented(data),
    }


def _augmented(data: Data) -> dict:
    """Say which distorted versions train beside the pictures; nothing where none do."""
    if data.augmented is None:
        return {}
    content = hashlib.sha256(np.ascontiguousarray(data.augmented.embeddings).tobytes())
    content.update("\0".join(data.augmented.originals).encode())
    return {"augmented": len(data.augmented.originals), "augmented_sha256": content.hexdigest()}


def fit_run(
    data: Data,
    features: str,
    regressor: str,
    runs: Path,
    trials: int = 200,
    seed: int = 0,
    on_trial: Callable[[], None] = lambda: None,
) -> tuple[Path, dict]:
    """Fit and judge one combination, or return the result that is there already.

    Returns
    -------
    folder, result : the run's folder and what its result.json holds
    """
    settings = settings_of(data, features, regressor, trials, seed)
    folder = run_folder(runs, settings)
    with locked(folder):
        if not (folder / "result.json").is_file():
            write_json(folder / "settings.json", settings)
            result = _compute(data, settings, folder, on_trial)
            # written last: a run that has a result is whole
            write_json(folder / "result.json", result)
    with locked(folder.parent):
        point_latest(folder)
    return folder, read_json(folder / "result.json", "median", "folds", "srcc_interval")


def _compute(data: Data, settings: dict, folder: Path, on_trial: Callable[[], None]) -> dict:
    table, regressor = data.database.table, REGRESSORS[settings["regressor"]]
    folds = splits.draw_folds(table, settings["folds"])
    storage = _journal(folder / "optuna.journal")
    group_index = {group: index for index, group in enumerate(sorted(set(table["group"])))}
    groups = np.array([group_index[group] for group in data.group])
    X, trainings = training_parts(data, folds)
    per_fold, predictions, judged = [], [], []
    for fold, tuner in zip(folds, tuners(regressor, X, trainings), strict=True):
        train, test = (splits.rows_of(data.names, part) for part in (fold.train, fold.test))
        tuned = fit_tuned(
            tuner,
            _study(storage, fold.name),
            settings["trials"],
            settings["seed"],
            on_trial,
            len(train),
        )
        if not fold.test:
            break
        prediction, numbers = evaluate(tuned, data.y[train], data.X[test], data.y[test])
        judged.append((data.y[test], prediction, groups[test]))
        per_fold.append(
            {
                "fold": fold.name,
                "seed": fold.seed,
                "n_train": len(train),
                "n_test": len(test),
                "n_without_embedding": len(fold.train | fold.test) - len(train) - len(test),
                "inner_srcc": tuned.inner_srcc,
                "params": tuned.params,
                "edges": tuned.edges,
                **{name: _plain(value) for name, value in numbers.items()},
            }
        )
        predictions.append(
            pd.DataFrame(
                {
                    "name": [data.names[row] for row in test],
                    "fold": fold.name,
                    data.target: data.y[test],
                    "prediction": prediction,
                    "group": data.group[test],
                }
            )
        )
    everything = pd.concat(predictions, ignore_index=True)
    write_atomic(folder / "predictions.csv", everything.to_csv(index=False).encode())
    split_table = splits.as_table(table, folds)
    write_atomic(folder / "splits.csv", split_table.to_csv(index=False).encode())
    result = _summary(data, settings, per_fold, judged, len(group_index), tuned)
    write_head(folder, tuned.model.arrays(), _head_facts(data, settings, tuned, train, result))
    scatter(
        folder / "scatter.png",
        everything[data.target].to_numpy(),
        everything["prediction"].to_numpy(),
        everything["fold"].to_numpy(str),
        f"{settings['db']} {data.target}, {settings['features']}, {settings['regressor']}: "
        f"median SRCC {result['median']['srcc']:.3f}",
        data.database.note,
    )
    return result


def _summary(data, settings, per_fold, judged, n_groups, tuned) -> dict:
    # the same draws for every run on these groups, so that two runs are compared pair by pair
    draws = median_draws(judged, group_draws(n_groups))
    values = {name: [fold[name] for fold in per_fold] for name in MEDIANS}
    srccs = np.array(values["srcc"])
    return {
        "db": settings["db"],
        "features": settings["features"],
        "regressor": settings["regressor"],
        "target": data.target,
        "higher_is_better": data.database.targets[data.target].higher_is_better,
        "n_pictures": len(data.names),
        "n_groups": n_groups,
        "n_without_embedding": len(data.failures),
        "median": {name: _plain(_median(numbers)) for name, numbers in values.items()},
        "srcc_interval": interval(draws),
        "srcc_spread": {
            "sd": float(srccs.std(ddof=1)),
            "min": float(srccs.min()),
            "max": float(srccs.max()),
        },
        "folds": per_fold,
        "final": {"params": tuned.params, "edges": tuned.edges, "inner_srcc": tuned.inner_srcc},
        "seed": settings["seed"],
        "trials": settings["trials"],
        "augmented": settings.get("augmented", 0),
        "keys": data.keys,
        "seen_by": _seen_by(settings),
        "protocol": "nested: ten group-disjoint 80/20 folds, five inner folds, median over folds",
        "note": data.database.note,
        "versions": provenance(),
    }


def _seen_by(settings: dict) -> list[str]:
    """Return the encoders that were trained on the very database that they are judged on."""
    encoders = [request.encoder for request in parse(settings["features"])]
    return seen_by(encoders, settings["db"], aliases(settings["db"]))


def _head_facts(data: Data, settings: dict, tuned, train: np.ndarray, result: dict) -> dict:
    return {
        "kind": tuned.head,
        "db": settings["db"],
        "target": data.target,
        "range": asdict(data.database.targets[data.target]),
        "features": settings["features"],
        "columns": {name: [part.start, part.stop] for name, part in data.columns.items()},
        "encoders": data.keys,
        "regressor": settings["regressor"],
        "params": tuned.params,
        "n_train": len(train),
        "median_srcc": result["median"]["srcc"],
        "note": data.database.note,
        **reach(tuned, data.X[train], data.y[train]),
    }


def training_parts(data: Data, folds: Sequence[splits.Fold]) -> tuple[np.ndarray, list[Training]]:
    """Return the matrix of pictures, then of their distorted versions, and its training parts.

    A version trains wherever its picture does, and is in no validation or test part.
    """
    versions = data.augmented
    originals = np.array(versions.originals if versions else [], dtype=object)
    X = np.concatenate([data.X, versions.embeddings]) if versions else data.X
    row_of = {name: row for row, name in enumerate(data.names)}
    source = np.array([row_of.get(name, len(row_of)) for name in originals], int)
    parts = []
    for fold in folds:
        train, test = (splits.rows_of(data.names, part) for part in (fold.train, fold.test))
        _check_size(fold, train, test)
        kept = np.flatnonzero(np.isin(source, train))
        position = np.searchsorted(train, source[kept])  # of each version's picture in train
        inner = [
            (np.concatenate([a, len(train) + np.flatnonzero(np.isin(position, a))]), b)
            for a, b in _inner_rows(data.names, train, fold)
        ]
        rows = np.concatenate([train, len(data.names) + kept])
        y = np.concatenate([data.y[train], data.y[source[kept]]])
        parts.append(Training(rows, y, inner, len(train)))
    return X, parts


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


def _journal(path: Path) -> JournalStorage:
    """Open the studies' journal, mending what a kill may have left: half a line, a lock."""
    if path.is_file():
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            write_atomic(path, whole)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}.lock")  # we hold the run's own lock, so its owner is dead
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return JournalStorage(JournalFileBackend(str(path)))


def _study(storage: JournalStorage, name: str) -> optuna.Study:
    return optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )


def _median(values: list) -> float:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else math.nan


def _plain(value: float) -> float | None:
    """JSON has no NaN: a number that does not exist is null."""
    return None if math.isnan(value) else float(value)
