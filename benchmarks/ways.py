"""Ways to extract, each in a process of its own that waits for its turn.

So a way pays once for its imports, its peak memory is its own, and several alternate in one run.
The parent imports no torch, and only one process computes at a time.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A way does not work here; the message is its last word."""


class Child:
    """A process that carries out one action of `ACTIONS` after another."""

    def __init__(self, folder: Path, env: Mapping[str, str] = {}) -> None:
        """Start it; what it says besides its answers goes to a file in the folder."""
        self.begun = time.perf_counter()
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with tempfile.NamedTemporaryFile("wb", dir=folder, suffix=".log", delete=False) as log:
            self.log = Path(log.name)
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONPATH": path} | dict(env),
                text=True,
            )

    def ask(self, action: str, **arguments: object) -> dict:
        """Have an action done, and return its answer.

        Raises
        ------
        Failed
            When it raised, or the process died.
        """
        try:
            print(json.dumps({"action": action, **arguments}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            said = self.log.read_text(errors="replace").strip().splitlines()
            raise Failed(f"exit {self.process.wait()}: {said[-1] if said else 'no word'}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def ours(
    features: str,
    pictures: list[str],
    weights: str,
    engine: str,
    precision: str,
    gpu: str | None = None,
    keep: str = "",
    isolated: bool = True,
) -> dict:
    """Extract into a new cache, by default in a process of its own, as the command does.

    `keep` is a file for the embeddings, in order of name.
    """
    from features import load
    from features.extract import extract
    from features.plan import Picture
    from features.way import Way

    way = Way(engine, () if gpu is None else (gpu,), precision, isolated=isolated)
    plan = [Picture(Path(path).name, Path(path)) for path in pictures]
    with tempfile.TemporaryDirectory() as cache:
        begun = time.perf_counter()
        done = extract("benchmark", plan, features, Path(cache), Path(weights), way)
        seconds = time.perf_counter() - begun
        failures = {name: reason for each in done for name, reason in each.failures.items()}
        if failures:
            raise RuntimeError(f"{len(failures)} pictures failed: {next(iter(failures.values()))}")
        if keep:
            np.save(keep, load("benchmark", features, cache).embeddings)
    stages = {stage: s for stage, s in done[0].work.seconds.items() if stage != "total"}
    return {"seconds": seconds, "stages": stages}


def theirs(features: str, pictures: list[str], weights: str, keep: str = "") -> dict:
    """Run the published scripts, as `published` has them."""
    import published

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        embeddings, stages = published.extract(
            features, [Path(path) for path in pictures], Path(weights), Path(folder)
        )
        seconds = time.perf_counter() - begun
    if keep:
        np.save(keep, embeddings)
    return {"seconds": seconds, "stages": stages}


def write_weights(folder: str) -> dict:
    """Write the weight files that all ways read."""
    import published

    published.write_weights(Path(folder))
    return {}


def flops(features: str, width: int, height: int) -> dict:
    """Return the operations that a picture takes."""
    import published

    return {"flops": published.flops(features, width, height)}


def rates(precision: str, only: list[str] | None = None, fast: bool = False) -> dict:
    """Return GFLOP/s of matrix products, as `matrix` has them."""
    import matrix

    return matrix.rates(precision, only, fast)


def seen() -> dict:
    """Return the threads that torch takes by itself, and the GPUs that it sees."""
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"threads": torch.get_num_threads(), "gpus": names}


class Peak(threading.Thread):
    """Watches the memory of this process and of all that it starts, which may end at any time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.others = 0

    def run(self) -> None:
        """Look at the others, many times a second."""
        while True:
            pids = _descendants("self")
            self.others = max(self.others, sum(_high_water(pid) for pid in pids))
            time.sleep(0.1)


def _descendants(pid: str) -> Iterator[str]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                yield child
                yield from _descendants(child)


def _high_water(pid: str) -> int:
    """Return the most memory that a process ever had, in kB; 0 when it is gone."""
    # not getrusage: its number begins with that of the process that started this one
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0


PEAK = Peak()


def memory() -> dict:
    """Return the peak memory so far in GB: of this process, and of those that it started."""
    return {"own": _high_water("self") / 1e6, "others": PEAK.others / 1e6}


ACTIONS = {
    action.__name__: action for action in (ours, theirs, write_weights, flops, rates, seen, memory)
}


def serve() -> None:
    """Answer each line of standard input with a line, until there are no more."""
    # Libraries print, too: answers keep the real standard output for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    PEAK.start()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = ACTIONS[asked.pop("action")](**asked)
        except Exception as error:  # whatever it is, the other ways go on
            lines = str(error).splitlines() or ["no message"]
            answer = {"error": f"{type(error).__name__}: {lines[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve()
