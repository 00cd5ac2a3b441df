"""Where a picture's bytes lie: in a file, in a member of a tar, or behind a URL.

All that opens pictures goes through `facts`, `read`, `opened`, `sha256_of` and `readable`. A source
is small, holds nothing open, and can be sent to another process. A member is read at its place in
the tar; nothing is unpacked. URLs are those of fsspec, which is imported when the first one is met.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from features.files import file_sha256, sha256
from features.remote import fetch, is_url, remote_facts, shown
from features.tars import BLOCK, Archive, Window, header_size


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What tells one version of a picture file from another."""

    size: int
    mtime_ns: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file or a folder behind a URL.

    Attributes
    ----------
    size, version : as its folder was listed, so that it is not asked again; -1 where it was not
    """

    url: str
    size: int = -1
    version: int = 0

    def __str__(self) -> str:
        return shown(self.url)

    def __truediv__(self, name: str) -> "Remote":
        return Remote(f"{self.url.rstrip('/')}/{name}")

    def resolve(self) -> "Remote":
        """Return itself: a URL is the same from everywhere."""
        return self


@dataclass(frozen=True, slots=True)
class Member:
    """A file within a tar: `size` bytes from `offset` on."""

    archive: Archive
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}::{self.name}"


@dataclass(frozen=True, slots=True)
class Refused:
    """What is listed as a picture and will not be opened, such as a link within a tar."""

    place: str
    reason: str

    def __str__(self) -> str:
        return self.place


Source = Path | Member | Remote | Refused


def place_of(text: str) -> Path | Remote:
    """Return the folder that was written down as text."""
    return Remote(text) if is_url(text) else Path(text)


def is_remote(source: Source) -> bool:
    """Tell whether each look at a source is a request."""
    return isinstance(source, Remote) or (isinstance(source, Member) and source.archive.remote)


def facts(source: Source) -> FileFacts:
    """Return size and modification time; zeros when it is not there.

    A member has the time of its tar, a URL a number made of what its server says of the version.
    """
    match source:
        case Member(archive=archive, size=size):
            return FileFacts(size, archive.version)
        case Remote(url=url, size=-1):
            return FileFacts(*remote_facts(url))
        case Remote(size=size, version=version):
            return FileFacts(size, version)
        case Refused():
            return FileFacts(0, 0)
    try:
        state = source.stat()
    except OSError:
        return FileFacts(0, 0)
    return FileFacts(state.st_size, state.st_mtime_ns)


def read(source: Source) -> bytes:
    """Return all bytes of a picture file.

    Raises
    ------
    OSError
        With a plain reason: not there, no answer, a tar that is another one by now.
    """
    match source:
        case Member():
            return _read_member(source)
        case Remote(url=url, size=size):
            data = fetch(url, n_bytes=max(size, 0))
            if size not in (-1, len(data)):
                raise OSError(f"{len(data)} bytes came, and {size} were listed: it has changed")
            return data
        case Refused(reason=reason):
            raise OSError(reason)
    return source.read_bytes()


def sha256_of(source: Source) -> str:
    """Return the SHA-256 of a picture file; raises OSError as `read` does."""
    return file_sha256(source) if isinstance(source, Path) else sha256(read(source))


def readable(source: Source) -> bool:
    """Tell whether reading may succeed; of a URL, only a request could tell."""
    match source:
        case Member(archive=archive):
            return archive.remote or os.access(archive.place, os.R_OK)
        case Remote():
            return True
        case Refused():
            return False
    return os.access(source, os.R_OK)


@contextlib.contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open a picture file for its header: what is not read of a tar or a URL is not fetched.

    Raises
    ------
    OSError
        As `read` does.
    """
    match source:
        case Member(archive=archive, offset=offset, size=size):
            yield Window(lambda start, end: archive.part(offset + start, offset + end), size)
        case Remote(url=url, size=size):
            known = size if size != -1 else remote_facts(url)[0] or None
            yield Window(lambda start, end: fetch(url, start, end), known)
        case Refused(reason=reason):
            raise OSError(reason)
        case _:
            with open(source, "rb") as file:
                yield file


def _read_member(member: Member) -> bytes:
    archive, start = member.archive, member.offset
    if not archive.remote:
        data = archive.part(start, start + member.size)
    else:  # the header before it comes along: it tells whether this is still the tar it was
        data = archive.part(start - BLOCK, start + member.size)
        header, data = data[:BLOCK], data[BLOCK:]
        if header_size(header) not in (member.size, 0):
            raise OSError(f"{archive} is another tar than was listed: give the same command again")
    if len(data) != member.size:
        raise OSError(f"{archive} ends within it: {len(data)} of {member.size} bytes")
    return data
