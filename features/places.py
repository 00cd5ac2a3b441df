"""Where things lie on this disk: cache/ runs/ weights/ data/, all under one home folder."""

import os
from pathlib import Path

PLACES = ("cache", "runs", "weights", "data")


def home() -> Path:
    """Return $MEANOPINION_HOME, else the nearest folder upwards that has a cache/, else here."""
    chosen = os.environ.get("MEANOPINION_HOME")
    if chosen:
        return Path(chosen).expanduser().resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "cache").is_dir()), here)


def place(kind: str, chosen: str | os.PathLike | None = None) -> Path:
    """Return the folder for `kind` (one of `PLACES`): the one chosen, else the one under home."""
    if kind not in PLACES:
        raise ValueError(f"expected one of {', '.join(PLACES)}, got {kind!r}")
    return Path(chosen).expanduser().resolve() if chosen else home() / kind
