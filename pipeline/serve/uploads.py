"""Where uploads lie: a folder that goes with the page, however the page ends."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from features.files import locked

PREFIX = "meanopinion-uploads-"


@contextlib.contextmanager
def uploads_folder() -> Iterator[Path]:
    """Yield a new folder, removed at the end; what killed pages left of theirs is removed first."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name,
        locked(Path(name)),
    ):
        yield Path(name)


def _is_left(folder: Path) -> bool:
    """Tell whether a folder is ours and no process holds it: a lock dies with its holder."""
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        with open(folder / ".lock") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or gone, or so new that its lock is still to come
        return False
    return True
