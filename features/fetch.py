"""Downloads that survive cut connections: a part beside the target, resumed, checked, renamed.

PATH.part holds what has come; PATH.part.json the address and the server's mark of the version (its
ETag or date). A part is only ever continued with bytes of that same version.
"""

import contextlib
import fcntl
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from features.errors import InputError
from features.fetch_answers import SCHEMES, Cut, answer_of, chunks_of, whole
from features.files import file_sha256, read_json, stage, write_json
from features.progress import progress
from features.weights import WeightFile, what_else

ATTEMPTS = 5  # in a row that bring no byte
BACKOFF = 1.0  # seconds before the second attempt; each further wait is twice as long


@dataclass(frozen=True)
class _Version:
    """What PATH.part.json holds: which version of the file a part belongs to."""

    url: str
    mark: str
    total: int | None

    @classmethod
    def of(cls, url: str, answer) -> "_Version":
        """Read it from an answer. A weak ETag does not promise the same bytes."""
        tag = answer.headers.get("ETag", "")
        mark = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        return cls(url, mark, whole(answer.headers.get("Content-Length", "")))


def fetch_weights(file: WeightFile, weights: Path, url: str = "") -> Path:
    """Fetch a weight file into the weights folder, and return its path; not when it is there.

    Parameters
    ----------
    url : where to get it, if not from its own address

    Raises
    ------
    InputError
        When it has no address, or see `download`.
    """
    there = file.locate(weights)
    if there is not None:
        return there
    address = url or file.url
    if not address:
        raise InputError(f"{file.filename} has no address for a program: get it from {file.page}")
    target = weights / file.folders[0] / file.filename
    if not Path(os.path.normpath(target)).is_relative_to(os.path.normpath(weights)):
        raise InputError(f"{file.filename} would lie outside of {weights}: nothing is fetched")
    download(address, target, file.sha256, file.size)
    return target


def download(url: str, target: Path, sha256: str = "", size: int = 0) -> None:
    """Fetch `url` to `target`, which then is whole; an earlier attempt is continued.

    Parameters
    ----------
    sha256, size : as published, where known

    Raises
    ------
    InputError
        When the server has no such file or sends something else, the connection stays cut, or the
        disk is full. What can be continued stays beside the target.
    """
    if url.partition(":")[0].lower() not in SCHEMES:
        raise InputError(f"{url} cannot be fetched: expected an address with {', '.join(SCHEMES)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with _alone(part) as file, progress(size, target.name, "B") as bar:
        bar.unit_scale = True
        _receive(url, file, bar, sha256, size)
        if sha256 and file_sha256(part) != sha256:
            file.truncate(0)
            raise InputError(
                f"{url} did not give the published file, its SHA-256 is another: nothing is kept "
                "of it"
            )
        put_in_place(part, target)


def put_in_place(aside: Path, target: Path) -> None:
    """Rename a finished file to its name; file and rename are flushed to the disk."""
    _flush(aside)
    stage("before rename")
    os.replace(aside, target)
    _flush(target.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _facts_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """Open a part for one process."""
    with open(part, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another process is fetching {part}: wait for it") from None
        try:
            with open(part, "r+b", buffering=0) as file:
                yield file
        finally:
            if not part.exists() or not part.stat().st_size:  # in place, or nothing worth keeping
                part.unlink(missing_ok=True)
                _facts_of(part).unlink(missing_ok=True)


def _receive(url: str, file: BinaryIO, bar: tqdm, sha256: str, size: int) -> None:
    """Fill a part, in as many attempts as it takes while each brings something."""
    failures = 0
    while True:
        before = bar.n
        try:
            return _attempt(url, file, bar, sha256, size)
        except Cut as error:
            if error.anew:
                _facts_of(Path(file.name)).unlink(missing_ok=True)
            failures = 1 if bar.n > before else failures + 1
            if failures >= ATTEMPTS:
                kept = file.seek(0, os.SEEK_END)
                raise InputError(
                    f"{url} cannot be fetched ({error}): {kept:,} bytes are kept, the same command "
                    "goes on from there"
                ) from error
            wait = max(BACKOFF * 2 ** (failures - 1), error.wait)
            bar.write(f"{url}: {error}; again in {wait:.0f} s", file=sys.stderr)
            time.sleep(wait)


def _attempt(url: str, file: BinaryIO, bar: tqdm, sha256: str, size: int) -> None:
    """Connect once, and take what comes."""
    part = Path(file.name)
    version = _version_of(part, url)
    offset = _continued_at(file.seek(0, os.SEEK_END), version, bool(sha256))
    if version and offset == version.total:
        return
    with answer_of(url, offset, version.mark if version else "") as answer:
        if offset and answer.status == 206:
            _check_continuation(answer, version, offset)
        else:
            offset, version = 0, _Version.of(url, answer)
            _refuse(url, answer, version.total, size)
            file.truncate(0)
            write_json(_facts_of(part), asdict(version))
        _check_room(part.parent, (version.total or offset) - offset)
        file.seek(offset)
        bar.total, bar.n, bar.initial = version.total or 0, offset, offset
        for chunk in chunks_of(answer):
            _write(file, chunk)
            bar.update(len(chunk))
    came = file.tell()
    if version.total is not None and came != version.total:
        raise Cut(f"the connection ended at {came:,} of {version.total:,} bytes")
    kind = what_else(part) or (f"{came:,} bytes, not {size:,}" if size and came != size else "")
    if kind:
        file.truncate(0)
        raise InputError(f"{url} gave something else ({kind}): nothing is kept of it")


def _version_of(part: Path, url: str) -> _Version | None:
    try:
        version = _Version(**read_json(_facts_of(part)))
    except (InputError, TypeError):  # none, or a torn one: the part starts anew
        return None
    return version if version.url == url else None


def _continued_at(have: int, version: _Version | None, checked: bool) -> int:
    """Return from which byte on to ask. A part is continued when a mark or checksum watches."""
    if not version or not (version.mark or checked or have == version.total):
        return 0
    return have if version.total is None or have <= version.total else 0


def _check_continuation(answer, version: _Version, offset: int) -> None:
    """Refuse bytes of another version, or from another place, for a part."""
    header = answer.headers.get("Content-Range", "")
    placed = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", header)
    mark = _Version.of("", answer).mark
    total = whole(placed[2]) if placed else None
    if (
        not placed
        or int(placed[1]) != offset
        or (mark and version.mark and mark != version.mark)
        or (total and version.total and total != version.total)
    ):
        raise Cut("the file has changed there and is fetched from its beginning", anew=True)


def _refuse(url: str, answer, total: int | None, size: int) -> None:
    """Raise for what is seen to be the wrong thing before its first byte."""
    if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise InputError(f"{url} answered with a web page, not with the file")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise InputError(f"{url} answered in an encoding that was not asked for")
    if total == 0 or (size and total is not None and total != size):
        published = f", published are {size:,}" if size else ""
        raise InputError(f"{url} has {total:,} bytes{published}: it is not the file")


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has room for {free:,} bytes and {needed:,} are to come: make room, or name "
            "another folder with --weights"
        )


def _write(file: BinaryIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise InputError(
            f"cannot write {file.name} ({error.strerror or error}): make room, then give the same "
            "command to go on"
        ) from error
