"""What may leave a cache: what no settings of today would use, and what kills left."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.cache.folder import CacheFolder
from features.cache.packing import pack
from features.cache.survey import OTHER, Place, is_current
from features.errors import InputError
from features.files import locked


@dataclass(frozen=True)
class Removal:
    """Something to remove.

    Attributes
    ----------
    path : the folder or the file; of rows, the folder that they leave
    n_bytes : what that sets free; of rows, about
    names : of rows, those that stay
    refused : why it stays although nothing would use it
    """

    path: Path
    why: str
    n_bytes: int
    kind: str = "folder"  # or "file", "rows"
    names: frozenset[str] = frozenset()
    refused: str = ""


def removals(
    place: Place,
    cache: Path,
    weights: Path,
    used: Mapping[str, str],
    keep_rows: Collection[str] | None = None,
) -> list[Removal]:
    """Return what may leave one folder of a cache, or all of it.

    Parameters
    ----------
    used : key -> a run that refers to it
    keep_rows : the names that the database's table has; rows of others go, where it is given
    """
    folder = place.folder
    if folder is None:
        return []
    outside = _outside(folder.path, cache)
    current, why = is_current(folder.settings, weights)
    if current == OTHER:
        run = used.get(folder.key, "")
        # versions of pictures lie in the folder of their pictures, and are trained on with them
        run = run or (used.get(folder.path.parent.parent.name, "") if folder.is_augmented else "")
        refused = outside or (f"{run} was fitted on it (--force)" if run else "")
        return [Removal(folder.path, why, _size(folder.path), refused=refused)]
    try:
        strays = folder.strays()
    except InputError:
        return []  # a damaged index is mended by the next extraction
    found = [
        Removal(path, "left by a kill", path.lstat().st_size, "file", refused=outside)
        for path in strays
    ]
    if keep_rows is not None and not folder.is_augmented:
        found += _rows(folder, frozenset(keep_rows), outside)
    return found


def _rows(folder: CacheFolder, names: frozenset[str], outside: str) -> list[Removal]:
    """Return the rows that no name of the table asks for."""
    try:
        there = {name for columns in folder.columns(checked=False) for name in columns.names}
    except InputError:
        return []
    gone = there - names
    if not gone:
        return []
    size = sum((folder.path / entry["file"]).stat().st_size for entry in folder.shards())
    share = size * len(gone) // len(there)
    why = f"{len(gone)} of {len(there)} rows are of pictures that the table does not name"
    return [Removal(folder.path, why, share, "rows", names, outside)]


def remove(removal: Removal) -> None:
    """Remove it. A kill in between leaves a folder that reads as one without rows, or is whole."""
    if removal.kind == "rows":
        pack(CacheFolder(removal.path), removal.names)
        return
    if removal.kind == "file":
        with locked(removal.path.parent):  # by now, a writer may have listed it
            if removal.path in CacheFolder(removal.path.parent).strays():
                removal.path.unlink(missing_ok=True)
        return
    with locked(removal.path):
        (removal.path / "index.json").unlink(missing_ok=True)  # no reader finds it from here on
        for path in sorted(removal.path.glob("*.h5")):
            path.unlink()
        shutil.rmtree(removal.path)


def _outside(path: Path, cache: Path) -> str:
    """Say that a path leads out of the cache by a symbolic link, where it does."""
    parts = path.relative_to(cache).parts
    steps = [cache.joinpath(*parts[: n + 1]) for n in range(len(parts))]
    link = next((step for step in steps if step.is_symlink()), None)
    return f"{link} is a link to {link.resolve()}, outside of its place" if link else ""


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
