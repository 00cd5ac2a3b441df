"""Workers on this machine: this process itself, or several processes of their own.

A process is not forked and does not run the caller's script again, as `multiprocessing` would: it
is a fresh interpreter with our `sys.path`, tied to us by a socket. When we are gone, however that
came, the socket ends, and so does the process. What it writes goes to our stderr.
"""

import collections
import contextlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Hashable, Sequence
from multiprocessing.connection import Connection, wait

from features.errors import InputError
from features.mending import Died
from features.plan import Block
from features.worker_process import Ready

# What makes a recipe into something with `embed`; a name, so that the caller need not import torch.
WORKER = "features.engine:worker"
# Without these, glibc gives the memory of every large array back and the kernel clears it anew: for
# large convolutions that is half of the time. No number depends on it.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "12000000000"}
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from features.worker_process import serve; serve(*map(int, sys.argv[2:]))"
)
_SECONDS_TO_DIE = 5.0


class Inline:
    """The pool of this process alone: its worker lives as long as we do."""

    def __init__(self, recipe: object, worker: str = WORKER) -> None:
        self._worker = pkgutil.resolve_name(worker)(recipe)
        self._given: collections.deque = collections.deque()

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def workers(self) -> Sequence[Hashable]:
        """Return the one worker."""
        return (0,)

    def coming(self) -> bool:
        """Return False."""
        return False

    def submit(self, worker: Hashable, block: Block, ahead: Block | None) -> None:
        """Keep the block for `wait`."""
        self._given.append((block, ahead))

    def wait(self) -> list[tuple[Hashable, object]]:
        """Embed the next block; what it raises, this raises."""
        return [(0, self._worker.embed(*self._given.popleft()))]

    def restart(self, worker: Hashable) -> None:
        """Do nothing: who would do it?"""

    def close(self) -> None:
        """Forget what was given, and let the worker's threads go."""
        self._given.clear()
        self._worker.close()


class _Process:
    """A worker's process, as we see it."""

    def __init__(self, recipe: object, worker: str) -> None:
        ours, its = socket.socketpair()
        with its:
            # only the thread that starts a process is what PR_SET_PDEATHSIG calls its parent
            parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
            path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
            command = [sys.executable, "-P", "-u", "-c", _START, path]
            try:
                self.process = subprocess.Popen(
                    [*command, str(its.fileno()), str(parent)],
                    pass_fds=[its.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # ours is for results
                    env=MALLOC | os.environ,
                    process_group=0,  # Ctrl-C is for us to answer
                )
            except OSError as error:
                ours.close()
                raise InputError(
                    f"a worker's process cannot be started: {error}; free some memory or end other "
                    "processes, then give the same command to go on"
                ) from error
        self.connection = Connection(ours.detach())
        self.started = False
        self.send((worker, recipe))

    def send(self, message: object) -> None:
        """Send a message; should the process be dead, `answer` will say so."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def answer(self) -> object:
        """Receive an answer, or how the process died."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):  # the latter in the middle of an answer
            return Died(_cause(self.end(_SECONDS_TO_DIE)), self.started)

    def end(self, seconds: float = 0) -> int:
        """End the process and return its exit code, below zero for a signal.

        Parameters
        ----------
        seconds : that it is given to end by itself, where it seems to
        """
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        self.process.kill()  # it has nothing that is worth a farewell
        return self.process.wait()


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    known = {int(known): known.name for known in signal.Signals}
    return f"signal {-code}" + (f", {known[-code]}" if -code in known else "")


class Processes:
    """A pool of processes on this machine, one for each recipe: one for each GPU, say.

    Parameters
    ----------
    recipes : what each worker is made of; can be pickled
    worker : `module:name` of what makes a worker of a recipe
    """

    def __init__(self, recipes: Sequence[object], worker: str = WORKER) -> None:
        self._recipes, self._worker = recipes, worker
        self._processes: dict[int, _Process] = {}
        try:
            for index in range(len(recipes)):
                self.restart(index)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def workers(self) -> Sequence[Hashable]:
        """Return all of them: what dies is started anew."""
        return range(len(self._recipes))

    def coming(self) -> bool:
        """Return False."""
        return False

    def submit(self, worker: Hashable, block: Block, ahead: Block | None) -> None:
        """Send a block; a thread of the worker takes it, whatever else that is doing."""
        self._processes[worker].send((block, ahead))

    def wait(self) -> list[tuple[Hashable, object]]:
        """Wait until there is an answer."""
        by_connection = {one.connection: index for index, one in self._processes.items()}
        answers = []
        for connection in wait(list(by_connection)):
            index = by_connection[connection]
            process = self._processes[index]
            answer = process.answer()
            if isinstance(answer, Ready):
                process.started = True
            else:
                answers.append((index, answer))
        return answers

    def restart(self, worker: Hashable) -> None:
        """Start the process of a worker, which is dead."""
        if worker in self._processes:
            self._processes.pop(worker).end()
        self._processes[worker] = _Process(self._recipes[worker], self._worker)

    def close(self) -> None:
        """End all processes. They are not asked to finish: what they have is done again."""
        processes, self._processes = list(self._processes.values()), {}
        for one in processes:
            one.end()
