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
from pipeline.head_checks import what_is_wrong

ARRAYS, FACTS, MANIFEST, CARD = "head.safetensors", "head.json", "manifest.json", "README.md"
FORMAT = "meanopinion head 1"
_KEYS = (
    *("kind", "db", "target", "range", "features", "encoders", "note", "median_srcc"),
    *("error90", "distance_max", "arrays_sha256"),
)
# Of the arrays, and of each text: more is no head of ours, and would fill the memory.
MOST_BYTES, MOST_TEXT = 2**31, 2**20


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
    if wrong := what_is_wrong(arrays, facts):
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
    if not isinstance(card, dict):
        raise InputError(f"{place} was damaged or changed: its card holds no facts")
    return card, files[CARD].decode(errors="replace")


def _unpacked(place: Path) -> dict[str, bytes]:
    """Return the files of a ZIP, into memory: nothing is written anywhere."""
    names = {ARRAYS, FACTS, MANIFEST, CARD}
    try:
        with zipfile.ZipFile(place) as archive:
            inside = archive.infolist()
            if sorted(one.filename for one in inside) != sorted(names):
                raise InputError(
                    f"{place} is no head: expected a ZIP of {', '.join(sorted(names))}, found "
                    f"{', '.join(f'{one.filename[:60]!r}' for one in inside[:5]) or 'nothing'}; "
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
            most = {ARRAYS: MOST_BYTES}
            if large := [n for n in inside if n.file_size > most.get(n.filename, MOST_TEXT)]:
                raise InputError(
                    f"{place} is no head: {large[0].filename} has {large[0].file_size:,} bytes, "
                    "more than any head's"
                )
            files = {one.filename: archive.read(one) for one in inside}
    except FileNotFoundError:
        raise InputError(f"{place} is not there: expected a run's folder or a head.zip") from None
    except InputError:
        raise
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError) as error:
        why = str(error) or "it ends too early"
        raise InputError(f"{place} is no head: {why}; expected a ZIP") from error
    manifest = parse_json(files[MANIFEST], f"{place}: {MANIFEST}", "format", "files", "card")
    if manifest["format"] != FORMAT:
        raise InputError(f"{place}: {manifest['format']!r} needs another version than {FORMAT!r}")
    told = manifest["files"] if isinstance(manifest["files"], dict) else {}
    wrong = [n for n in sorted(names - {MANIFEST}) if told.get(n) != sha256(files[n])]
    if wrong:
        raise InputError(f"{place} was damaged or changed: {wrong[0]} is not the one that was made")
    return files
