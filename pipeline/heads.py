"""Heads as files: a run's head.safetensors and head.json, or a ZIP of them to share.

Nothing of either is executed: arrays are read as safetensors, the rest as JSON, and both are
checked against their SHA-256.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from features.errors import InputError
from features.files import parse_json, read_json, sha256, write_atomic, write_json

ARRAYS, FACTS, MANIFEST, CARD = "head.safetensors", "head.json", "manifest.json", "README.md"
FORMAT = "meanopinion head 1"
_KEYS = (
    *("kind", "db", "target", "range", "features", "encoders", "note", "median_srcc"),
    *("error90", "distance_max", "arrays_sha256"),
)
# The arrays of each kind, and their shapes: p columns, s rows of the training data.
_SHAPES = {
    "linear": {"mean": "p", "scale": "p", "coef": "p", "intercept": "1"},
    "rbf": {
        "mean": "p",
        "scale": "p",
        "support": "sp",
        "dual": "s",
        "intercept": "1",
        "gamma": "1",
    },
}


class Head(NamedTuple):
    """A head, checked.

    Attributes
    ----------
    place : the run's folder, or the ZIP
    arrays, facts : see `regressors.heads` and the README
    sha256s : name of the file -> its SHA-256; they decide every score
    """

    place: Path
    arrays: dict[str, np.ndarray]
    facts: dict
    sha256s: dict[str, str]


def write_head(folder: Path, arrays: Mapping[str, np.ndarray], facts: dict) -> None:
    """Write a head: arrays as safetensors, the rest as JSON with the arrays' checksum."""
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    write_atomic(folder / ARRAYS, data)
    write_json(folder / FACTS, facts | {"arrays_sha256": sha256(data)})


def read_head(place: Path) -> Head:
    """Read the head of a run's folder, or of a ZIP that `python -m pipeline.head` made.

    Raises
    ------
    InputError
        When a file is missing, damaged, or does not belong to the other.
    """
    if place.is_dir():
        read_json(place / FACTS, *_KEYS)  # says what is wrong with it
        try:
            files = {name: (place / name).read_bytes() for name in (ARRAYS, FACTS)}
        except OSError as error:
            raise InputError(f"the head {place} cannot be read: {error}") from error
    else:
        files = _unpacked(place)
    facts = parse_json(files[FACTS], f"{place}: {FACTS}", *_KEYS)
    if sha256(files[ARRAYS]) != facts["arrays_sha256"]:
        raise InputError(f"the head {place / ARRAYS} is not the one that {FACTS} describes")
    try:
        arrays = load(files[ARRAYS])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the head {place / ARRAYS} cannot be read: {error}") from error
    if wrong := _wrong(arrays, facts):
        raise InputError(f"the head {place} was damaged or changed: {wrong}")
    return Head(place, arrays, facts, {name: sha256(files[name]) for name in (ARRAYS, FACTS)})


def pack_head(run: Path, card: dict, text: str) -> bytes:
    """Return a run's head as a ZIP of its two files and its card, for programs and for people."""
    read_head(run)  # a damaged one is not passed on
    files = {name: (run / name).read_bytes() for name in (ARRAYS, FACTS)} | {CARD: text.encode()}
    manifest = {
        "format": FORMAT,
        "files": {name: sha256(data) for name, data in files.items()},
        "card": card,
    }
    files[MANIFEST] = json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def read_card(place: Path) -> tuple[dict, str]:
    """Return the card of a ZIP, for programs and for people; errors as of `read_head`."""
    read_head(place)
    files = _unpacked(place)
    card = parse_json(files[MANIFEST], f"{place}: {MANIFEST}", "card")["card"]
    return card, files[CARD].decode(errors="replace")


def _wrong(arrays: Mapping[str, np.ndarray], facts: Mapping) -> str:
    """Return why arrays and facts make no head; empty where they do, or where the kind is new."""
    numbers = ("error90", "distance_max", "median_srcc")
    for name in numbers:
        if isinstance(facts[name], bool) or not isinstance(facts[name], int | float):
            return f"{name} is no number"
    scale = facts["range"]
    if not isinstance(scale, dict) or not {"low", "high", "higher_is_better"} <= set(scale):
        return "range says no low, high and higher_is_better"
    if not isinstance(facts["encoders"], dict) or not isinstance(facts["features"], str):
        return "encoders or features are not what they must be"
    sizes = {"1": 1}
    for name, letters in _SHAPES.get(facts["kind"], {}).items():
        array = arrays.get(name)
        if array is None or array.ndim != len(letters) or not np.isfinite(array).all():
            return f"{name} is missing, or holds what is no number"
        for letter, size in zip(letters, array.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                return f"{name} has the shape {array.shape}, which does not go with the others"
    return ""


def _unpacked(place: Path) -> dict[str, bytes]:
    """Return the files of a ZIP, into memory: nothing is written anywhere."""
    names = {ARRAYS, FACTS, MANIFEST, CARD}
    try:
        with zipfile.ZipFile(place) as archive:
            inside = archive.infolist()
            if sorted(one.filename for one in inside) != sorted(names):
                raise InputError(
                    f"{place} is no head: expected a ZIP of {', '.join(sorted(names))}, found "
                    f"{', '.join(one.filename for one in inside[:5]) or 'nothing'}; "
                    "python -m pipeline.head export makes one"
                )
            # stored as they are, files cannot unpack to more than the ZIP is
            if any(
                one.compress_type != zipfile.ZIP_STORED or one.compress_size != one.file_size
                for one in inside
            ):
                raise InputError(
                    f"{place} is no head: its files are compressed, which no head's are"
                )
            files = {one.filename: archive.read(one) for one in inside}
    except FileNotFoundError:
        raise InputError(f"{place} is not there: expected a run's folder or a head.zip") from None
    except InputError:
        raise
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{place} is no head: {error}; expected a ZIP") from error
    manifest = parse_json(files[MANIFEST], f"{place}: {MANIFEST}", "format", "files", "card")
    if manifest["format"] != FORMAT:
        raise InputError(f"{place}: {manifest['format']!r} needs another version than {FORMAT!r}")
    told = manifest["files"] if isinstance(manifest["files"], dict) else {}
    wrong = [n for n in sorted(names - {MANIFEST}) if told.get(n) != sha256(files[n])]
    if wrong:
        raise InputError(f"{place} was damaged or changed: {wrong[0]} is not the one that was made")
    return files
