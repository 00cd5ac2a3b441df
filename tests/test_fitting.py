"""Runs: the same again without work, and after a kill the same numbers."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import ROOT

import pipeline
from features.encoders import ENCODERS
from features.errors import InputError
from pipeline import fitting
from pipeline.data import Data
from pipeline.databases.table import Target
from pipeline.fitting import fit_run, fit_runs
from pipeline.heads import read_head
from pipeline.results import result_table
from pipeline.runs import find_run
from pipeline.settings import How, Where
from pipeline.studies import Journals
from pipeline.tables import CachedTable
from regressors.errors import DataError
from regressors.heads import HEADS
from regressors.nested import tuners
from regressors.objectives import OBJECTIVES
from regressors.svr import SVRPrepared
from regressors.table import REGRESSORS

DRIVER = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from test_fitting import data
from pipeline import fitting
from pipeline.fitting import fit_run
from pipeline.settings import How, Where
write = fitting._write
def late(*arguments):  # so that whoever kills this comes before its result
    time.sleep(3)
    return write(*arguments)
fitting._write = late
print("ready", flush=True)
fit_run(data(), "nss", Path({runs!r}), How(trials=20), Where({storage!r}, {jobs}))
"""


def data(n: int = 60, signal_strength: float = 1.0) -> Data:
    """Seeded embeddings with a linear signal, in n / 3 groups."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, 12)).astype(np.float32)
    y = 50 + 10 * signal_strength * X[:, 0] + rng.normal(0, 3, n)
    names = [f"p{i:03d}.png" for i in range(n)]
    group = np.array([f"g{i // 3}" for i in range(n)])
    table = pd.DataFrame({"name": names, "mos": y, "group": group})
    cached = CachedTable(
        "own", Path("/nowhere"), table, {"mos": Target(0, 100)}, "column group", "", [], ""
    )
    return Data(names, X, y, group, {}, {"nss": slice(0, 12)}, {"nss": "k" * 12}, cached, "mos")


def numbers(folder: Path) -> dict:
    """Everything a run says, without the versions it was made with."""
    result = json.loads((folder / "result.json").read_text())
    result.pop("versions")
    _, arrays, *_ = read_head(folder)
    files = [(folder / name).read_bytes() for name in ("predictions.csv", "splits.csv")]
    return {
        "result": result,
        "files": files,
        "head": {name: array.tolist() for name, array in arrays.items()},
    }


def test_again_is_the_same_without_refitting(tmp_path, monkeypatch):
    """A finished run is read, not computed."""
    folder, first = fit_run(data(), "nss", tmp_path, How(trials=8))
    monkeypatch.setattr(fitting, "_judge", lambda *a: pytest.fail("refitted"))
    again, second = fit_run(data(), "nss", tmp_path, How(trials=8))
    assert again == folder and first == second


def test_same_seed_same_numbers_elsewhere(tmp_path):
    """Two folders, one result; another seed, another study."""
    runs = [tmp_path / name for name in ("a", "b", "c")]
    one, _ = fit_run(data(), "nss", runs[0], How(trials=8))
    two, _ = fit_run(data(), "nss", runs[1], How(trials=8))
    other, _ = fit_run(data(), "nss", runs[2], How(trials=8, seed=1))
    assert numbers(one) == numbers(two)
    assert numbers(one)["result"]["folds"] != numbers(other)["result"]["folds"]


def test_result_holds_what_scipy_says_of_the_predictions(tmp_path):
    """Fold by fold numbers are those of predictions.csv, medians those of the folds."""
    folder, result = fit_run(data(), "nss", tmp_path, How(trials=8))
    predictions = pd.read_csv(folder / "predictions.csv")
    for fold in result["folds"]:
        rows = predictions[predictions["fold"] == fold["fold"]]
        assert len(rows) == fold["n_test"]
        expected = scipy.stats.spearmanr(rows["mos"], rows["prediction"]).statistic
        assert fold["srcc"] == pytest.approx(expected, abs=1e-12)
    srccs = [fold["srcc"] for fold in result["folds"]]
    assert result["median"]["srcc"] == pytest.approx(np.median(srccs), abs=1e-15)
    low, high = result["srcc_interval"]
    assert low < result["median"]["srcc"] < high
    assert len(result["folds"]) == 10


def test_splits_hold_no_group_on_both_sides(tmp_path):
    """As written: by name, train or test, no group in both."""
    folder, _ = fit_run(data(), "nss", tmp_path, How(trials=4))
    table = pd.read_csv(folder / "splits.csv")
    for fold in [column for column in table if column.startswith("fold")]:
        sides = table.groupby("group")[fold].nunique()
        assert (sides == 1).all()
        assert 0.1 < (table[fold] == "test").mean() < 0.3


def test_head_predicts_its_own_scale(tmp_path):
    """The shared head alone, in NumPy, follows the scores of its training data."""
    folder, _ = fit_run(data(), "nss", tmp_path, How(trials=8))
    _, arrays, facts, _ = read_head(folder)
    predicted = HEADS[facts["kind"]](arrays, data().X)
    assert scipy.stats.spearmanr(predicted, data().y).statistic > 0.9
    assert facts["range"] == {"low": 0, "high": 100, "higher_is_better": True}


def test_random_labels_find_nothing(tmp_path):
    """300 rows of noise: the median |SRCC| stays below .2."""
    _, result = fit_run(data(300, signal_strength=0.0), "nss", tmp_path, How(trials=20))
    assert abs(result["median"]["srcc"]) < 0.2


def start(runs: Path, storage: str | None = None, jobs: int = 1) -> subprocess.Popen:
    """Start fitting in another process, and return once it has begun."""
    where = {"root": str(ROOT), "tests": str(ROOT / "tests"), "runs": str(runs)}
    script = DRIVER.format(**where, storage=storage, jobs=jobs)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"ready\n"
    return process


def written(run: Path) -> int:
    """How many bytes the studies of a run have."""
    return sum(path.stat().st_size for path in (run / "studies").glob("*.journal"))


def kill_after(process: subprocess.Popen, run: Path, size: float) -> None:
    """Kill a fit once its studies have so many bytes."""
    deadline = time.monotonic() + 60
    while written(run) < size:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (run / "result.json").exists()


@pytest.mark.parametrize(("share", "jobs"), [(0.1, 1), (0.5, 2), (0.9, 1)])
def test_killed_and_resumed_is_the_same(tmp_path, share, jobs):
    """SIGKILL in the middle of the studies, then the same command: identical numbers."""
    whole, _ = fit_run(data(), "nss", tmp_path / "whole", How(trials=20))
    runs = tmp_path / "killed"
    run = runs / whole.relative_to(tmp_path / "whole")
    kill_after(start(runs, jobs=jobs), run, share * written(whole))
    resumed, _ = fit_run(data(), "nss", runs, How(trials=20))
    assert numbers(resumed) == numbers(whole)


def test_two_at_once_and_one_killed_is_the_same(tmp_path):
    """Two processes share the folds; one is killed, the other takes up what it left."""
    whole, _ = fit_run(data(), "nss", tmp_path / "whole", How(trials=20))
    runs = tmp_path / "shared"
    run = runs / whole.relative_to(tmp_path / "whole")
    first, second = start(runs), start(runs)
    kill_after(first, run, 0.5 * written(whole))
    assert second.wait(60) == 0
    second.stdout.close()
    assert numbers(run) == numbers(whole)
    # no trial was made twice
    assert written(run) < 1.1 * written(whole)


def test_processes_move_no_number(tmp_path):
    """One process or two: the same to the bit, and every trial is told."""
    told = []
    one, _ = fit_run(data(), "nss", tmp_path / "one", How(trials=6), Where(jobs=1))
    two, _ = fit_run(
        data(), "nss", tmp_path / "two", How(trials=6), Where(jobs=2, on_trial=told.append)
    )
    assert numbers(one) == numbers(two)
    assert sum(told) == 66


def test_half_a_line_in_the_journal_is_mended(tmp_path):
    """What a kill in the middle of a write leaves: part of a line, and a lock."""
    whole, _ = fit_run(data(), "nss", tmp_path, How(trials=6))
    expected = numbers(whole)
    journal = whole / "studies" / "fold-3.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:10]) + lines[10][:15])
    os.symlink(journal, f"{journal}.lock")
    (whole / "result.json").unlink()
    again, _ = fit_run(data(), "nss", tmp_path, How(trials=6))
    assert numbers(again) == expected


def test_finding_runs(tmp_path):
    """A run's folder, one above it, and a name under runs/ lead to it; two are told apart."""
    folder, _ = fit_run(data(), "nss", tmp_path, How(trials=4))
    for path in (folder, tmp_path / "own" / "nss" / "ridge" / "mos", tmp_path / "own", Path("own")):
        assert find_run(path, tmp_path) == folder.resolve()
    fit_run(data(), "nss", tmp_path, How(trials=5))
    assert find_run(Path("own"), tmp_path) != folder.resolve()  # latest is the newer one
    with pytest.raises(InputError, match="no finished run"):
        find_run(Path("other"), tmp_path)


def test_load_needs_a_cache(own_home):
    """pipeline.load of what was never extracted says which command to run."""
    with pytest.raises(InputError, match=r"pipeline.extract --db pcuid"):
        pipeline.load("pcuid", "nss")


def test_an_encoder_that_has_seen_the_database_is_named(tmp_path, monkeypatch):
    """In the result, and below the table; by whatever name the database goes."""
    seen = dataclasses.replace(ENCODERS["nss"], seen=("KonIQ-10k",))
    monkeypatch.setitem(ENCODERS, "nss", seen)
    plain = data()
    _, result = fit_run(plain, "nss", tmp_path, How(trials=2))
    assert result["seen_by"] == []
    assert "was trained on" not in result_table([result])
    koniq = plain._replace(database=dataclasses.replace(plain.database, name="koniq"))
    _, result = fit_run(koniq, "nss", tmp_path, How(trials=2))
    assert result["seen_by"] == ["nss"]
    assert "nss was trained on this database" in result_table([result])


def two_targets() -> list[Data]:
    """The usual data with a second kind of score, for which lower is better."""
    one = data()
    other = 80 - one.y + 5 * one.X[:, 3]
    table = one.database.table.assign(dmos_noise=other)
    targets = one.database.targets | {"dmos_noise": Target(0, 100, higher_is_better=False)}
    cached = dataclasses.replace(one.database, table=table, targets=targets)
    one = one._replace(database=cached)
    return [one, one._replace(y=other, target="dmos_noise")]


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_targets_together_are_the_targets_alone(tmp_path, regressor):
    """Sharing the work on the pictures moves no number; what is done is not done again."""
    both, how = two_targets(), How(regressor, trials=3, folds=2)
    alone = [fit_run(one, "nss", tmp_path / "alone", how)[0] for one in both]
    told = []
    together = fit_runs(both, "nss", tmp_path / "both", how, Where(on_trial=told.append))
    assert sum(told) == 2 * 3 * 3
    for (folder, result), expected in zip(together, alone, strict=True):
        assert numbers(folder) == numbers(expected)
        assert result["higher_is_better"] == (result["target"] == "mos")
    (together[1][0] / "result.json").unlink()
    told.clear()
    fit_runs(both, "nss", tmp_path / "both", how, Where(on_trial=told.append))
    assert sum(told) == 3 * 3


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_is_what_the_study_maximised(tmp_path, objective):
    """The chosen parameters are those of the study's best trial, and their value is told."""
    folder, result = fit_run(data(), "nss", tmp_path, How(trials=5, folds=2, objective=objective))
    study = Journals(folder / "studies").open("fold-0")
    assert abs(study.best_value) == result["folds"][0][f"inner_{objective}"]
    assert study.best_params == result["folds"][0]["params"]
    assert (objective == "rmse") == (study.best_value < 0)


def test_targets_share_work_in_another_process(tmp_path, monkeypatch):
    """The kernels of a fold are made once for two targets, and gone after it."""
    made = tmp_path / "made"
    real = SVRPrepared._pairs

    def counted(self, distances):
        with open(made, "a") as file:
            file.write(".")
        return real(self, distances)

    monkeypatch.setattr(SVRPrepared, "_pairs", counted)
    kept = []
    monkeypatch.setattr(fitting, "tuners", lambda *a: kept.extend(tuners(*a)) or kept)
    fit_runs(two_targets(), "nss", tmp_path, How("svr", trials=3, folds=2), Where(jobs=1))
    assert made.read_text() == "." * 3  # two folds and all data
    assert all("distances" not in vars(tuner.prepared) for tuner in kept)


def test_embeddings_that_are_not_finite_are_named(tmp_path):
    """By the names of their pictures."""
    bad = data()
    bad.X[[3, 7], 2] = np.nan, np.inf
    with pytest.raises(DataError, match=r"2 embeddings .* p003.png, p007.png"):
        fit_run(bad, "nss", tmp_path, How(trials=2))
