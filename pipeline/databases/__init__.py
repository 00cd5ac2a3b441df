"""The databases. To add one: a file with a reader beside this one, and a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from features.errors import UsageError, unknown_name
from features.places import expand
from pipeline.databases.own import own_name, read_csv, read_folder
from pipeline.databases.pcuid import read_pcuid
from pipeline.databases.sample import read_sample
from pipeline.databases.table import Database, Target

__all__ = [
    "DATABASES",
    "Database",
    "Known",
    "Target",
    "aliases",
    "cache_name",
    "known_name",
    "locate",
]


@dataclass(frozen=True)
class Known:
    """A database that we can read: its reader takes the root folder."""

    read: Callable[[Path], Database]
    summary: str
    aliases: tuple[str, ...] = ()
    embedded: bool = False  # built on first use instead of downloaded


DATABASES: dict[str, Known] = {
    "sample": Known(
        read_sample,
        "embedded smoke test: distorted photographs, scored by a metric and not by people",
        embedded=True,
    ),
    "pcuid": Known(read_pcuid, "PCUID: 300 underwater photographs, MOS 0..100", ("pcuid300",)),
}


def known_name(db: str) -> str | None:
    """Return the table's name for what a user typed, or None."""
    text = db.lower()
    return next((n for n, known in DATABASES.items() if text in (n, *known.aliases)), None)


def aliases(name: str) -> tuple[str, ...]:
    """Return the other names of a database; none for a user's own."""
    return DATABASES[name].aliases if name in DATABASES else ()


def cache_name(db: str) -> str:
    """Return the name of a database's folder in the cache: for a name, an alias, or a path."""
    path = expand(db)
    return known_name(db) or (own_name(path.resolve()) if path.exists() else db)


def locate(db: str, root: str | Path | None, data: Path) -> Callable[[], Database]:
    """Find a database by name, a folder of pictures, or a CSV; return what reads it.

    Parameters
    ----------
    db : a name of `DATABASES`, an alias, or a path
    root : its folder; data/<name or alias> when not given
    data : the place where databases lie

    Raises
    ------
    UsageError
        When no such name, folder or file exists.
    """
    if not db:
        raise UsageError(f"--db is empty: expected {', '.join(DATABASES)}, a folder or a CSV")
    root = expand(root).resolve() if root else None
    name = known_name(db)
    if name:
        known = DATABASES[name]
        folders = [data / alias for alias in (name, *known.aliases)]
        folder = root or next((f for f in folders if f.is_dir()), folders[0])
        if not folder.is_dir() and not known.embedded:
            raise UsageError(
                f"there is no folder {folder}: name the folder of {name} with --root, or put it "
                f"at {folders[0]}"
            )
        return partial(known.read, folder)
    path = expand(db)
    if path.is_dir():
        if root:
            raise UsageError("--root goes with the name of a database or a CSV, not with a folder")
        return partial(read_folder, path.resolve())
    if path.is_file():
        return partial(read_csv, path.resolve(), root)
    if path.suffix or "/" in db:
        raise UsageError(f"--db {db}: there is no such folder or CSV file")
    raise unknown_name("database", db, DATABASES)
