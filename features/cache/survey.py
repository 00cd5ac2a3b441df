"""What lies in a cache: every folder with what it holds, and whether its settings are today's."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from features.augment import settings_of_augmented
from features.cache.folder import AUGMENTED, CacheFolder
from features.cache.shards import OK
from features.decode import DECODING
from features.errors import InputError
from features.names import parse
from features.weights import weight_sha256

CURRENT, OTHER, UNKNOWN = "yes", "no", "unknown"


@dataclass(frozen=True)
class Place:
    """One folder of a cache.

    Attributes
    ----------
    folder : None where it cannot be opened; `fault` then says why
    """

    db: str
    path: Path
    folder: CacheFolder | None
    fault: str = ""


@dataclass(frozen=True)
class Cached:
    """What one folder holds.

    Attributes
    ----------
    n_pictures, n_failed : newest rows, failed ones among them; -1 where a shard cannot be read
    n_bytes, n_shards, written : of the shards on disk; when the last of them was made, UTC
    current : `CURRENT`, `OTHER` or `UNKNOWN`: whether extract would use these settings today
    why : in what they differ, or why that cannot be told
    """

    place: Place
    n_pictures: int = -1
    n_failed: int = -1
    n_bytes: int = 0
    n_shards: int = 0
    written: str = ""
    versions: tuple[str, ...] = field(default_factory=tuple)
    current: str = UNKNOWN
    why: str = ""


def places(
    cache: Path, dbs: Collection[str] = (), encoders: Collection[str] = ()
) -> Iterator[Place]:
    """Yield the folders of a cache, those of distorted versions behind those of their pictures.

    Parameters
    ----------
    dbs, encoders : only these, where any are given
    """
    for path in sorted(cache.glob("*/*/*/settings.json")):
        db = path.parts[-4]
        if dbs and db not in dbs:
            continue
        apart = sorted((path.parent / AUGMENTED).glob("*/settings.json"))
        for one in (path.parent, *(other.parent for other in apart)):
            try:
                place = Place(db, one, CacheFolder(one))
            except InputError as error:
                place = Place(db, one, None, str(error))
            if not encoders or place.folder is None or place.folder.encoder in encoders:
                yield place


def survey(place: Place, weights: Path) -> Cached:
    """Return what a folder holds, without reading embeddings."""
    folder = place.folder
    if folder is None:
        return Cached(place, why=place.fault)
    try:
        entries = folder.shards()
        paths = [folder.path / entry["file"] for entry in entries]
        states = [path.stat() for path in paths if path.is_file()]
    except InputError as error:
        return Cached(place, why=str(error))
    current, why = is_current(folder.settings, weights)
    n_pictures, n_failed = -1, -1
    try:
        n_pictures, n_failed = _count(folder)
    except InputError as error:
        why = str(error)
    last = max((state.st_mtime for state in states), default=None)
    return Cached(
        place,
        n_pictures,
        n_failed,
        sum(state.st_size for state in states),
        len(entries),
        "" if last is None else datetime.fromtimestamp(last, UTC).isoformat(" ", "minutes")[:16],
        tuple(dict.fromkeys(str(entry.get("versions", "")) for entry in entries)),
        current,
        why,
    )


def _count(folder: CacheFolder) -> tuple[int, int]:
    good: dict[str, bool] = {}
    for columns in folder.columns(checked=False):
        good |= zip(columns.names, (status == OK for status in columns.status), strict=True)
    return len(good), len(good) - sum(good.values())


def is_current(settings: dict, weights: Path) -> tuple[str, str]:
    """Tell whether extract would use some settings today, and why not.

    Any engine and precision may be asked for again; what cannot is another version of our code,
    other weights, another way of decoding.
    """
    try:
        (request,) = parse(settings["encoder"])
        files = request.encoder.files(request.values)
        found = {file.filename: file.locate(weights) for file in files}
    except (InputError, ValueError) as error:
        return UNKNOWN, str(error)
    encoder = request.encoder
    pairs = {
        "the version of the encoder's code": (settings["version"], encoder.version),
        "its options": (settings["options"], request.values),
        "its views": (settings["views"], dict(encoder.views)),
        "the decoding of pictures": (settings["decoding"], DECODING),
    }
    if "augment" in settings:
        bank = settings_of_augmented(settings, settings["augment"]["seed"])["augment"]
        pairs["the bank of distortions"] = (settings["augment"], bank)
    for what, (then, now) in pairs.items():
        if _plain(then) != _plain(now):
            values = f" ({then}, now {now})" if isinstance(now, int) else ""
            return OTHER, f"{what} is another by now{values}"
    for name, sha256 in settings["weights"].items():
        path = found.get(name)
        if path is not None and weight_sha256(path) != sha256:
            return OTHER, f"{path} is another weight file"
    absent = [name for name in settings["weights"] if found.get(name) is None]
    return (UNKNOWN, f"not here: {', '.join(absent)}") if absent else (CURRENT, "")


def _plain(value: object) -> object:
    return json.loads(json.dumps(value))
