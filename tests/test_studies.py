"""Studies that several processes share: nothing twice, nothing lost, whatever holds them."""

import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from postgres import server
from test_fitting import data, numbers, start

from features.errors import InputError, UsageError
from pipeline.fitting import fit_run
from pipeline.settings import How, Where
from pipeline.studies import Journals, Shared

HOLDER = """
import sys
import time
sys.path.insert(0, {root!r})
from pathlib import Path
from pipeline.studies import Journals, Shared
with {studies}.claim("fold-0") as held:
    print(held, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def postgres():
    """The URL of a real server."""
    with server() as url:
        yield url


@pytest.fixture(params=["journals", "sqlite", "postgresql"])
def studies(request, tmp_path):
    """The studies of one run, in each kind of storage, and the code that makes them again."""
    if request.param == "journals":
        return Journals(tmp_path), f"Journals(Path({str(tmp_path)!r}))"
    url = f"sqlite:///{tmp_path}/studies.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres")
    return Shared(url, f"own/{tmp_path.name}"), f"Shared({url!r}, 'own/{tmp_path.name}')"


def test_a_claim_is_held_by_one(studies):
    """A second claim of the same study fails, one of another study does not."""
    ours, _ = studies
    with ours.claim("fold-0") as held, ours.claim("fold-0") as again, ours.claim("fold-1") as other:
        assert (held, again, other) == (True, False, True)
    with ours.claim("fold-0") as held:
        assert held
    with pytest.raises(ZeroDivisionError), ours.claim("fold-0"):
        raise ZeroDivisionError
    with ours.claim("fold-0") as held:
        assert held


def test_a_claim_dies_with_its_process(studies):
    """What a killed process held is free at once; what a living one holds is not."""
    ours, code = studies
    script = HOLDER.format(root=str(ROOT), studies=code)
    holder = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"True\n"
        with ours.claim("fold-0") as held:
            assert not held
        os.kill(holder.pid, signal.SIGKILL)
    while not ours.is_free("fold-0"):
        time.sleep(0.05)
    with ours.claim("fold-0") as held:
        assert held


def test_studies_travel(studies):
    """They are the same in another process, and hold their trials."""
    ours, _ = studies
    study = ours.open("fold-0")
    study.enqueue_trial({"alpha": 1.0})
    again = pickle.loads(pickle.dumps(ours)).open("fold-0")
    assert len(again.trials) == 1
    assert again.study_name.rsplit("/", 1)[-1] == "fold-0"


def test_another_run_is_another_study(postgres):
    """Runs share a database and nothing in it."""
    one, two = Shared(postgres, "own/a"), Shared(postgres, "own/b")
    one.open("fold-0").enqueue_trial({"alpha": 1.0})
    assert len(two.open("fold-0").trials) == 0
    with one.claim("fold-0") as held, two.claim("fold-0") as other:
        assert held and other


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_runs_that_make_the_tables_at_once(kind, request, tmp_path):
    """Four runs find a fresh database at the same moment: none of them fails."""
    url = f"sqlite:///{tmp_path}/fresh.db"
    if kind == "postgresql":
        psycopg = pytest.importorskip("psycopg")
        base = request.getfixturevalue("postgres")
        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute("CREATE DATABASE fresh")
        url = base.replace("/postgres", "/fresh")
    code = "import sys; sys.path.insert(0, {!r}); from pipeline.studies import Shared; "
    code += "Shared({!r}, sys.argv[1]).open('fold-0')"
    script = code.format(str(ROOT), url)
    runs = [subprocess.Popen([sys.executable, "-c", script, f"own/{k}"]) for k in range(4)]
    assert [run.wait(120) for run in runs] == [0, 0, 0, 0]


def test_a_claim_that_the_server_dropped_is_noticed(postgres):
    """A process whose connection is gone stops, before another does the same work."""
    psycopg = pytest.importorskip("psycopg")
    shared = Shared(postgres, "own/dropped")
    with pytest.raises(InputError, match="storage"), shared.claim("fold-0") as held:
        assert held
        shared.check()
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            )
        shared.check()


@pytest.mark.slow
def test_two_processes_on_one_server_and_one_killed(postgres, tmp_path):
    """They share the folds through the server; the result is that of one alone, with journals."""
    whole, _ = fit_run(data(), "nss", tmp_path / "whole", How(trials=20))
    # two hosts: each has its own folder of runs
    runs = [tmp_path / "a", tmp_path / "b"]
    first, second = (start(folder, storage=postgres) for folder in runs)
    found = Shared(postgres, whole.relative_to(tmp_path / "whole").as_posix())
    while len(found.open("fold-0").trials) < 15:
        assert first.poll() is None
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert second.wait(120) == 0
    run = runs[1] / whole.relative_to(tmp_path / "whole")
    assert numbers(run) == numbers(whole)
    trials = [len(found.open(f"fold-{k}").trials) for k in range(10)]
    # one trial of the killed process may have been left running, and was made again
    assert sum(trials) in (200, 201) and max(trials) <= 21
    again, _ = fit_run(data(), "nss", runs[0], How(trials=20), Where(postgres))
    assert numbers(again) == numbers(whole)
    for process in (first, second):
        process.stdout.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "expected a URL"),
        ("oracle://me:secret@host/x", "oracle has no advisory locks"),
        ("sqlite://", "the path of a file"),
        ("sqlite:///:memory:", "the path of a file"),
        ("postgresql://me:secret@host:port/x", "expected a URL"),
        ("postgresql://me:se@secret@host/x", "%40"),
        ("postgresql+nodriver://me:secret@host/x", "nodriver"),
    ],
)
def test_a_bad_url_is_one_line(url, message):
    """What was expected, and never the password."""
    shared = Shared(url, "own")
    with pytest.raises(UsageError, match=message) as told, shared.claim("fold-0"):
        pass
    assert "secret" not in str(told.value)


def test_a_server_that_is_not_there(tmp_path):
    """Is named, without the password."""
    pytest.importorskip("psycopg")
    shared = Shared("postgresql://me:secret@127.0.0.1:9/x", "own")
    with pytest.raises(InputError, match="me:") as told:
        fit_run(data(), "nss", tmp_path, How(trials=2), Where(shared.url))
    assert "secret" not in str(told.value) and "\n" not in str(told.value)
