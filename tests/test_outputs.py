"""Scores as CSV and as Parquet: the same rows, and what is refused."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from drawn import score, write_folder, write_run
from test_commands import call

from features.errors import InputError
from features.plan import Picture
from pipeline.outputs import FORMATS, Table, check_names


@pytest.fixture
def run_path(tmp_path):
    """A run whose head is drawn."""
    return write_run(tmp_path / "run")


@pytest.fixture
def folder(tmp_path):
    """Pictures to score."""
    return write_folder(tmp_path / "pictures")


def test_a_file_is_what_stdout_is(capsys, tmp_path, run_path, folder):
    """The same rows in the same order."""
    score(capsys, run_path, folder, tmp_path / "s.csv")
    _, out, _ = call(capsys, "score", "--run", run_path, folder)
    assert (tmp_path / "s.csv").read_text() == out
    assert len(out.splitlines()) == 21


def test_parquet_is_the_csv(capsys, tmp_path, run_path, folder):
    """Equal rows by two readers; types, nothing for what is not there, and what it all means."""
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    score(capsys, run_path, folder, tmp_path / "s.csv")
    score(capsys, run_path, folder, tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "picture": "string",
        "score": "double",
        "low": "double",
        "high": "double",
        "outside": "bool",
        "status": "string",
    }
    ours = table.to_pylist()
    expected = pd.read_csv(tmp_path / "s.csv", keep_default_na=False, dtype=str).to_dict("records")
    assert len(ours) == len(expected) == 20
    for one, other in zip(ours, expected, strict=True):
        assert (one["picture"], one["status"]) == (other["picture"], other["status"])
        assert {True: "yes", False: "no"}[one["outside"]] == other["outside"]
        for name in ("score", "low", "high"):
            assert ("" if one[name] is None else f"{one[name]:.4f}") == other[name]
    assert sum(one["score"] is None for one in ours) == 1
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert about["run"] == str(run_path.resolve()) and about["target"] == "mos"
    assert about["direction"] == "higher is better" and about["numpy"] == np.__version__


def test_outside_may_be_unknown(tmp_path):
    """Few-shot scores say nothing of it: null in Parquet, empty in CSV."""
    pq = pytest.importorskip("pyarrow.parquet")
    names, numbers = np.array(["a", "b"], object), np.array([[1.0, np.nan, np.nan]] * 2)
    status = np.array(["ok", "ok"], object)
    table = Table(names, numbers, np.array([-1, 1], np.int8), status)
    (tmp_path / "s.parquet").write_bytes(FORMATS[".parquet"](table, {}))
    assert pq.read_table(tmp_path / "s.parquet")["outside"].to_pylist() == [None, True]
    assert FORMATS[".csv"](table, {}).decode().splitlines()[1:] == [
        "a,1.0000,,,,ok",
        "b,1.0000,,,yes,ok",
    ]


def test_wrong_outputs_are_refused_before_any_work(capsys, tmp_path, run_path, folder, monkeypatch):
    """An ending, a folder, what is read itself, and Parquet without pyarrow: exit code 2."""
    monkeypatch.setattr("pipeline.score.collect", lambda *_: pytest.fail("work was begun"))
    arguments = ("score", "--run", run_path, folder, "-o")
    for output in ("s.xlsx", "parquet", "no/such/s.csv"):
        code, _, err = call(capsys, *arguments, tmp_path / output)
        assert code == 2 and "expected a" in err
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, _, err = call(capsys, *arguments, tmp_path / "s.parquet")
    assert code == 2 and "pip install 'meanopinion[parquet]'" in err and ".csv" in err


def test_names_that_parquet_cannot_hold(tmp_path):
    """A file's name need not be UTF-8."""
    odd = Picture(os.fsdecode(b"p\xff.png"), tmp_path)
    check_names(tmp_path / "s.csv", [odd])
    with pytest.raises(InputError, match=r"Parquet takes UTF-8.*\.csv"):
        check_names(tmp_path / "s.parquet", [odd])


def test_json_is_a_summary(capsys, tmp_path, run_path, folder):
    """Counts, rates, and where the time went."""
    out, _ = score(capsys, run_path, folder, tmp_path / "s.csv", "--json")
    summary = json.loads(out)
    assert [summary[name] for name in ("pictures", "scored", "failed", "resumed")] == [20, 19, 1, 0]
    assert set(summary["seconds"]) == {"decode", "compute", "idle", "write", "total"}
    assert summary["pictures_per_second"] > 0 and summary["megapixels_per_second"] > 0
