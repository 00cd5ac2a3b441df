"""Reading a cache: names and one array, joined by name."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.cache.folder import CacheFolder
from features.cache.joining import Located, again, in_all, read_embeddings
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
    *,
    names: Sequence[str] | None = None,
) -> Embeddings:
    """Load the cached embeddings of a database.

    Parameters
    ----------
    db : name of the database, as `extract` printed it
    features : feature set, such as `reiqa+nss`
    cache : the cache folder; the default is cache/ under the home place
    key : the first digits of the cache key, one for each encoder that has several
    names : only these pictures, in this order; only the shards that hold them are read whole

    Returns
    -------
    embeddings : one float32 array, into which the files are read in threads: memory is needed for
        it and little more. An extraction may go on writing meanwhile; what it had listed is there.

    Raises
    ------
    InputError
        When an encoder is not cached for this database, is cached under several settings and `key`
        does not choose, when a shard is damaged, or one of `names` has no embedding.
    """
    return again(_folders(db, features, cache, key), lambda folders: _joined(folders, names))


def file_digests(
    db: str,
    features: str,
    cache: str | os.PathLike | None = None,
    key: str | Sequence[str] = (),
) -> dict[str, str]:
    """Return the SHA-256 of every picture file that was embedded, by name; see `load`."""

    def read(folders: Sequence[CacheFolder]) -> dict[str, str]:
        digests = {}
        for columns in folders[0].columns():
            digests |= zip(columns.names, columns.sha256.tolist(), strict=True)
            for name, status in zip(columns.names, columns.status, strict=True):
                if status != OK:
                    digests.pop(name, None)
        return {name: digest.decode() for name, digest in digests.items()}

    return again(_folders(db, features, cache, key), read)


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
    content: dict[str, bytes] = {}
    for folder in _folders(db, features, cache, key):
        for columns in again([folder], lambda one: list(one[0].columns())):
            content |= zip(columns.names, columns.sha256.tolist(), strict=True)
        apart = folder.augmented_path(seed)
        if not (apart / "index.json").is_file():
            raise InputError(
                f"no distorted versions of {db} are cached for {folder.encoder} (seed {seed}): run "
                f"python -m pipeline.extract --db {db} --features '{features}' --augment 4"
            )
        folders.append(CacheFolder(apart))
    return again(folders, lambda folders: _joined_augmented(folders, content))


def _joined_augmented(folders: Sequence[CacheFolder], content: Mapping[str, bytes]) -> Augmented:
    """Read the versions whose picture still has the content that they were made from."""
    notes: dict[str, tuple[str, str, str]] = {}
    for columns in folders[0].columns():
        which = (columns.notes[note] for note in ("original", "distortion", "level"))
        for name, digest, *note in zip(columns.names, columns.sha256.tolist(), *which, strict=True):
            notes[name] = tuple(note) if content.get(note[0]) == digest else ()
    located = [Located.of(folder) for folder in folders]
    kept = [name for name in in_all(located)[0] if notes.get(name)]
    embeddings, _ = read_embeddings(located, kept)
    originals, distortions, levels = ([notes[name][i] for name in kept] for i in range(3))
    return Augmented(originals, embeddings, distortions, list(map(int, levels)))


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


def _joined(folders: Sequence[CacheFolder], names: Sequence[str] | None = None) -> Embeddings:
    """Read the rows that all of the folders have, side by side."""
    located = [Located.of(folder) for folder in folders]
    good, failures = in_all(located)
    if names is not None:
        names = list(names)
        _refuse_unknown(names, set(good), failures, folders[0])
        good, failures = names, {}
    embeddings, columns = read_embeddings(located, good)
    return Embeddings(good, embeddings, columns, failures, {f.encoder: f.key for f in folders})


def _refuse_unknown(
    names: Sequence[str], good: set[str], failures: Mapping[str, str], folder: CacheFolder
) -> None:
    """Refuse names without an embedding, and names that stand there twice."""
    bad = [name for name in names if name not in good]
    if bad:
        why = failures.get(bad[0], "it is not in the cache")
        raise InputError(
            f"{len(bad)} of the {len(names)} names asked for have no embedding in "
            f"{folder.path.parent.parent}, the first is {bad[0]!r}: {why}"
        )
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))
        raise InputError(f"the names asked for hold {twice!r} twice: give each once")


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
