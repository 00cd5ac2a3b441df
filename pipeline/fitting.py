"""One run: every fold tuned and judged, and a final head, written as a run folder."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import UsageError
from features.files import locked, read_json, write_atomic, write_json
from pipeline import splits
from pipeline.breakdown import by_distortion, within_groups
from pipeline.data import Data
from pipeline.heads import write_head
from pipeline.plots import scatter
from pipeline.protocols import PROTOCOLS
from pipeline.runs import point_latest, run_folder
from pipeline.settings import How, Where, settings_of
from pipeline.sizes import row_folds, size_baseline
from pipeline.studies import Journals, Shared, Studies
from pipeline.summary import fold_record, summary
from pipeline.training import scores, training_parts
from pipeline.workers import Job, Judged, n_processes, work_off
from regressors.nested import Plan, Together, tuners
from regressors.table import REGRESSORS

# All folds together choose in one study of this name.
TOGETHER = "together"


def fit_run(
    data: Data,
    features: str,
    runs: Path,
    how: How = How(),
    where: Where = Where(),
) -> tuple[Path, dict]:
    """Fit and judge one target; see `fit_runs`."""
    return fit_runs([data], features, runs, how, where)[0]


def fit_runs(
    data: Sequence[Data],
    features: str,
    runs: Path,
    how: How,
    where: Where,
    given: Sequence[splits.Fold] | None = None,
) -> list[tuple[Path, dict]]:
    """Fit and judge some targets of the same pictures, or return the results that are there.

    Parameters
    ----------
    given : the folds of the protocol `given`, and `final`

    Returns
    -------
    folder, result : of each run its folder, and what its result.json holds
    """
    folds = given or PROTOCOLS[how.protocol].folds(data[0].database.table, how.folds)
    settings = [settings_of(one, features, how, given) for one in data]
    folders = [run_folder(runs, one) for one in settings]
    left = [k for k, folder in enumerate(folders) if not (folder / "result.json").is_file()]
    for k in left:
        write_json(folders[k] / "settings.json", settings[k])
    if left:
        places = [folders[k] for k in left]
        found = _judge([data[k] for k in left], places, runs, folds, how, where)
        for k, judged in zip(left, found, strict=True):
            with locked(folders[k]):  # another process may have come first
                if not (folders[k] / "result.json").is_file():
                    result = _write(data[k], settings[k], folders[k], folds, judged)
                    # written last: a run that has a result is whole
                    write_json(folders[k] / "result.json", result)
    for folder in folders:
        if not PROTOCOLS[how.protocol].optimistic:
            with locked(folder.parent):
                point_latest(folder)
    return [
        (folder, read_json(folder / "result.json", "median", "folds", "srcc_interval"))
        for folder in folders
    ]


def _judge(
    data: Sequence[Data],
    folders: Sequence[Path],
    runs: Path,
    folds: Sequence[splits.Fold],
    how: How,
    where: Where,
) -> list[dict[str, Judged]]:
    """Tune and judge every fold of every target: of each target, name of the fold -> judged."""
    protocol, first = PROTOCOLS[how.protocol], data[0]
    regressor = REGRESSORS[how.regressor]
    need = regressor.memory(*first.X.shape, len(first.columns))
    processes = n_processes(where.jobs, len(folds) * len(data), how.trials, need)
    studies = [_studies(folder, runs, where.storage) for folder in folders]
    for each in studies:  # before hours of work, not after
        each.is_free(folds[0].name)
    X, trainings = training_parts(first, folds, protocol.chooses == "test")
    # fold by fold, its targets side by side: they share what does not depend on scores
    parts = [
        replace(training, y=scores(one)[training.rows]) for training in trainings for one in data
    ]
    with _device(X, how, where) as device_X:
        found = list(tuners(regressor, X, parts, first.columns, device_X))
    plan = Plan(how.trials, how.seed, how.objective)
    pool = partial(work_off, X=X, on_trial=where.on_trial)
    nothing = np.array([], int)
    shared: dict[int, dict] = {}
    if protocol.chooses == "together":
        together = [Together(found[k :: len(data)][:-1]) for k in range(len(data))]
        choices = [
            Job(TOGETHER, studies[k], tuner, plan, nothing, nothing, "together")
            for k, tuner in enumerate(together)
        ]
        # all folds at once in one process
        n = n_processes(where.jobs, len(data), how.trials, need * (len(folds) - 1))
        shared = dict(pool(choices, n_processes=n))
    jobs = []
    for number, tuner in enumerate(found):
        fold, k = folds[number // len(data)], number % len(data)
        own = replace(plan, n_judged=parts[number].n_judged)
        test = splits.rows_of(first.names, fold.test)
        if fold.test and shared:
            own = replace(own, params=shared[k])
        chooses = "test" if fold.test and protocol.chooses == "test" else "inner"
        y_test = data[k].y[test]
        jobs.append(Job(fold.name, studies[k], tuner, own, test, y_test, chooses, first.columns))
    judged: list[dict[str, Judged]] = [{} for _ in data]
    for number, result in pool(jobs, n_processes=processes, together=len(data)):
        judged[number % len(data)][jobs[number].study] = result
    return judged


@contextlib.contextmanager
def _device(X: np.ndarray, how: How, where: Where) -> Iterator[object]:
    """Yield the matrix on the GPU that was asked for, or nothing."""
    if where.gpu is None:
        yield None
        return
    if not REGRESSORS[how.regressor].on_device:
        raise UsageError(f"--gpu: {how.regressor} runs on the CPU; leave --gpu out")
    from features.torch_engine import on_device  # torch, which the CPU spares

    with on_device(X, where.gpu) as device_X:
        yield device_X


def _studies(folder: Path, runs: Path, storage: str | None) -> Studies:
    if storage is None:
        return Journals(folder / "studies")
    return Shared(storage, folder.relative_to(runs).as_posix())


def n_trials(how: How) -> int:
    """Return how many trials a run has."""
    return how.trials * {"official": 2, "shared-alpha": 2}.get(how.protocol, how.folds + 1)


def _write(
    data: Data,
    settings: dict,
    folder: Path,
    folds: Sequence[splits.Fold],
    judged: dict[str, Judged],
) -> dict:
    """Write all files of a run but result.json, and return what belongs into it."""
    table = data.database.table
    rows = {fold.name: splits.rows_of(data.names, fold.test) for fold in folds if fold.test}
    records = [
        fold_record(fold, *_sizes(data, fold), judged[fold.name]) for fold in folds if fold.test
    ]
    predictions = pd.concat(_predictions(data, rows, judged), ignore_index=True)
    write_atomic(folder / "predictions.csv", predictions.to_csv(index=False).encode())
    split_table = splits.as_table(table, folds)
    write_atomic(folder / "splits.csv", split_table.to_csv(index=False).encode())
    final = judged["final"]
    index = splits.group_index(split_table)
    tested = [
        (data.y[test], judged[name].predictions, data.group[test]) for name, test in rows.items()
    ]
    crossing = max(splits.crossing(fold, table) for fold in folds)
    result = summary(data, settings, records, tested, final, index, crossing)
    parts = list(row_folds(data.names, folds))
    result["size_baseline"] = size_baseline(data.sizes, data.y, parts, data.group, index)
    result["srcc_within_groups"] = within_groups(predictions, data.target)
    if "distortion" in table:
        types = table.set_index("name")["distortion"]
        result["by_distortion"] = by_distortion(predictions, types, data.target)
    write_head(folder, final.arrays, _head_facts(data, settings, final, result))
    marked = " (optimistic)" if result["optimistic"] else ""
    scatter(
        folder / "scatter.png",
        predictions[data.target].to_numpy(),
        predictions["prediction"].to_numpy(),
        predictions["fold"].to_numpy(str),
        f"{settings['db']} {data.target}, {settings['features']}, {settings['regressor']}: "
        f"median SRCC {result['median']['srcc']:.3f}{marked}",
        data.database.note,
    )
    return result


def _sizes(data: Data, fold: splits.Fold) -> tuple[int, int]:
    return tuple(len(splits.rows_of(data.names, part)) for part in (fold.train, fold.test))


def _predictions(data: Data, rows: dict, judged: dict[str, Judged]) -> Iterator[pd.DataFrame]:
    for name, test in rows.items():
        yield pd.DataFrame(
            {
                "name": [data.names[row] for row in test],
                "fold": name,
                data.target: data.y[test],
                "prediction": judged[name].predictions,
                "group": data.group[test],
                **_interval(judged[name]),
            }
        )


def _interval(judged: Judged) -> dict[str, np.ndarray]:
    """Return within which nine of ten scores lie; nothing where no inner folds tell."""
    error = judged.numbers.get("error90")
    if error is None:
        return {}
    return {"low": judged.predictions - error, "high": judged.predictions + error}


def _head_facts(data: Data, settings: dict, final: Judged, result: dict) -> dict:
    return {
        "kind": final.tuned.head,
        "db": settings["db"],
        "target": data.target,
        "range": asdict(data.database.targets[data.target]),
        "features": settings["features"],
        "columns": {name: [part.start, part.stop] for name, part in data.columns.items()},
        "encoders": data.keys,
        "regressor": settings["regressor"],
        "params": final.tuned.params,
        "n_train": len(data.names),
        "median_srcc": result["median"]["srcc"],
        "optimistic": result["optimistic"],
        "note": data.database.note,
        **final.facts,
    }
