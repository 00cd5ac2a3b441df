"""Tars as files with places: parts of them are read where they lie, from a disk or behind a URL."""

import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from features.errors import InputError
from features.remote import MAX_WHOLE, fetch, gives_parts, is_url, reason_of, shown, stated, whole

BLOCK = 512  # bytes of a header
_FETCHED = 1 << 16  # bytes that are read at a time where only the start of a picture is wanted
_OPEN = 16  # tars that are kept open
_AHEAD = 4 << 20  # bytes that are asked for at a time where the headers of a remote tar are read


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar as it was when its headers were read; one for all of its members.

    Attributes
    ----------
    place : absolute path, or URL
    ranges : whether a part of it can be asked for; some web servers give all or nothing
    """

    place: str
    size: int
    version: int
    ranges: bool = True

    @property
    def remote(self) -> bool:
        """Whether it lies behind a URL; no absolute path holds a double slash."""
        return is_url(self.place)

    def __str__(self) -> str:
        return shown(self.place) if self.remote else self.place

    def part(self, start: int, end: int) -> bytes:
        """Return its bytes from `start` up to `end`; fewer where it ends before.

        Raises
        ------
        OSError
            When it cannot be read, or is not the one any more whose headers were read.
        """
        if not self.remote:
            return _local_part(self, start, end)
        if not self.ranges:
            return whole(self.place, self.size, self.version)[start:end]
        return fetch(self.place, start, end, n_bytes=end - start)


def archive_of(place: str) -> Archive:
    """Return a tar as it is now, unread.

    Parameters
    ----------
    place : absolute path, or URL

    Raises
    ------
    InputError
        When it cannot be opened.
    """
    shown_place = shown(place) if is_url(place) else place
    try:
        if not is_url(place):
            state = os.stat(place)
            return Archive(place, state.st_size, state.st_mtime_ns)
        size, version = stated(place)
        ranges = gives_parts(place)
    except OSError as error:
        raise InputError(
            f"{shown_place} cannot be opened ({reason_of(error)}): check that it is there and that "
            "you may read it, then give the same command again"
        ) from error
    if size < 0:
        raise InputError(f"{shown_place}: its server does not say how large it is: download it")
    if not ranges and size > MAX_WHOLE:
        raise InputError(
            f"{shown_place}: its server gives no byte ranges, and {size:,} bytes are too many to "
            "keep: download it and give its path"
        )
    return Archive(place, size, version, ranges)


@contextlib.contextmanager
def reading(archive: Archive) -> Iterator[Callable[[int, int], bytes]]:
    """Give a function that returns parts of a tar, quickest when asked for from front to back."""
    if archive.remote:
        yield _Ahead(archive)
        return
    handle = _Handle(archive.place)
    yield lambda start, end: os.pread(handle.number, end - start, start)


class _Ahead:
    """Parts of a remote tar, of which some megabytes are fetched at a time."""

    def __init__(self, archive: Archive) -> None:
        self._archive, self._start, self._data = archive, 0, b""

    def __call__(self, start: int, end: int) -> bytes:
        end = min(end, self._archive.size)
        if not self._start <= start <= end <= self._start + len(self._data):
            last = min(max(end, start + _AHEAD), self._archive.size)
            data = self._archive.part(start, last) if start < last else b""
            self._start, self._data = start, data
        return self._data[start - self._start : end - self._start]


class Window(io.RawIOBase):
    """A file that is fetched in blocks as they are read, and keeps them.

    Parameters
    ----------
    part : returns the bytes from a first up to a second place, fewer at the end
    size : where it ends; None where that is not known
    """

    def __init__(
        self, part: Callable[[int, int], bytes], size: int | None, block: int = _FETCHED
    ) -> None:
        self._part, self._size, self._block = part, size, block
        self._blocks: dict[int, bytes] = {}
        self._position = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it has places."""
        return True

    def tell(self) -> int:
        """Return the place in it."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end(whence)}
        self._position = max(0, start[whence] + offset)
        return self._position

    def _end(self, whence: int) -> int:
        if whence == os.SEEK_END and self._size is None:
            self._size = len(self._part(0, 1 << 62))
        return self._size or 0

    def readinto(self, buffer) -> int:
        """Read at most one block."""
        number, start = divmod(self._position, self._block)
        if number not in self._blocks:
            top = number * self._block
            end = top + self._block if self._size is None else min(top + self._block, self._size)
            self._blocks[number] = self._part(top, end) if top < end else b""
        piece = self._blocks[number][start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, all that are left without a number."""
        pieces, left = [], size if size is not None and size >= 0 else 1 << 62
        while left and (piece := super().read(min(left, self._block))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


class _Handle:
    """An open file, closed when the last who reads it lets go of it."""

    def __init__(self, path: str) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


@functools.lru_cache(_OPEN)
def _handle(archive: Archive) -> _Handle:
    """Open a tar, or return it as it is open: a million members are not a million openings."""
    return _Handle(archive.place)


def _local_part(archive: Archive, start: int, end: int) -> bytes:
    handle = _handle(archive)
    pieces = []
    while start < end:
        piece = os.pread(handle.number, end - start, start)  # threads share it: it has no place
        if not piece:
            break
        pieces.append(piece)
        start += len(piece)
    state = os.fstat(handle.number)  # afterwards: what was written over meanwhile shows, too
    if (state.st_size, state.st_mtime_ns) != (archive.size, archive.version):
        _handle.cache_clear()
        raise OSError(f"{archive} was changed while it was read: give the same command again")
    return b"".join(pieces)


def header_size(header: bytes) -> int:
    """Return the size that a tar's header states, -1 where it is none."""
    try:
        if header[124] & 0x80:  # beyond 8 GB
            return int.from_bytes(header[125:136])
        stated = int(header[148:156].strip(b" \0") or b"-1", 8)
        if stated != sum(header) - sum(header[148:156]) + 8 * 32:
            return -1
        return int(header[124:136].strip(b" \0") or b"0", 8)
    except (ValueError, IndexError):
        return -1
