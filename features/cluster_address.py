"""The way to a Ray cluster, and what may be wrong with it, in one line."""

import contextlib
import logging
import os
import platform
import re
import socket
from pathlib import Path
from types import ModuleType

from features.errors import InputError, UsageError
from features.workers import MALLOC

_ADDRESS = re.compile(r"(?P<host>[^/\s]+):(?P<port>\d{1,5})")
# Ray speaks HTTP/2: a client's first words, then an empty frame; the fourth byte is its kind.
_SETTINGS = b"\4"
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS + b"\0\0\0\0\0"
_SECONDS_TO_CONNECT = 5.0


def connect(address: str) -> tuple[ModuleType, bool]:
    """Return Ray, connected to a cluster, and whether the connection is ours: there may be one.

    Raises
    ------
    UsageError, InputError
        When the address is none; when Ray is not installed or does not connect.
    """
    ray = _ray()
    if ray.is_initialized():
        return ray, False
    _check(address)
    environment = {name: value for name, value in MALLOC.items() if name not in os.environ}
    code = {"py_modules": [str(Path(__file__).parent)], "env_vars": environment}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=code)
    except Exception as error:  # of many types, as versions go
        raise InputError(
            f"--cluster {address}: Ray does not connect: {first_line(error)} (here are Ray "
            f"{ray.__version__} and Python {platform.python_version()}, as the cluster must have; "
            "if it wants a token, auto finds it on the head, and RAY_AUTH_TOKEN can hold it)"
        ) from error
    # What Ray has to say of dead workers it prints to stdout, which is for results; we say it.
    with contextlib.suppress(AttributeError):
        ray._private.worker._worker_logs_enabled = False
    return ray, True


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError:
        raise InputError(
            "--cluster needs Ray, which is not installed: pip install 'meanopinion[cluster]'"
        ) from None
    return ray


def _check(address: str) -> None:
    """Look whether anyone listens: Ray itself may try for minutes, or take us down with it."""
    if address in ("auto", "local"):
        return
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise UsageError(
            f"--cluster {address}: expected HOST:PORT as ray start prints it, or auto; this "
            "command runs on a machine of the cluster"
        )
    try:
        place = found["host"], int(found["port"])
        with socket.create_connection(place, _SECONDS_TO_CONNECT) as connection:
            connection.sendall(_HELLO)
            reply = b"" if os.environ.get("RAY_USE_TLS", "0") == "1" else connection.recv(9)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--cluster {address}: nothing answers there ({error}); start a cluster with "
            "ray start --head, or give the address of one"
        ) from error
    if reply and reply[3:4] != _SETTINGS:
        raise InputError(
            f"--cluster {address}: what answers there is no Ray; give the HOST:PORT that ray start "
            "--head prints"
        )


def first_line(error: Exception) -> str:
    """Return the first line of a message that has text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
