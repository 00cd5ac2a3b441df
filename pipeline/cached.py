"""What `python -m pipeline.cache` asks of a cache: its folders, tables, and the runs upon it."""

from pathlib import Path

from features.cache.survey import Place, places
from features.errors import InputError
from features.files import read_json
from features.names import parse
from features.places import place
from features.sources import Source
from pipeline.tables import cached_databases, read_cached_table


def chosen_places(cache: str | None, db: str | None, features: str | None) -> list[Place]:
    """Return the folders asked for.

    Raises
    ------
    InputError
        When there is no such cache, or nothing of that kind in it.
    """
    root = place("cache", cache)
    if not root.is_dir():
        raise InputError(
            f"there is no cache {root}: python -m pipeline.extract makes one, --cache names another"
        )
    encoders = {request.name for request in parse(features)} if features else set()
    found = list(places(root, {db} if db else (), encoders))
    if not found:
        dbs = sorted({path.parts[-4] for path in root.glob("*/*/*/settings.json")})
        what = " of ".join(filter(None, (features, db))) or "anything"
        raise InputError(
            f"the cache {root} holds no embeddings of {what}: "
            + (f"it has {', '.join(dbs)}" if dbs else "python -m pipeline.extract makes some")
        )
    return found


def sources_of(cache: Path, db: str) -> dict[str, Source] | None:
    """Return where the pictures of a database are, None where the cache does not say."""
    if db not in cached_databases(cache):
        return None
    table = read_cached_table(cache, db)
    return dict(zip(table.table["name"], table.paths(), strict=True))


def names_of(cache: Path, db: str) -> set[str] | None:
    """Return the names of a database's table, None where the cache has none."""
    if db not in cached_databases(cache):
        return None
    return set(read_cached_table(cache, db).table["name"])


def keys_in_use(runs: Path) -> dict[str, str]:
    """Return the cache keys that runs refer to: key -> one of the runs."""
    used: dict[str, str] = {}
    for name, field in (("settings.json", "keys"), ("head.json", "encoders")):
        for path in sorted(runs.glob(f"**/{name}")):
            keys = read_json(path).get(field)
            if not isinstance(keys, dict):
                continue  # a study's, or another file of that name
            used |= {str(key): str(path.parent) for key in keys.values()}
    return used
