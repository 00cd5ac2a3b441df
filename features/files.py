"""Files that are whole or absent: written beside their place, flushed to disk, then renamed."""

import contextlib
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from features.errors import InputError


def stage(name: str) -> None:
    """Mark a point in the life of a file; crash tests replace this to kill the process there."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a kill at any moment leaves the old file or the new one.

    Raises
    ------
    InputError
        When the disk is full or the folder cannot be written; nothing is left behind.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stage("before write")
        with open(aside, "wb") as file:
            file.write(data)
            stage("before flush")
            file.flush()
            os.fsync(file.fileno())
        stage("before rename")
        os.replace(aside, path)
        # The rename itself is only on disk once the folder is.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error.strerror or error}): {len(data):,} bytes were needed; "
            "make room or choose another place, then give the same command to go on"
        ) from error
    finally:  # after the rename there is nothing to remove
        with contextlib.suppress(OSError):
            aside.unlink()


def write_json(path: Path, value: object) -> None:
    """Write `value` as readable JSON, whole or not at all. NaN is refused: JSON has none."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: Path, *required: str) -> dict:
    """Read a JSON file that we wrote.

    Raises
    ------
    InputError
        When the file is missing, is no JSON, or lacks a key that it must have.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"expected the file {path}, which is not there") from None
    except OSError as error:
        raise InputError(f"{path} was damaged or changed, it is no JSON: {error}") from error
    return parse_json(data, str(path), *required)


def parse_json(data: bytes, what: str, *required: str) -> dict:
    """Read JSON that we wrote; errors as of `read_json`, about `what`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, too
        raise InputError(f"{what} was damaged or changed, it is no JSON: {error}") from error
    missing = [key for key in required if not isinstance(value, dict) or key not in value]
    if missing:
        raise InputError(f"{what} was damaged or changed, it lacks {', '.join(missing)}")
    return value


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data`, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Return the SHA-256 of `value` as canonical JSON: the same content, the same digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for one writer; a second process waits and says so. The lock dies with us."""
    handle = _lock(folder)
    while not _is_at(handle, folder / ".lock"):  # its holder removed the folder while we waited
        handle.close()
        handle = _lock(folder)
    with handle:
        yield


def _lock(folder: Path) -> IO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / ".lock", "a")  # noqa: SIM115 - held open for as long as the lock
    except OSError as error:
        raise InputError(f"cannot write in {folder} ({error.strerror}): choose another") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another process is writing {folder}: waiting for it", file=sys.stderr)
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _is_at(handle: IO, path: Path) -> bool:
    """Tell whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
