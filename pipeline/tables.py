"""The database's table in the cache: cache/<db>/table.csv, and table.json beside it.

`extract` writes both; `fit` reads them. When only the labels change, `extract` refreshes them and
computes nothing.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from features.errors import InputError
from features.files import file_sha256, locked, read_json, write_atomic, write_json
from pipeline.databases.table import Database, Target


@dataclass(frozen=True)
class CachedTable:
    """What `fit` knows of a database, without its pictures."""

    name: str
    root: Path
    table: pd.DataFrame
    targets: dict[str, Target]
    group_by: str
    labels_sha256: str
    missing: list[str]
    note: str

    def target(self, name: str | None) -> str:
        """Return the target asked for, or the first one.

        Raises
        ------
        InputError
            When the database has no scores, or none of that name.
        """
        known = list(self.targets)
        if not known:
            raise InputError(
                f"{self.name} has no scores: for a head, give a CSV with the columns image and mos"
            )
        if name is not None and name not in known:
            raise InputError(f"{self.name} has no target {name!r}: it has {', '.join(known)}")
        return name or known[0]


def write_table(cache: Path, database: Database) -> Path:
    """Write the table of a database into the cache and return the folder."""
    folder = cache / database.name
    with locked(folder):
        _refuse_another(folder, database)
        facts = {
            "name": database.name,
            "root": str(database.root.resolve()),
            "labels": str(database.labels) if database.labels else None,
            "labels_sha256": file_sha256(database.labels) if database.labels else "",
            "targets": {name: asdict(target) for name, target in database.targets.items()},
            "group_by": database.group_by,
            "missing": list(database.missing),
            "unlabelled": len(database.unlabelled),
            "note": database.note,
        }
        table = database.table.sort_values("name", kind="stable")
        write_atomic(folder / "table.csv", table.to_csv(index=False).encode())
        write_json(folder / "table.json", facts)
    return folder


def _refuse_another(folder: Path, database: Database) -> None:
    """A folder of the cache belongs to one root: the same names elsewhere may be other pictures."""
    path = folder / "table.json"
    if not path.is_file():
        return
    before, now = read_json(path)["root"], str(database.root.resolve())
    if before != now and Path(before).is_dir():
        raise InputError(
            f"{folder} was made from {before}, and --root is {now}: give that root, or use another "
            "--cache for this copy"
        )


def read_cached_table(cache: Path, name: str) -> CachedTable:
    """Read the table of a database that was extracted."""
    folder = cache / name
    facts = read_json_of(folder, cache)
    table = pd.read_csv(
        folder / "table.csv",
        dtype={"name": str, "group": str},
        keep_default_na=False,
        na_values={column: [""] for column in ("mos_std", "level")},
        encoding="utf-8",
    )
    return CachedTable(
        name,
        Path(facts["root"]),
        table,
        {key: Target(**value) for key, value in facts["targets"].items()},
        facts["group_by"],
        facts["labels_sha256"],
        facts["missing"],
        facts["note"],
    )


def read_json_of(folder: Path, cache: Path) -> dict:
    """Read table.json, with an error that says how it comes about."""
    if not (folder / "table.json").is_file():
        known = ", ".join(cached_databases(cache)) or "none"
        raise InputError(
            f"the database {folder.name} is not in the cache {cache} (databases there: {known}): "
            f"run python -m pipeline.extract --db {folder.name} first"
        )
    return read_json(folder / "table.json")


def cached_databases(cache: Path) -> list[str]:
    """Return the names of the databases in a cache."""
    return sorted(path.parent.name for path in cache.glob("*/table.json"))
