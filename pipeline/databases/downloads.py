"""What a download leaves that went wrong or is not finished: web pages, pointers, halves, archives.

A file is judged by its first bytes and its length; nothing is unpacked.
"""

import re
import zipfile
from pathlib import Path

from features.errors import InputError

ARCHIVES = {  # suffix -> first bytes; those of .tar say nothing
    ".zip": b"PK",
    ".7z": b"7z\xbc\xaf'\x1c",
    ".rar": b"Rar!",
    ".tar": b"",
    ".gz": b"\x1f\x8b",
    ".tgz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".tbz2": b"BZh",
    ".xz": b"\xfd7zXZ",
    ".txz": b"\xfd7zXZ",
}
_UNFINISHED = (".part", ".partial", ".crdownload", ".opdownload", ".download", ".aria2")
_PART = re.compile(r"\.(z\d\d|r\d\d|part\d+\.rar|(zip|7z|rar|tar|gz)\.\d{2,3})$")


def refuse_others(path: Path) -> None:
    """Refuse what a failed download leaves under the name of a label file."""
    try:
        with open(path, "rb") as file:
            start = file.read(256).lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise InputError(f"{path} is empty: download it again")
    if start.startswith(b"<"):
        raise InputError(
            f"{path} is a web page and no label file: download the file itself, not the page that "
            "shows it"
        )
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a pointer of Git LFS and no label file: run git lfs pull")


def left_to_do(path: Path) -> str:
    """Return what an archive or an unfinished download asks for; empty for any other file."""
    name = path.name.lower()
    suffix = path.suffix.lower()
    if name.endswith(_UNFINISHED):
        return "is an unfinished download: finish it"
    if suffix in ARCHIVES and not _is_whole(path, suffix):
        return "is no whole archive: download it again (or join its parts)"
    if _PART.search(name):
        return "is a part of an archive: unpack all parts together here"
    return "is an archive: unpack it here" if suffix in ARCHIVES else ""


def _is_whole(path: Path, suffix: str) -> bool:
    if suffix == ".zip":
        return zipfile.is_zipfile(path)
    try:
        with open(path, "rb") as file:
            start = file.read(32)
        size = path.stat().st_size
    except OSError:
        return False
    if suffix == ".7z":  # it says where its list of files is, which comes last
        size -= int.from_bytes(start[12:20], "little") + int.from_bytes(start[20:28], "little")
    return start.startswith(ARCHIVES[suffix]) and size >= len(start) > 0


def one_line(error: Exception) -> str:
    """Return what an error of another library says, in one line that is not too long."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}..."
