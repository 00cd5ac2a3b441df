"""weights/known.json: each weight file's SHA-256 at its first use, so that a change is noticed.

An entry leads from a file's path under the folder of known.json to its sha256, size and mtime_ns,
and to first_used, the day when it first filled a network. Until that day the entry only spares
reading the file again: what replaces a broken download is no change. Size and time as recorded
mean the same content, as they do for pictures.

A converted file stands for the one that it was converted from (converted_from): embeddings made
with either share a cache key.
"""

import dataclasses
import datetime
import functools
import shlex
import sys
from pathlib import Path

from features.errors import InputError
from features.files import file_sha256, locked, read_json, write_json

RECORD = "known.json"


@dataclasses.dataclass(frozen=True)
class Known:
    """What is recorded of one file; the attributes are those of the entry."""

    sha256: str
    size: int
    mtime_ns: int
    first_used: str = ""
    converted_from: str = ""

    def __post_init__(self) -> None:
        """Refuse what no entry of ours holds."""
        for field in dataclasses.fields(self):
            if not isinstance(getattr(self, field.name), field.type):
                raise TypeError(f"{field.name} is no {field.type.__name__}")

    @property
    def identity(self) -> str:
        """The SHA-256 that stands for the file in cache keys."""
        return self.converted_from or self.sha256


def identity(path: Path) -> str:
    """Return the SHA-256 that stands for a file: its own, or that of what it was converted from."""
    found = lookup(path)
    if found and (_same_stat(path, found[1]) or content_sha256(path) == found[1].sha256):
        return found[1].identity
    return content_sha256(path)


def check(path: Path, weights: Path, published: str = "", as_published: bool = True) -> None:
    """Compare a file with its record before it is used; make the record where there is none.

    Parameters
    ----------
    weights : the folder that gets the record
    published : the SHA-256 on the file's page, "" where there is none
    as_published : the file is of the published format, not converted by anyone

    Raises
    ------
    InputError
        When the file is not the one that was used before, or not the one that was published, or
        the record is damaged.
    """
    _read(weights)  # damage is said, never written over
    changed = change(path)
    if changed:
        raise InputError(changed)
    folder, before = lookup(path) or (weights, None)
    if before and _same_stat(path, before):
        known = before
    else:
        state = path.stat()
        sha256 = content_sha256(path)
        same = before if before and before.sha256 == sha256 else Known(sha256, 0, 0)
        known = dataclasses.replace(same, size=state.st_size, mtime_ns=state.st_mtime_ns)
    if as_published or known.converted_from:
        check_published(path, published, known.identity)
    if known != before:
        _try_to_write(folder, path, known)


def check_published(path: Path, published: str, sha256: str = "") -> None:
    """Compare a file's SHA-256 (read from it when not given) with the published one, if any.

    Raises
    ------
    InputError
        When they differ.
    """
    if published and published != (sha256 := sha256 or content_sha256(path)):
        raise InputError(
            f"{path} is not the published file (its SHA-256 is {sha256[:12]}..., published is "
            f"{published[:12]}...): remove it and get it again"
        )


def change(path: Path) -> str:
    """Say that a file is not the one that was used before; "" when it is, or is not known."""
    found = lookup(path)
    if not found or not found[1].first_used or _same_stat(path, found[1]):
        return ""
    folder, known = found
    if path.stat().st_size == known.size and content_sha256(path) == known.sha256:
        return ""
    return (
        f"{path} is not the file that was first used on {known.first_used} (SHA-256 "
        f"{known.sha256[:12]}..., in {folder / RECORD}): put that one back, or, if the change is "
        f"meant, python -m pipeline.weights verify --accept {shlex.quote(str(path))}"
    )


def used(path: Path) -> None:
    """Note that a recorded file has filled a network: from now on its record binds."""
    found = lookup(path)
    if found and not found[1].first_used and _same_stat(path, found[1]):
        _try_to_write(found[0], path, dataclasses.replace(found[1], first_used=_today()))


def accept(path: Path, weights: Path, converted_from: str = "", aside: Path | None = None) -> None:
    """Put on record what a file holds, whatever was there before.

    Parameters
    ----------
    converted_from : SHA-256 of the file that it was made from
    aside : where it lies until it is renamed to `path`; so no kill leaves it without its record

    Raises
    ------
    InputError
        When the record cannot be written.
    """
    state = (aside or path).stat()
    sha256 = content_sha256(aside or path)
    folder, _ = lookup(path) or (weights, None)
    known = Known(sha256, state.st_size, state.st_mtime_ns, _today(), converted_from)
    _write(folder, path, known)


def lookup(path: Path) -> tuple[Path, Known] | None:
    """Return the nearest folder above a file whose record lists it, and the entry.

    So `--weights weights/sub` meets the same record as `--weights weights`.
    """
    for folder in path.parents:
        try:
            known = _read(folder).get(path.relative_to(folder).as_posix())
        except InputError:  # some other program's known.json
            continue
        if known:
            return folder, known
    return None


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; a file that has not changed is read once a process.

    Raises
    ------
    InputError
        When the file changes while it is read.
    """
    before = path.stat()
    found = _sha256(path, before.st_size, before.st_mtime_ns)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(f"{path} is being written: wait until that is done")
    return found


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    return file_sha256(path)


def _same_stat(path: Path, known: Known) -> bool:
    state = path.stat()
    return (state.st_size, state.st_mtime_ns) == (known.size, known.mtime_ns)


def _today() -> str:
    return datetime.date.today().isoformat()


def _read(folder: Path) -> dict[str, Known]:
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        return {name: Known(**entry) for name, entry in read_json(path).items()}
    except (InputError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged: remove it, then import again what had been imported; the other "
            "files are recorded anew at their next use"
        ) from error


def _write(folder: Path, path: Path, known: Known) -> None:
    with locked(folder):
        records = _read(folder) | {path.relative_to(folder).as_posix(): known}
        write_json(folder / RECORD, {name: _plain(records[name]) for name in sorted(records)})


def _try_to_write(folder: Path, path: Path, known: Known) -> None:
    """Enter one file. A folder that cannot be written is no hindrance: it is said, once."""
    try:
        _write(folder, path, known)
    except InputError as error:
        _say_once(f"{folder / RECORD} is not written ({error}): changed files go unnoticed")


def _plain(known: Known) -> dict:
    return {key: value for key, value in dataclasses.asdict(known).items() if value != ""}


@functools.lru_cache(maxsize=64)
def _say_once(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
