"""Reading a cache: names and one array, joined by name."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.cache.folder import CacheFolder
from features.cache.shards import OK
from features.errors import InputError
from features.names import canonical, parse, slug, split_names
from features.places import place


class Embeddings(NamedTuple):
    """What `load` returns; the first two are what most callers want.

    Attributes
    ----------
    names : (n,) the pictures that every encoder could embed, sorted
    embeddings : (n, d) float32
    columns : encoder name -> slice of the d columns
    failures : picture name -> reason
    keys : encoder name -> cache key
    """

    names: list[str]
    embeddings: np.ndarray
    columns: dict[str, slice]
    failures: dict[str, str]
    keys: dict[str, str]


class Augmented(NamedTuple):
    """What `load_augmented` returns, one row a distorted version.

    Attributes
    ----------
    originals : (m,) the picture that each version was made from
    embeddings : (m, d) float32, columns as in `load`
    distortions, levels : (m,) type and level of each
    """

    originals: list[str]
    embeddings: np.ndarray
    distortions: list[str]
    levels: list[int]


def load(
    db: str,
    features: str,
    cache: str | os.PathLike | None = None,
    key: str | Sequence[str] = (),
) -> Embeddings:
    """Load the cached embeddings of a database.

    Parameters
    ----------
    db : name of the database, as `extract` printed it
    features : feature set, such as `reiqa+nss`
    cache : the cache folder; the default is cache/ under the home place
    key : the first digits of the cache key, one for each encoder that has several

    Raises
    ------
    InputError
        When an encoder is not cached for this database, is cached under several settings and `key`
        does not choose, or when a shard is damaged.
    """
    return _joined(_folders(db, features, cache, key))


def file_digests(
    db: str,
    features: str,
    cache: str | os.PathLike | None = None,
    key: str | Sequence[str] = (),
) -> dict[str, str]:
    """Return the SHA-256 of every picture file that was embedded, by name; see `load`."""
    first = _folders(db, features, cache, key)[0]
    rows = first.rows(embeddings=False)
    return {row.name: row.facts.sha256 for row in rows if row.status == OK}


def load_augmented(
    db: str,
    features: str,
    cache: str | os.PathLike | None = None,
    key: str | Sequence[str] = (),
    seed: int = 0,
) -> Augmented:
    """Load the cached embeddings of distorted versions of a database's pictures.

    Parameters
    ----------
    db, features, cache, key : as in `load`
    seed : that drew the distortions

    Versions of a picture file that has changed since, or is not cached itself, are left out.

    Raises
    ------
    InputError
        Where `load` does, and when none were extracted.
    """
    folders = []
    content: dict[str, str] = {}
    for folder in _folders(db, features, cache, key):
        content |= {row.name: row.facts.sha256 for row in folder.rows(embeddings=False)}
        apart = folder.augmented_path(seed)
        if not (apart / "index.json").is_file():
            raise InputError(
                f"no distorted versions of {db} are cached for {folder.encoder} (seed {seed}): run "
                f"python -m pipeline.extract --db {db} --features '{features}' --augment 4"
            )
        folders.append(CacheFolder(apart))
    joined = _joined(folders)
    rows = {row.name: row for row in folders[0].rows(embeddings=False)}
    kept = [
        index
        for index, name in enumerate(joined.names)
        if content.get(rows[name].notes["original"]) == rows[name].facts.sha256
    ]
    notes = [rows[joined.names[index]].notes for index in kept]
    return Augmented(
        [note["original"] for note in notes],
        joined.embeddings[kept],
        [note["distortion"] for note in notes],
        [int(note["level"]) for note in notes],
    )


def _folders(
    db: str, features: str, cache: str | os.PathLike | None, key: str | Sequence[str]
) -> list[CacheFolder]:
    """Return the one folder of each encoder, as the keys choose."""
    root = place("cache", cache)
    prefixes = (key,) if isinstance(key, str) and key else tuple(key)
    folders = [find(root, db, request.name, prefixes) for request in parse(features)]
    for prefix in prefixes:
        if not any(folder.key.startswith(prefix) for folder in folders):
            raise InputError(
                f"no settings of {features} in the cache of {db} have a key that begins with "
                f"{prefix!r}: there are {', '.join(folder.key for folder in folders)}"
            )
    return folders


def _joined(folders: Sequence[CacheFolder]) -> Embeddings:
    """Read the rows that all of the folders have, side by side."""
    good, failures = [], {}
    for folder in folders:
        status = {row.name: row.status for row in folder.rows(embeddings=False)}
        failures |= {name: reason for name, reason in status.items() if reason != OK}
        good.append({name for name, reason in status.items() if reason == OK})
    names = sorted(set.intersection(*good))
    place_of = {name: index for index, name in enumerate(names)}
    ends = np.cumsum([folder.settings["n_dims"] for folder in folders]).tolist()
    embeddings = np.empty((len(names), ends[-1]), np.float32)
    columns = {}
    for folder, end in zip(folders, ends, strict=True):
        columns[folder.encoder] = slice(end - folder.settings["n_dims"], end)
        for row in folder.rows():  # shard by shard; a later row of a name replaces an earlier one
            if row.status == OK and row.name in place_of:
                embeddings[place_of[row.name], columns[folder.encoder]] = row.result
    keys = {folder.encoder: folder.key for folder in folders}
    return Embeddings(names, embeddings, columns, dict(sorted(failures.items())), keys)


def find(root: Path, db: str, encoder: str, prefixes: Sequence[str] = ()) -> CacheFolder:
    """Return the one cache folder of an encoder that the key prefixes leave."""
    there = sorted((root / db / slug(encoder)).glob("*/index.json"))  # none before the first shard
    if not there:
        known = ", ".join(cached_encoders(root, db)) or "nothing"
        raise InputError(
            f"{encoder} is not cached for {db} in {root} (cached: {known}): run python -m "
            f"pipeline.extract --db {db} --features '{encoder}'"
        )
    paths = [path.parent for path in there]
    chosen = [path for path in paths if any(path.name.startswith(prefix) for prefix in prefixes)]
    paths = chosen or paths
    if len(paths) > 1:
        lines = "; ".join(f"{path.name}: {difference(path, paths)}" for path in paths)
        raise InputError(
            f"{encoder} is cached for {db} under {len(paths)} settings, choose one with key "
            f"(--key on the command line): {lines}"
        )
    return CacheFolder(paths[0])


def difference(path: Path, others: list[Path]) -> str:
    """Say in which settings a folder differs from its neighbours."""
    settings = [CacheFolder(other).settings for other in others]
    own = CacheFolder(path).settings
    differing = [key for key in own if any(other.get(key) != own[key] for other in settings)]
    return ", ".join(f"{key}={own[key]}" for key in differing)


def cached_encoders(root: Path, db: str) -> list[str]:
    """Return the names of the encoders that are cached for a database."""
    found = sorted((root / db).glob("*/*/index.json"))
    return sorted({CacheFolder(path.parent).encoder for path in found})


def cached_sets(root: Path, db: str) -> list[str]:
    """Return the feature sets to fit when none is named: each encoder, complete groups as one."""
    encoders = cached_encoders(root, db)
    if not encoders:
        return []
    # a complete group, such as both branches of reiqa, goes by the group's name
    return split_names(canonical("+".join(encoders)))
