"""The worker's side of a process of its own."""

import contextlib
import ctypes
import os
import pickle
import pkgutil
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from features.errors import InputError, UsageError
from features.mending import Died

_PR_SET_PDEATHSIG = 1


class WorkerError(RuntimeError):
    """A fault in the program of a worker; the message is its traceback."""


def attempt(function: Callable, *arguments: object) -> object:
    """Return what `function` returns, or what it raises in a form that any process can be sent.

    Returns
    -------
    answer : its result; our own errors as they are; `WorkerError` for others; `Died` when memory is
        short, for then the worker is not to be trusted with more
    """
    try:
        return function(*arguments)
    except MemoryError:
        return Died("out of memory")
    except InputError as error:
        return _sendable(error)
    except Exception:
        return WorkerError("in a worker:\n" + traceback.format_exc())


def _sendable(error: InputError) -> InputError:
    """Return an error of the same type and message, or the nearest type that can be pickled."""
    with contextlib.suppress(Exception):
        twin = pickle.loads(pickle.dumps(error))
        if (type(twin), str(twin)) == (type(error), str(error)):
            return error
    return (UsageError if isinstance(error, UsageError) else InputError)(str(error))


class Ready:
    """What a process says when it has its weights."""


def serve(handle: int, parent: int) -> None:
    """Be the worker of the process at the other end of a socket, until that end is closed.

    Parameters
    ----------
    handle : the file descriptor of the socket
    parent : the process that started this one; 0 when its death is not to be watched for
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us decides
    if parent:
        _die_with(parent)
    connection = Connection(handle)
    orders: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, orders), daemon=True).start()
    made = attempt(_made, orders.get())
    failed = isinstance(made, Exception | Died)
    connection.send(made if failed else Ready())
    while not failed:
        answer = attempt(_embedded, made, orders.get())
        connection.send_bytes(answer if isinstance(answer, bytes) else pickle.dumps(answer))
    threading.Event().wait()  # the answer is read before the socket is closed


def _listen(connection: Connection, orders: queue.SimpleQueue) -> None:
    """Take what comes at any time, so that whoever sends never waits, and end with the socket."""
    try:
        while True:
            orders.put(connection.recv_bytes())
    finally:
        os._exit(0)  # in the middle of a computation, too


def _made(message: bytes) -> object:
    worker, recipe = pickle.loads(message)
    return pkgutil.resolve_name(worker)(recipe)


def _embedded(worker: object, message: bytes) -> bytes:
    """Return the pickled answer: what cannot be pickled is a fault like any other."""
    return pickle.dumps(worker.embed(*pickle.loads(message)))


def _die_with(parent: int) -> None:
    """Have the kernel kill us when our parent is gone: a decoder may not let `_listen` run."""
    with contextlib.suppress(OSError, AttributeError):  # Linux has it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
