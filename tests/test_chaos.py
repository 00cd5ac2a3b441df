"""Whatever dies, and whenever: the command given again ends where an undisturbed run ends."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, assert_same, picture
from PIL import Image

import features

pytestmark = pytest.mark.slow
N_PICTURES = 72
# Python runs this first in every process of a run: one picture kills whatever opens it, as a
# broken decoder does; and reading is slow (PAUSE, in seconds), so that there is something to
# interrupt.
FRAGILE = """
import os, signal, time
import PIL.Image
whole = PIL.Image.open
def fragile(file, *arguments, **more):
    head = file.read(1 << 16) if hasattr(file, "read") else b""
    if head:
        file.seek(0)
    if b"kills whoever reads this" in head:
        os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(float(os.environ.get("PAUSE", "0.02")))
    return whole(file, *arguments, **more)
PIL.Image.open = fragile
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder of pictures of several sizes, one truncated, one deadly."""
    folder = tmp_path_factory.mktemp("chaos")
    (folder / "pictures").mkdir()
    for number in range(N_PICTURES):
        size = [(40, 30), (64, 48), (33, 50)][number % 3]
        Image.fromarray(picture(number, *size)).save(folder / "pictures" / f"{number:03}.png")
    (folder / "pictures" / "truncated.png").write_bytes(
        (folder / "pictures" / "000.png").read_bytes()[:300]
    )
    deadly = folder / "pictures" / "017.png"
    deadly.write_bytes(deadly.read_bytes() + b"kills whoever reads this")
    (folder / "first").mkdir()
    (folder / "first" / "sitecustomize.py").write_text(FRAGILE)
    return folder


def command(place: Path, cache: Path, *more: str) -> list[str]:
    """An extraction with shards of eight rows."""
    return [
        *(sys.executable, "-m", "pipeline.extract", "--db", str(place / "pictures")),
        *("--features", "nss", "--cache", str(cache), "--shard-rows", "8", *more),
    ]


def environment(place: Path) -> dict[str, str]:
    """The environment of its processes."""
    path = os.pathsep.join(map(str, (place / "first", ROOT)))
    return os.environ | {"PYTHONPATH": path, "MEANOPINION_HOME": str(place)}


def start(place: Path, cache: Path, *more: str, **variables: str) -> subprocess.Popen:
    """Start an extraction in a process of its own; `variables` are of its environment."""
    return subprocess.Popen(
        command(place, cache, *more),
        env=environment(place) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(place: Path, cache: Path, *more: str) -> subprocess.CompletedProcess:
    """Extract to the end."""
    process = start(place, cache, *more)
    out, error = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def load(place: Path, cache: Path) -> features.Embeddings:
    """What the cache holds."""
    (db,) = (path.name for path in cache.iterdir() if path.is_dir())
    return features.load(db, "nss", cache)


def workers_of(process: subprocess.Popen) -> list[int]:
    """The processes that it has started."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        return [int(pid) for pid in listed.read_text().split()]
    except OSError:
        return []


def kill_worker_of(process: subprocess.Popen) -> bool:
    """Kill the worker of an extraction, and tell whether there was one: it may be between two."""
    killed = False
    for pid in workers_of(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed = True
    return killed


@pytest.fixture(scope="module")
def undisturbed(place) -> tuple[features.Embeddings, float]:
    """The result of a run that nothing disturbs, and how long one takes that is not the first."""
    for cache in ("first", "whole"):
        began = time.monotonic()
        done = run(place, place / "caches" / cache)
        assert done.returncode == 0, done.stderr
    return load(place, place / "caches" / "whole"), time.monotonic() - began


def clean(place: Path, cache: Path) -> None:
    """`cache verify` finds nothing wrong, a sample computed anew included."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cache", "verify", "--cache", str(cache)],
        env=environment(place) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_deadly_picture_is_a_row(place, undisturbed):
    """A crash of the decoder costs a retry and then one row; the others have their embeddings."""
    result, _ = undisturbed
    assert len(result.names) == N_PICTURES - 1
    assert result.failures.keys() == {"017.png", "truncated.png"}
    assert "signal 11" in result.failures["017.png"]
    clean(place, place / "caches" / "whole")


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_a_random_moment(place, undisturbed, seed):
    """The command is killed once or twice, its worker ends with it; a last run does the rest."""
    expected, seconds = undisturbed
    cache, rng = place / f"killed-{seed}", random.Random(seed)
    for _ in range(rng.choice((1, 2))):
        process = start(place, cache)
        time.sleep(rng.uniform(0.2, 0.9) * seconds)
        workers = workers_of(process)
        process.kill()
        process.communicate()
        end = time.monotonic() + 20
        while any(Path(f"/proc/{pid}/status").exists() for pid in workers):
            assert time.monotonic() < end, "a worker lives on without its parent"
            time.sleep(0.05)
    assert run(place, cache).returncode == 0
    assert_same(load(place, cache), expected)
    clean(place, cache)


@pytest.mark.parametrize("seed", range(6))
def test_a_worker_is_killed(place, undisturbed, seed):
    """The run goes on with another one, and no number differs: once or twice, at a random shard."""
    expected, _ = undisturbed
    cache, rng = place / f"worker-{seed}", random.Random(100 + seed)
    process = start(place, cache, PAUSE="0.1")
    for shards in sorted(rng.choices(range(6), k=rng.choice((1, 2)))):
        end = time.monotonic() + 60
        while len(list(cache.glob("*/nss/*/*.h5"))) < shards or not kill_worker_of(process):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))  # else the second is killed at its start, always
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert_same(load(place, cache), expected)


def test_a_full_disk(place, undisturbed):
    """One line and exit code 1 on a small file system of our own; with room, the rest comes."""
    mount = place / "small"
    mount.mkdir()
    pages = sum(
        -(-path.stat().st_size // 4096) + 1 for path in (place / "caches" / "whole").rglob("*")
    )
    small = ["mount", "-t", "tmpfs", "-o", f"size={pages * 4 * 6 // 10}k", "tmpfs", str(mount)]
    if shutil.which("mount") is None or subprocess.run(small, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        cache = mount / "cache"
        done = run(place, cache)
        lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert done.returncode == 1 and len(lines) == 1
        assert "No space left on device" in lines[0] and "Traceback" not in done.stderr
        before = load(place, cache)
        assert 0 < len(before.names) < N_PICTURES
        clean(place, cache)
        subprocess.run(["mount", "-o", "remount,size=8m", str(mount)], check=True)
        assert run(place, cache).returncode == 0
        assert_same(load(place, cache), undisturbed[0])
        clean(place, cache)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_interrupted_from_the_keyboard(place, undisturbed):
    """Ctrl-C keeps what is done, in one line, and the next run goes on from there."""
    cache = place / "interrupted"
    process = start(place, cache, PAUSE="0.2")
    end = time.monotonic() + 60
    while not list(cache.glob("*/nss/*/index.json")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in error
    assert "interrupted: what was written is whole" in error
    again = run(place, cache, "--json")
    assert 0 < json.loads(again.stdout)[0]["new"] < N_PICTURES - 1
    assert_same(load(place, cache), undisturbed[0])


def test_two_at_once(place, undisturbed):
    """The second waits for the first, says so, and finds nothing left to do."""
    cache = place / "two"
    first = start(place, cache)
    end = time.monotonic() + 60
    while not list(cache.glob("*/nss/*/.lock")):
        assert time.monotonic() < end
        time.sleep(0.05)
    second = run(place, cache)
    _, error = first.communicate(timeout=300)
    assert (first.returncode, second.returncode) == (0, 0), error
    said = "another process is writing"
    assert said in second.stderr or said in error
    counts = re.findall(r"(\d+) new", second.stdout + first.args[0])
    assert counts
    assert_same(load(place, cache), undisturbed[0])
