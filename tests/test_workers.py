"""Workers as processes: that really die, are really alone, and leave nothing."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import write_plan
from fake_worker import Recipe, plan, rows_of

from features import driver, engine
from features.errors import InputError, UsageError
from features.plan import Block
from features.runtime import Runtime
from features.worker_process import WorkerError
from features.workers import Inline, Processes

FAKE = "fake_worker:Worker"
REASON = "the process that read it died (signal 11, SIGSEGV), twice"


@pytest.fixture
def processes():
    """Make pools of processes, of which none is left at the end."""
    pools = []

    def processes(*recipes):
        pools.append(Processes(recipes, FAKE))
        return pools[-1]

    yield processes
    for pool in pools:
        pool.close()


def expected(tmp_path, blocks, **deeds):
    """What comes of blocks in this process."""
    folder = tmp_path / "expected"
    folder.mkdir(exist_ok=True)
    with Inline(Recipe(folder, deeds), FAKE) as pool:
        return rows_of(driver.run(blocks, pool))


def starts(folder):
    """Return the processes that were workers."""
    return [int(line) for line in (folder / "starts").read_text().split()]


def alive(pid):
    """Tell whether there is such a process, zombies too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pids, seconds=10.0):
    """Wait for processes to end and be reaped, by whoever has to."""
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_processes_give_what_this_process_gives(tmp_path, processes):
    """Two of them; each does some; the pool can be used twice, and leaves no process."""
    deeds = dict.fromkeys(("000", "010"), "slow")  # so that each gets some
    pool = processes(Recipe(tmp_path, deeds, number=1), Recipe(tmp_path, deeds, number=2))
    blocks = plan(100)
    for _ in range(2):
        assert rows_of(driver.run(blocks, pool)) == expected(tmp_path, blocks)
    embedded = (tmp_path / "embedded").read_text().splitlines()
    assert {line.split()[0] for line in embedded} == {"1", "2"}
    assert os.getpid() not in starts(tmp_path)
    pool.close()
    assert gone(starts(tmp_path))


def test_inline(tmp_path):
    """It is this process; closing closes the worker."""
    assert len(expected(tmp_path, plan(20))) == 20
    assert starts(tmp_path / "expected") == [os.getpid()]
    assert (tmp_path / "expected" / "closed").exists()


def test_killed_once(tmp_path, processes):
    """A death by chance moves no bit."""
    pool = processes(Recipe(tmp_path, {"020": "kill once"}))
    assert rows_of(driver.run(plan(60), pool)) == expected(tmp_path, plan(60))
    assert len(starts(tmp_path)) == 2


@pytest.mark.slow
def test_a_picture_that_kills(tmp_path, processes):
    """It is a row with the signal; the rest of its block is embedded in one batch."""
    pool = processes(Recipe(tmp_path, {"020": "kill"}))
    results = rows_of(driver.run(plan(60), pool))
    assert results.pop("020") == REASON
    assert len(results) == 59
    polite = [type(b)(b.pictures, refused={"020": REASON}) for b in plan(60)[2:3]]
    again = expected(tmp_path, polite)
    assert all(results[name] == again[name] for name in again if name != "020")


@pytest.mark.slow
def test_a_block_that_needs_too_much(tmp_path, processes):
    """Killed as the kernel does when memory is out: its pictures come one by one."""
    pool = processes(Recipe(tmp_path, {"003": "too many"}))
    results = rows_of(driver.run(plan(16), pool))
    assert not [result for result in results.values() if isinstance(result, str)]
    assert results["008"] == expected(tmp_path, plan(16))["008"]


def test_memory_error_counts_as_a_death(tmp_path, processes):
    """The block is done again by a fresh process."""
    pool = processes(Recipe(tmp_path, {"003": "memory once"}))
    assert rows_of(driver.run(plan(16), pool)) == expected(tmp_path, plan(16))
    assert len(starts(tmp_path)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "deed, kind, message",
    [
        ("input", InputError, "expected a cat, got a dog"),
        ("usage", UsageError, "no such option"),
        ("odd", InputError, "two things are wrong"),
        ("bug", WorkerError, "ZeroDivisionError"),
    ],
)
def test_errors_travel(tmp_path, processes, deed, kind, message):
    """While embedding and while starting; of ours the message alone, of a bug its traceback."""
    for recipe in (Recipe(tmp_path, {"000": deed}), Recipe(tmp_path, start=deed)):
        with pytest.raises(kind, match=message) as error:
            list(driver.run(plan(8), processes(recipe)))
        assert type(error.value) is kind
        assert ("Traceback" in str(error.value)) == (kind is WorkerError)
    assert gone(starts(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("start, reason", [("exit", "exit code 3"), ("kill", "SIGSEGV")])
def test_processes_that_cannot_start(tmp_path, processes, start, reason):
    """A few tries, then one clear line."""
    with pytest.raises(InputError, match=f"a worker died 3 times .*{reason}") as error:
        list(driver.run(plan(80), processes(Recipe(tmp_path, start=start))))
    assert "\n" not in str(error.value)
    assert len(starts(tmp_path)) == driver.STARTS


def test_no_room_for_a_process(tmp_path, monkeypatch):
    """What the system says, in one line."""

    def full(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(InputError, match="cannot be started: .*unavailable; free some memory"):
        Processes([Recipe(tmp_path)], FAKE)


def test_a_recipe_that_cannot_be_read(tmp_path):
    """A worker that is not there is a fault in the program."""
    with Processes([Recipe(tmp_path)], "fake_worker:Nobody") as pool, pytest.raises(WorkerError):
        list(driver.run(plan(8), pool))


def test_given_up_by_the_caller(tmp_path, processes):
    """What came is the caller's; workers end, though they are in the middle of something."""
    pool = processes(Recipe(tmp_path, {"030": "stuck"}))
    done = driver.run(plan(80), pool)
    first = [next(done), next(done)]
    began = time.monotonic()
    done.close()
    assert len(rows_of(first)) == 16
    assert time.monotonic() - began < 60  # it is stuck for ten times that
    assert gone(starts(tmp_path))


SCRIPT = """
import sys, time
from pathlib import Path
from fake_worker import Recipe, plan
from features import driver
from features.workers import Processes
print("script", file=sys.stderr, flush=True)
assert "torch" not in sys.modules
pool = Processes([Recipe(Path(sys.argv[1]), {"030": sys.argv[2]})], "fake_worker:Worker")
kept = 0
try:
    for done in driver.run(plan(80), pool):
        kept += 1
        print("ready", flush=True)
finally:
    print("kept", kept, flush=True)
"""


@pytest.fixture
def script(tmp_path):
    """Start scripts without a main guard, as files, in sessions of their own."""
    started = []

    def script(deed, text=SCRIPT):
        path = tmp_path / "script.py"
        path.write_text(text)
        ours = subprocess.Popen(
            [sys.executable, str(path), str(tmp_path), deed],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        watch = threading.Timer(60, ours.kill)  # should it hang, so does no test
        watch.start()
        started.append((ours, watch))
        return ours

    yield script
    for ours, watch in started:
        watch.cancel()
        ours.kill()
        ours.communicate()


def test_a_script_without_main_guard(script):
    """It runs once; what workers say goes to its stderr, and results alone to its stdout."""
    ours = script("shout")
    out, errors = ours.communicate(timeout=60)
    assert ours.returncode == 0, errors
    assert errors.count("script") == 1
    assert "a word from the worker" in errors and "a word" not in out
    assert out.endswith("kept 10\n")


@pytest.mark.slow
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_us(tmp_path, script, signal_):
    """However we end, and whatever they do at the time."""
    ours = script("stuck")
    for _ in range(2):
        assert ours.stdout.readline() == "ready\n"
    (worker,) = starts(tmp_path)
    assert alive(worker)
    os.killpg(ours.pid, signal_)  # Ctrl-C goes to all of a group
    out, errors = ours.communicate(timeout=20)
    assert gone([worker], 5)
    if signal_ == signal.SIGINT:
        assert "kept 2" in out  # it hangs in the third block, which reads ahead
        assert errors.count("KeyboardInterrupt") == 1


@pytest.mark.slow
def test_a_worker_that_holds_the_interpreter_ends_with_us(tmp_path, script):
    """A decoder that never returns cannot see that the socket is closed; the kernel can."""
    hold = "import ctypes; ctypes.PyDLL(None).sleep(600)"  # PyDLL keeps the interpreter's lock
    text = SCRIPT.replace('"fake_worker:Worker"', '"holds:Worker"')
    (tmp_path / "holds.py").write_text(
        f"import fake_worker\nclass Worker(fake_worker.Worker):\n"
        f"    def embed(self, *a):\n        {hold}\n"
    )
    ours = script("-", text)
    end = time.monotonic() + 30
    while not (tmp_path / "starts").exists() and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    (worker,) = starts(tmp_path)
    ours.kill()
    ours.communicate(timeout=20)
    assert gone([worker], 5)


def test_started_from_a_thread_that_ends(tmp_path, processes):
    """The kernel's watch is on the thread that starts a process: here it must not be set."""
    pools = []
    thread = threading.Thread(target=lambda: pools.append(processes(Recipe(tmp_path))))
    thread.start()
    thread.join()
    assert len(rows_of(driver.run(plan(20), pools[0]))) == 20
    assert len(starts(tmp_path)) == 1


@pytest.mark.parametrize("set_by_user", [None, "1000"])
def test_memory_settings_of_workers_alone(tmp_path, processes, monkeypatch, set_by_user):
    """They are those of the workers, not ours, and the user's come first."""
    name = "MALLOC_MMAP_THRESHOLD_"
    monkeypatch.delenv(name, raising=False)
    if set_by_user:
        monkeypatch.setenv(name, set_by_user)
    pool = processes(Recipe(tmp_path, {"030": "stuck"}))
    done = driver.run(plan(80), pool)
    next(done)
    (worker,) = starts(tmp_path)
    environment = Path(f"/proc/{worker}/environ")
    if not environment.exists():
        pytest.skip("there is no /proc")
    assert f"{name}={set_by_user or 4000000000}\0" in environment.read_text()
    assert os.environ.get(name) == set_by_user
    with contextlib.closing(done):
        pass


@pytest.mark.slow
def test_killed_workers_among_others(tmp_path, processes):
    """Killed from outside, whatever they do at the time: nothing differs."""
    deeds = {f"{index:03}": "slow" for index in range(0, 160, 16)}
    pool = processes(Recipe(tmp_path, deeds, number=1), Recipe(tmp_path, deeds, number=2))
    results = []
    for count, one in enumerate(driver.run(plan(160), pool)):
        results.append(one)
        if count in (2, 9):
            os.kill(next(filter(alive, starts(tmp_path))), signal.SIGKILL)  # the oldest
    assert rows_of(results) == expected(tmp_path, plan(160))
    assert len(starts(tmp_path)) >= 3


@pytest.mark.slow
def test_the_engine_in_processes(tmp_path):
    """The worker that pools make unasked, on real pictures: the rows are those of this process."""
    pictures = write_plan(tmp_path / "pictures", 20)
    blocks_ = [Block(tuple(pictures[start : start + 8])) for start in range(0, 20, 8)]
    recipe = engine.Recipe(("nss",), tmp_path, (Runtime(),))
    with Inline(recipe) as here, Processes([recipe, recipe]) as there:
        ours, theirs = (
            {row.name: row for done in driver.run(blocks_, pool) for row in done.rows["nss"]}
            for pool in (here, there)
        )
    assert ours.keys() == theirs.keys() == {picture.name for picture in pictures}
    for name, row in ours.items():
        assert theirs[name].facts == row.facts
        np.testing.assert_array_equal(theirs[name].result, row.result)
