"""The database's table in the cache: cache/<db>/table.csv, and table.json beside it.

`extract` writes both; `fit` reads them. When only the labels change, `extract` refreshes them and
computes nothing.
"""

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from features.errors import InputError, unknown_name
from features.files import file_sha256, locked, read_json, sha256, write_atomic, write_json
from features.places import expand
from features.sources import Remote, Source, place_of
from pipeline.databases import DATABASES, known_name
from pipeline.databases.packed import located
from pipeline.databases.patterns import is_packed
from pipeline.databases.table import Database, Target

_FACTS = ("root", "targets", "group_by", "labels_sha256", "missing", "note", "table_sha256")


@dataclass(frozen=True)
class CachedTable:
    """What `fit` knows of a database, without its pictures."""

    name: str
    root: Path | Remote
    table: pd.DataFrame
    targets: dict[str, Target]
    group_by: str
    labels_sha256: str
    missing: list[str]
    note: str
    regrouped: str = ""  # what `--group-by` asked for

    def path(self, name: str) -> Source:
        """Return the file of a picture, or where else its bytes are."""
        return located(self.root, [self.table["image"][self.table["name"] == name].iloc[0]])[0]

    def paths(self) -> list[Source]:
        """Return the same for every row."""
        return located(self.root, self.table["image"])

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
            "labels": [str(path) for path in database.labels],
            "labels_sha256": _digest(database.labels),
            "targets": {name: asdict(target) for name, target in database.targets.items()},
            "group_by": database.group_by,
            "missing": list(database.missing),
            "unlabelled": len(database.unlabelled),
            "note": database.note,
        }
        table = database.table.sort_values("name", kind="stable")
        data = table.to_csv(index=False).encode()
        write_atomic(folder / "table.csv", data)
        write_json(folder / "table.json", facts | {"table_sha256": sha256(data)})
    return folder


def _digest(files: tuple[Path, ...]) -> str:
    """Return the SHA-256 of a label file, or of those of several."""
    each = [file_sha256(path) for path in files]
    return each[0] if len(each) == 1 else sha256("".join(each).encode()) if each else ""


def _refuse_another(folder: Path, database: Database) -> None:
    """A folder of the cache belongs to one root: the same names elsewhere may be other pictures."""
    path = folder / "table.json"
    if not path.is_file():
        return
    before, now = read_json(path, "root")["root"], str(database.root.resolve())
    if before != now and Path(before).is_dir():
        raise InputError(
            f"{folder} was made from {before}, and --root is {now}: give that root, or use another "
            "--cache for this copy"
        )


def read_cached_table(cache: Path, name: str, asked: str = "") -> CachedTable:
    """Read the table of a database that was extracted.

    Parameters
    ----------
    name : its folder in the cache
    asked : what the user called it, for the error

    Raises
    ------
    InputError
        When it was not extracted, or a kill came between its two files.
    """
    folder = cache / name
    if name not in cached_databases(cache):
        raise _not_cached(cache, asked or name)
    facts = read_json(folder / "table.json", *_FACTS)
    data = (folder / "table.csv").read_bytes()
    if sha256(data) != facts["table_sha256"]:
        raise InputError(f"{folder}/table.csv is not the one of table.json: extract again")
    columns = pd.read_csv(io.BytesIO(data), nrows=0, encoding="utf-8").columns
    numeric = {c for c in columns if c in (*facts["targets"], "level", "row") or _is_std(c, facts)}
    table = pd.read_csv(
        io.BytesIO(data),
        dtype={column: str for column in columns if column not in numeric},
        keep_default_na=False,
        na_values={column: [""] for column in numeric},
        encoding="utf-8",
    )
    if "image" not in table:  # written by an older version
        table["image"] = table["name"]
    return CachedTable(
        name,
        place_of(facts["root"]),
        table,
        {key: Target(**value) for key, value in facts["targets"].items()},
        facts["group_by"],
        facts["labels_sha256"],
        facts["missing"],
        facts["note"],
    )


def _is_std(column: str, facts: dict) -> bool:
    return column.endswith("_std") and column.removesuffix("_std") in facts["targets"]


def _not_cached(cache: Path, asked: str) -> InputError:
    """Return the error for a database that is not there: how to get it, or the nearest names."""
    cached = cached_databases(cache)
    if known_name(asked) or is_packed(asked) or expand(asked).exists():
        return InputError(
            f"{asked} is not in the cache {cache} (databases there: {', '.join(cached) or 'none'}):"
            f" run python -m pipeline.extract --db {asked} first"
        )
    return unknown_name("database", asked, [*cached, *DATABASES])


def cached_databases(cache: Path) -> list[str]:
    """Return the names of the databases in a cache."""
    return sorted(path.parent.name for path in cache.glob("*/table.json"))
