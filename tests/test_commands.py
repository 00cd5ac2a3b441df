"""The commands as a user meets them: help, output, exit codes, one line for a mistake."""

import csv
import importlib
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, write_csv, write_pictures
from PIL import Image

from features.names import slug
from pipeline import cli, fit
from pipeline.__main__ import COMMANDS
from regressors.errors import DataError


def call(capsys, command: str, *arguments) -> tuple[int, str, str]:
    """Run a command in this process: exit code, stdout, stderr."""
    module = importlib.import_module(f"pipeline.{command}")
    if not hasattr(module, "main"):  # a command with a package of its own
        module = importlib.import_module(f"pipeline.{command}.__main__")
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        cli.run(lambda _: module.main([str(argument) for argument in arguments]))
    out, err = capsys.readouterr()
    return exit_.value.code, out, err


@pytest.fixture
def rated(tmp_path):
    """A user's CSV of 40 rated pictures in 20 groups."""
    return write_csv(tmp_path / "own", 40, groups=20)


@pytest.fixture
def fitted(capsys, rated):
    """The CSV extracted with nss and fitted with few trials: (database name, run folder)."""
    code, out, err = call(capsys, "extract", "--db", rated, "--features", "nss", "--json")
    assert code == 0, err
    name = json.loads(out)[0]["db"]
    code, out, err = call(capsys, "fit", "--db", name, "--trials", 5, "--json")
    assert code == 0, err
    return name, json.loads(out)[0]["run"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(capsys, command):
    """Each command's --help runs and shows how it is called."""
    code, out, _ = call(capsys, command, "--help")
    assert code == 0
    assert f"python -m pipeline.{command}" in out


def test_package_lists_its_commands():
    """`python -m pipeline` names each command, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(f"pipeline.{command}" in done.stdout for command in COMMANDS)


def test_extract_fit_score(capsys, tmp_path, fitted):
    """The main job on a user's CSV: files of a run, table, scores equal to the head's own."""
    name, run = fitted
    assert {
        "settings.json",
        "result.json",
        "predictions.csv",
        "splits.csv",
        "studies",
        "scatter.png",
        "head.safetensors",
        "head.json",
    } <= set(os.listdir(run))
    assert Image.open(f"{run}/scatter.png").size[0] > 300
    code, out, err = call(capsys, "fit", "--db", name, "--trials", 5)
    assert code == 0 and "SRCC" in out and slug("nss") in out
    assert os.path.realpath(f"{run}/../latest") == os.path.realpath(run)

    folder = tmp_path / "new"
    write_pictures(folder, 5)
    (folder / "broken.png").write_bytes((folder / "p000.png").read_bytes()[:500])
    code, out, err = call(capsys, "score", "--run", run, folder)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and len(rows) == 6
    assert [row["status"] == "ok" for row in rows] == [False, *[True] * 5]
    assert "failed" in err and "broken.png" in err
    good = [row for row in rows if row["status"] == "ok"]
    assert all(float(row["low"]) < float(row["score"]) < float(row["high"]) for row in good)


def test_scores_do_not_depend_on_company(capsys, tmp_path, fitted):
    """A picture alone, among others, and through a CSV list has the same score."""
    _, run = fitted
    names = write_pictures(tmp_path / "new", 9)
    _, together, _ = call(capsys, "score", "--run", run, tmp_path / "new", "--json")
    _, alone, _ = call(capsys, "score", "--run", run, tmp_path / "new" / names[4], "--json")
    (tmp_path / "new" / "list.csv").write_text(f"image\n{names[4]}\n", encoding="utf-8")
    _, listed, _ = call(capsys, "score", "--run", run, tmp_path / "new" / "list.csv", "--json")
    scores = [json.loads(text) for text in (together, alone, listed)]
    assert scores[0][4]["score"] == pytest.approx(scores[1][0]["score"], rel=1e-9)
    assert scores[2][0]["score"] == scores[1][0]["score"]


def test_score_to_a_file(capsys, tmp_path, fitted):
    """-o writes CSV, whole; another ending is refused."""
    _, run = fitted
    write_pictures(tmp_path / "new", 2)
    code, out, _ = call(capsys, "score", "--run", run, tmp_path / "new", "-o", tmp_path / "s.csv")
    assert code == 0 and out == ""
    assert len(pd.read_csv(tmp_path / "s.csv")) == 2
    code, _, err = call(capsys, "score", "--run", run, tmp_path / "new", "-o", tmp_path / "s.xyz")
    assert code == 2 and "ends in .csv or .parquet" in err


def test_a_picture_unlike_the_training_data_is_flagged(capsys, tmp_path, fitted):
    """White noise at full contrast lies outside of everything that was rated."""
    _, run = fitted
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 1)).repeat(3, 2) * 255
    Image.fromarray(noise.astype(np.uint8)).save(tmp_path / "noise.png")
    _, out, _ = call(capsys, "score", "--run", run, tmp_path / "noise.png", "--json")
    assert json.loads(out)[0]["outside"] is True


def test_labels_change_without_extraction(capsys, rated, fitted):
    """New scores for the same pictures: the table is refreshed, nothing is embedded, fit is new."""
    name, run = fitted
    table = pd.read_csv(rated)
    table["mos"] = table["mos"].max() - table["mos"]
    table.to_csv(rated, index=False)
    _, out, _ = call(capsys, "extract", "--db", rated, "--features", "nss", "--json")
    assert json.loads(out)[0]["new"] == 0
    _, out, _ = call(capsys, "fit", "--db", name, "--trials", 5, "--json")
    assert json.loads(out)[0]["run"] != run


def test_a_failed_picture_does_not_move_the_folds(capsys, tmp_path, rated, fitted):
    """splits.csv is the same when one picture fails to decode; that picture leaves its folds."""
    name, run = fitted
    victim = rated.parent / "p007.png"
    victim.write_bytes(victim.read_bytes()[:300])
    call(capsys, "extract", "--db", rated, "--features", "nss")
    code, out, err = call(capsys, "fit", "--db", name, "--trials", 5, "--json")
    result = json.loads(out)[0]
    assert code == 0 and "p007.png" in err
    assert result["n_without_embedding"] == 1 and result["n_pictures"] == 39
    assert pd.read_csv(f"{run}/splits.csv").equals(pd.read_csv(f"{result['run']}/splits.csv"))
    assert "p007.png" not in set(pd.read_csv(f"{result['run']}/predictions.csv")["name"])


def test_strict(capsys, rated):
    """--strict makes a missing picture fatal; without it, it is named and left out."""
    (rated.parent / "p003.png").unlink()
    code, _, err = call(capsys, "extract", "--db", rated, "--features", "nss")
    assert code == 0 and "1 listed pictures are not on the disk" in err and "p003.png" in err
    code, _, err = call(capsys, "extract", "--db", rated, "--features", "nss", "--strict")
    assert code == 1 and "--strict" in err


def test_head_of_other_settings_is_refused(capsys, tmp_path, fitted):
    """A head whose encoder differs here, and a damaged head, score nothing."""
    _, run = fitted
    write_pictures(tmp_path / "new", 1)
    other = tmp_path / "other"
    shutil.copytree(run, other)
    facts = json.loads((other / "head.json").read_text())
    facts["encoders"]["nss"] = "0" * 12
    (other / "head.json").write_text(json.dumps(facts))
    code, _, err = call(capsys, "score", "--run", other, tmp_path / "new")
    assert code == 1 and "other settings or weights" in err
    (other / "head.safetensors").write_bytes(b"junk")
    code, _, err = call(capsys, "score", "--run", other, tmp_path / "new")
    assert code == 1 and "is not the one that head.json describes" in err


MISTAKES = {
    "unknown database": ("extract --db smaple", 2, "did you mean sample"),
    "unknown encoder": ("extract --db sample --features nssx", 2, "did you mean nss"),
    "unknown option": ("extract --features content-lite[pol=last]", 2, "did you mean pool"),
    "bad value": ("extract --features content-lite[pool=first]", 2, "expected one of levels, last"),
    "missing root": ("extract --db pcuid --features nss --root /no/such", 2, "/no/such"),
    "missing weights": ("extract --features reiqa", 1, "quality_aware_r50.pth .*content-lite"),
    "unknown regressor": ("fit --regressor rigde", 2, "did you mean ridge"),
    "nothing cached": ("fit", 1, "pipeline.extract first"),
    "database not cached": ("fit --db pcuid", 1, "not in the cache"),
    "no run": ("score --run nowhere x.png", 1, "no finished run"),
    "negative seed": ("fit --seed -1", 2, "expected a whole number from 0"),
    "no such user": ("extract --db ~nobodyx/pictures --features nss", 2, "nobodyx"),
    "empty name": ("extract --db= --features nss", 2, "--db is empty"),
    "no such limit": ("extract --max-megapixels nan", 2, "above 0"),
    "outside of the cache": ("fit --db ../elsewhere", 2, "unknown database"),
    "options of none": ("extract --features nss[x=1]", 2, "takes no options"),
    "zero trials": ("fit --trials 0", 2, "above 0"),
    "unknown argument": ("fit --trails 3", 2, "unrecognized"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(capsys, case):
    """The exit code, one line that says what to do, and never a traceback."""
    text, code, message = MISTAKES[case]
    command, *arguments = text.split()
    got, out, err = call(capsys, command, *arguments)
    assert got == code, err
    assert out == "" and "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert "error: " in last
    assert pd.Series([last]).str.contains(message, regex=True)[0], last


def test_a_gpu_that_is_not_there(capsys, tmp_path):
    """Asked for and missing is an error, even when there is nothing to compute."""
    torch = pytest.importorskip("torch")
    missing = torch.cuda.device_count()
    write_pictures(tmp_path / "p", 1)
    arguments = ("--db", tmp_path / "p", "--features", "nss", "--gpu", missing)
    code, _, err = call(capsys, "extract", *arguments)
    assert code == 2 and f"--gpu {missing}" in err


def test_too_few_groups(capsys, tmp_path):
    """Fewer groups than folds need: said with the number that is needed."""
    path = write_csv(tmp_path / "own", 12, groups=4)
    _, out, _ = call(capsys, "extract", "--db", path, "--features", "nss", "--json")
    code, _, err = call(capsys, "fit", "--db", json.loads(out)[0]["db"], "--trials", 2)
    assert code == 1 and "4 groups are too few" in err


def test_all_pictures_unreadable(capsys, tmp_path):
    """Every picture fails: exit 1, each with its reason; the cache keeps the rows."""
    for index in range(3):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / f"{index}.jpg").write_bytes(b"")
    code, out, err = call(capsys, "extract", "--db", tmp_path / "p", "--features", "nss")
    assert code == 1 and err.count("the file is empty") == 3 and "3 failed" in out


def test_no_traceback_in_a_process_of_its_own(own_home):
    """The real entry point, as the shell sees it."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.fit", "--regressor", "lasso"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: unknown regressor")


def test_every_cached_database_is_fitted_though_one_cannot_be(capsys, tmp_path, fitted):
    """Without --db, what cannot be fitted is named, the table of the others is printed, exit 1."""
    few = write_csv(tmp_path / "few", 5)
    _, out, _ = call(capsys, "extract", "--db", few, "--features", "nss", "--json")
    name = json.loads(out)[0]["db"]
    code, out, err = call(capsys, "fit", "--trials", 5)
    assert code == 1 and fitted[0] in out and "SRCC" in out
    assert f"not fitted: {name} nss ridge: 5 groups are too few" in err
    assert name not in out


def test_several_regressors(capsys, fitted):
    """Each named one is fitted once."""
    heads = ("--regressor", "ridge", "--regressor", "svr-linear", "--regressor", "ridge")
    code, out, err = call(capsys, "fit", "--db", fitted[0], "--trials", 5, *heads, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [one["regressor"] for one in found] == ["ridge", "svr-linear"]
    assert found[0]["run"] == fitted[1]


def test_a_regressor_that_fails_costs_no_other(capsys, fitted, monkeypatch):
    """It is named, where everything cached was asked for."""
    fit_runs = fit.fit_runs

    def broken(data, features, runs, how, *more):
        if how.regressor == "ridge":
            raise DataError("no such head today")
        return fit_runs(data, features, runs, how, *more)

    monkeypatch.setattr(fit, "fit_runs", broken)
    heads = ("--regressor", "ridge", "--regressor", "svr-linear")
    code, out, err = call(capsys, "fit", "--trials", 5, *heads, "--json")
    assert code == 1 and f"not fitted: {fitted[0]} nss ridge: no such head today" in err
    assert [one["regressor"] for one in json.loads(out)] == ["svr-linear"]


def test_a_name_that_is_not_cached_lists_each_known_one_once(capsys, own_home, fitted):
    """Cached databases and those that can be read, without repetition."""
    (own_home / "cache" / "pcuid").mkdir()
    (own_home / "cache" / "pcuid" / "table.json").write_text("{}")
    code, _, err = call(capsys, "fit", "--db", "konik")
    names = err.strip().splitlines()[-1].split("known are ")[1].split(", ")
    assert code == 2 and len(names) == len(set(names)) and fitted[0] in names


def test_a_csv_is_known_by_its_path(capsys, rated, fitted):
    """fit takes the same --db as extract; a path not extracted yet is told what to run."""
    code, out, _ = call(capsys, "fit", "--db", rated, "--trials", 5, "--json")
    assert code == 0 and json.loads(out)[0]["run"] == fitted[1]
    other = write_csv(rated.parent / "other", 3)
    code, _, err = call(capsys, "fit", "--db", other)
    assert code == 1 and f"pipeline.extract --db {other} first" in err


def test_one_name_for_two_pictures_is_refused(capsys, tmp_path, fitted):
    """Two lists whose pictures are called alike do not silently lose one of them."""
    for folder in ("a", "b"):
        write_pictures(tmp_path / folder, 1)
        (tmp_path / folder / "l.csv").write_text("image\np000.png\n")
    lists = [tmp_path / folder / "l.csv" for folder in ("a", "b")]
    code, _, err = call(capsys, "score", "--run", fitted[1], *lists)
    assert code == 2 and "two pictures are called 'p000.png'" in err


def test_the_same_file_in_two_groups_is_warned_of(capsys, rated):
    """Copies that may stand on both sides of a fold."""
    shutil.copy(rated.parent / "p001.png", rated.parent / "p002.png")
    code, _, err = call(capsys, "extract", "--db", rated, "--features", "nss")
    assert code == 0 and "p002.png = p001.png" in err


DAMAGED = {
    "result.json": "fit",
    "head.json": "score",
    "table.json": "fit",
    "table.csv": "fit",
    "index.json": "fit",
}


@pytest.mark.parametrize("file", DAMAGED)
def test_damaged_files_are_one_line(capsys, own_home, tmp_path, fitted, file):
    """Valid JSON of another shape, or another table, is said to be damaged."""
    name, run = fitted
    (path,) = [p for p in own_home.rglob(file) if "latest" not in p.parts]
    path.write_text("{}")
    write_pictures(tmp_path / "new", 1)
    arguments = {
        "fit": ("--db", name, "--features", "nss", "--trials", 5),
        "score": ("--run", run, tmp_path / "new"),
    }[DAMAGED[file]]
    code, _, err = call(capsys, DAMAGED[file], *arguments)
    assert code == 1 and "Traceback" not in err
    assert "damaged" in err or "is not the one" in err


def test_all_targets_and_other_protocols(capsys, tmp_path):
    """Several targets are several runs of one call; an optimistic run is marked in every output."""
    path = write_csv(tmp_path / "own", 40, groups=20)
    table = pd.read_csv(path)
    table.assign(dmos_noise=100 - table["mos"], split=["train", "test"] * 20).to_csv(
        path, index=False
    )
    code, _, err = call(capsys, "extract", "--db", path, "--features", "nss")
    assert code == 0, err
    arguments = ("--db", path, "--trials", 3, "--folds", 2)
    code, out, err = call(capsys, "fit", *arguments, "--target", "all", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [result["target"] for result in found] == ["mos", "dmos_noise"]
    assert all(result["size_baseline"]["n_pictures"] == 40 for result in found)
    code, out, err = call(capsys, "fit", *arguments, "--protocol", "best-on-test", "--json")
    (optimistic,) = json.loads(out)
    assert code == 0 and optimistic["optimistic"]
    picture = tmp_path / "own" / table["image"][0]
    code, out, err = call(capsys, "score", "--run", optimistic["run"], picture)
    assert code == 0 and "OPTIMISTIC" in err
    code, out, err = call(capsys, "compare", optimistic["run"], found[0]["run"])
    assert code == 2 and "protocol" in err and "Traceback" not in err
    code, out, err = call(capsys, "fit", *arguments, "--protocol", "nestet")
    assert code == 2 and "did you mean nested" in err
    code, out, err = call(capsys, "fit", "--storage", "nonsense")
    assert code == 2 and "--storage" in err
