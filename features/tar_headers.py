"""What a tar holds, from its headers alone: names, places and sizes; no picture is read.

Plain members are read here, some microseconds each; whatever is rare, the standard library's
tarfile reads at its place. A header is 512 bytes; what it describes follows, padded to 512.
"""

import tarfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from features.errors import InputError
from features.tars import BLOCK, Window, header_size

_PACKED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
}
_FILE, _PAX, _LONG_NAME = (b"0", b"\0"), b"x", b"L"
_MAX_NAME = 1 << 20  # bytes of a header's own data
# Records of PAX that say where or what the data are; tarfile understands them all.
_TELLING = (b"GNU.sparse", b"hdrcharset", b"size=")


class Entry(NamedTuple):
    """One file of a tar: its bytes start at `offset`; `refused` says why it is not to be read."""

    name: str
    offset: int
    size: int
    refused: str = ""


class Headers:
    """The files of a tar, in its order; folders and devices are passed by.

    Parameters
    ----------
    part : returns the bytes from a first up to a second place, fewer at the end
    size : bytes of the whole tar
    place : what it is called, for errors

    Attributes
    ----------
    problem : once all is read, why the rest of it was not; empty where it is whole
    """

    def __init__(self, part: Callable[[int, int], bytes], size: int, place: str) -> None:
        self._part, self._size, self._place = part, size, place
        self.problem = ""

    def __iter__(self) -> Iterator[Entry]:
        """Yield the files.

        Raises
        ------
        InputError
            When it is no tar, or a compressed one.
        OSError
            When it cannot be read.
        """
        position, count, name = 0, 0, None
        while True:
            header = self._part(position, position + BLOCK)
            if position == 0:
                self._refuse(header)
            if len(header) < BLOCK or not header[0]:
                self.problem = self._ending(header, position, count)
                return
            size, kind = header_size(header), header[156:157]
            if size < 0 and kind in _FILE:
                size, kind = 0, b"?"
            follows = position + BLOCK
            end = follows + -(-size // BLOCK) * BLOCK
            if kind in (_PAX, _LONG_NAME, b"K", b"g") and not 0 <= size <= _MAX_NAME:
                self.problem = self._damaged(position, count)
                return
            if kind in (_PAX, _LONG_NAME) and follows + size > self._size:
                self.problem = self._ending(b"", position, count)
                return
            if kind == _PAX:
                found = _pax_name(self._part(follows, follows + size))
                if found is not None:
                    name, position = found or name, end
                    continue
            elif kind == _LONG_NAME:
                name = _text(self._part(follows, follows + size).rstrip(b"\0"))
                position = end
                continue
            elif kind in _FILE:
                entry = Entry(_name(header) if name is None else name, follows, size)
                if follows + size > self._size:
                    self.problem = self._cut(entry, count)
                    return
                name, position = None, end
                if not entry.name.endswith("/"):  # so folders were written long ago
                    count += 1
                    yield entry
                continue
            elif kind == b"5":
                name, position = None, follows
                continue
            try:
                position, entry = self._rare(position, name)
            except (tarfile.TarError, ValueError):
                self.problem = self._damaged(position, count)
                return
            name = None
            if entry:
                if not entry.refused and entry.offset + entry.size > self._size:
                    self.problem = self._cut(entry, count)
                    return
                count += 1
                yield entry

    def _rare(self, position: int, name: str | None) -> tuple[int, Entry | None]:
        """Let tarfile read one header and what belongs to it; return where the next one is."""
        window = Window(self._part, self._size)
        window.seek(position)
        tar = tarfile.TarFile(fileobj=window, encoding="utf-8", errors="surrogateescape")
        info = tar.next()
        if info is None or tar.offset <= position or info.size < 0:
            raise tarfile.HeaderError("no header")
        name = name or _text(info.name.encode(errors="surrogateescape"))
        reason = ""
        if info.issparse():
            reason = "it is stored as a sparse file: pack the tar without --sparse"
        elif info.islnk():
            reason = f"it is a hard link to {info.linkname}: pack the tar with --hard-dereference"
        elif info.issym():
            reason = f"it is a link to {info.linkname}: pack the tar with --dereference"
        elif not info.isreg():
            return tar.offset, None
        return tar.offset, Entry(name, info.offset_data, info.size, reason)

    def _refuse(self, header: bytes) -> None:
        for magic, (kind, tool) in _PACKED.items():
            if header.startswith(magic):
                raise InputError(
                    f"{self._place} is compressed ({kind}), so that pictures cannot be read at "
                    f"their places: unpack it with {tool} and give the .tar"
                )
        if len(header) < BLOCK or (header.strip(b"\0") and header_size(header) < 0):
            try:
                tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            except tarfile.HeaderError:
                raise InputError(
                    f"{self._place} is no tar ({self._size} bytes): get it again, or pack the "
                    "pictures with tar -cf"
                ) from None

    def _ending(self, header: bytes, position: int, count: int) -> str:
        """Return what is wrong with the end, nothing where two empty blocks and no more are."""
        if len(header) < BLOCK:
            return (
                f"{self._place} ends at byte {self._size} without its end mark: the {count} files "
                "before are used; get it again where there should be more"
            )
        if header.strip(b"\0"):
            return self._damaged(position, count)
        beyond = self._part(position + BLOCK, position + 2 * BLOCK + (1 << 16))
        if beyond.strip(b"\0"):
            return (
                f"{self._place} goes on behind its end mark at byte {position}, as where tars were "
                f"joined with cat: only the {count} files before are used; join with tar -A"
            )
        return ""

    def _cut(self, entry: Entry, count: int) -> str:
        return (
            f"{self._place} ends at byte {self._size}, within {entry.name}: the {count} files "
            "before are used; get it again"
        )

    def _damaged(self, position: int, count: int) -> str:
        return (
            f"{self._place} is damaged at byte {position}: the {count} files before are used; get "
            "it again"
        )


def _pax_name(records: bytes) -> str | None:
    """Return the name that PAX records give, empty without one; None where tarfile must look."""
    name = ""
    while records.strip(b"\0"):
        length, _, rest = records.partition(b" ")
        try:
            record = records[len(length) + 1 : int(length) - 1]
        except ValueError:
            return None
        if record.startswith(_TELLING) or not rest or int(length) <= len(length) + 1:
            return None
        if record.startswith(b"path="):
            name = _text(record[5:])
        records = records[int(length) :]
    return name


def _name(header: bytes) -> str:
    name = header[:100].rstrip(b"\0") if header[99] else header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0" and header[345]:
        name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    return _text(name)


def _text(name: bytes) -> str:
    """Return a name as text; bytes that are no UTF-8 as \\xe4."""
    return name.decode("utf-8", "backslashreplace")
