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
from pipeline.fitting import fit_run
from pipeline.results import result_table
from pipeline.runs import find_run, read_head
from pipeline.tables import CachedTable
from regressors.heads import HEADS

DRIVER = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from test_fitting import data
from pipeline.fitting import fit_run
print("ready", flush=True)
fit_run(data(), "nss", "ridge", Path({runs!r}), trials=20)
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
    arrays, _ = read_head(folder)
    files = [(folder / name).read_bytes() for name in ("predictions.csv", "splits.csv")]
    return {
        "result": result,
        "files": files,
        "head": {name: array.tolist() for name, array in arrays.items()},
    }


def test_again_is_the_same_without_refitting(tmp_path, monkeypatch):
    """A finished run is read, not computed."""
    folder, first = fit_run(data(), "nss", "ridge", tmp_path, trials=8)
    monkeypatch.setattr(fitting, "_compute", lambda *a: pytest.fail("refitted"))
    again, second = fit_run(data(), "nss", "ridge", tmp_path, trials=8)
    assert again == folder and first == second


def test_same_seed_same_numbers_elsewhere(tmp_path):
    """Two folders, one result; another seed, another study."""
    runs = [tmp_path / name for name in ("a", "b", "c")]
    one, _ = fit_run(data(), "nss", "ridge", runs[0], trials=8)
    two, _ = fit_run(data(), "nss", "ridge", runs[1], trials=8)
    other, _ = fit_run(data(), "nss", "ridge", runs[2], trials=8, seed=1)
    assert numbers(one) == numbers(two)
    assert numbers(one)["result"]["folds"] != numbers(other)["result"]["folds"]


def test_result_holds_what_scipy_says_of_the_predictions(tmp_path):
    """Fold by fold numbers are those of predictions.csv, medians those of the folds."""
    folder, result = fit_run(data(), "nss", "ridge", tmp_path, trials=8)
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
    folder, _ = fit_run(data(), "nss", "ridge", tmp_path, trials=4)
    table = pd.read_csv(folder / "splits.csv")
    for fold in [column for column in table if column.startswith("fold")]:
        sides = table.groupby("group")[fold].nunique()
        assert (sides == 1).all()
        assert 0.1 < (table[fold] == "test").mean() < 0.3


def test_head_predicts_its_own_scale(tmp_path):
    """The shared head alone, in NumPy, follows the scores of its training data."""
    folder, _ = fit_run(data(), "nss", "ridge", tmp_path, trials=8)
    arrays, facts = read_head(folder)
    predicted = HEADS[facts["kind"]](arrays, data().X)
    assert scipy.stats.spearmanr(predicted, data().y).statistic > 0.9
    assert facts["range"] == {"low": 0, "high": 100, "higher_is_better": True}


def test_random_labels_find_nothing(tmp_path):
    """300 rows of noise: the median |SRCC| stays below .2."""
    _, result = fit_run(data(300, signal_strength=0.0), "nss", "ridge", tmp_path, trials=20)
    assert abs(result["median"]["srcc"]) < 0.2


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_killed_and_resumed_is_the_same(tmp_path, share):
    """SIGKILL in the middle of the studies, then the same command: identical numbers."""
    whole, _ = fit_run(data(), "nss", "ridge", tmp_path / "whole", trials=20)
    size = (whole / "optuna.journal").stat().st_size
    runs = tmp_path / "killed"
    script = DRIVER.format(root=str(ROOT), tests=str(ROOT / "tests"), runs=str(runs))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"ready\n"
    journal = runs / whole.relative_to(tmp_path / "whole") / "optuna.journal"
    deadline = time.monotonic() + 60
    while not (journal.is_file() and journal.stat().st_size >= share * size):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (journal.parent / "result.json").exists()
    resumed, _ = fit_run(data(), "nss", "ridge", runs, trials=20)
    assert numbers(resumed) == numbers(whole)


def test_half_a_line_in_the_journal_is_mended(tmp_path, monkeypatch):
    """What a kill in the middle of a write leaves: part of a line, and a lock."""
    whole, _ = fit_run(data(), "nss", "ridge", tmp_path, trials=6)
    expected = numbers(whole)
    journal = whole / "optuna.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:40]) + lines[40][:15])
    os.symlink(journal, f"{journal}.lock")
    (whole / "result.json").unlink()
    again, _ = fit_run(data(), "nss", "ridge", tmp_path, trials=6)
    assert numbers(again) == expected


def test_finding_runs(tmp_path):
    """A run's folder, one above it, and a name under runs/ lead to it; two are told apart."""
    folder, _ = fit_run(data(), "nss", "ridge", tmp_path, trials=4)
    for path in (folder, tmp_path / "own" / "nss" / "ridge" / "mos", tmp_path / "own", Path("own")):
        assert find_run(path, tmp_path) == folder.resolve()
    fit_run(data(), "nss", "ridge", tmp_path, trials=5)
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
    _, result = fit_run(plain, "nss", "ridge", tmp_path, trials=2)
    assert result["seen_by"] == []
    assert "was trained on" not in result_table([result])
    koniq = plain._replace(database=dataclasses.replace(plain.database, name="koniq"))
    _, result = fit_run(koniq, "nss", "ridge", tmp_path, trials=2)
    assert result["seen_by"] == ["nss"]
    assert "nss was trained on this database" in result_table([result])
