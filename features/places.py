"""Where things lie on this disk: cache/ runs/ weights/ data/, all under one home folder."""

import os
from pathlib import Path

from features.errors import UsageError

PLACES = ("cache", "runs", "weights", "data")


def expand(path: str | os.PathLike) -> Path:
    """Return a path with ~ replaced by the home folder it stands for.

    Raises
    ------
    UsageError
        When there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: {error}") from error


def home() -> Path:
    """Return $MEANOPINION_HOME, else the nearest folder upwards that has a cache/, else here."""
    chosen = os.environ.get("MEANOPINION_HOME")
    if chosen:
        return expand(chosen).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "cache").is_dir()), here)


def place(kind: str, chosen: str | os.PathLike | None = None) -> Path:
    """Return the folder for `kind` (one of `PLACES`): the one chosen, else the one under home."""
    if kind not in PLACES:
        raise ValueError(f"expected one of {', '.join(PLACES)}, got {kind!r}")
    return expand(chosen).resolve() if chosen else home() / kind
