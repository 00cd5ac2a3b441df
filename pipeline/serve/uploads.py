"""Where uploads lie: a folder that goes with the page, however the page ends."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from features.errors import InputError

PREFIX = "meanopinion-uploads-"
_TRIES = 10


@contextlib.contextmanager
def uploads_folder() -> Iterator[Path]:
    """Yield a new folder, removed at the end; what killed pages left of theirs is removed first.

    Raises
    ------
    InputError
        Where folders of temporary files cannot be locked.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove(folder, _hold(folder))
    folder, held = _new()
    try:
        yield folder
    finally:
        _remove(folder, held)


def _new() -> tuple[Path, int]:
    for _ in range(_TRIES):  # a page that starts now may take the new folder for one that was left
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        held = _hold(folder)
        if held is not None:
            return folder, held
    raise InputError(f"folders in {tempfile.gettempdir()} cannot be locked: set TMPDIR to another")


def _hold(folder: Path) -> int | None:
    """Lock a folder of ours and return its handle; None where that cannot be.

    The lock dies with its holder: a folder that can be locked is one that nobody uses.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(handle)
        if found.st_uid == os.getuid() and os.path.samestat(found, folder.lstat()):
            return handle
    os.close(handle)
    return None


def _remove(folder: Path, held: int | None) -> None:
    if held is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
