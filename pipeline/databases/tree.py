"""The files under a folder, found once and without opening any; names match whatever their case.

Label files and disks differ in the case of names, and archives unpack one folder higher or lower
than expected. Links that lead out of the folder are listed and never followed.
"""

import os
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from features.errors import InputError
from pipeline.databases.table import PICTURE_SUFFIXES, natural, under

ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz")
_UNFINISHED = (".part", ".crdownload", ".download", ".aria2")


def folded(name: str) -> str:
    """Return what two names of one file share: lower case, and one form of composed letters."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).lower()


class Tree:
    """What lies under a root.

    Attributes
    ----------
    root : the resolved folder
    files : folded path -> path under root as it is on the disk, with /
    clashes : (one, other) paths that differ only in case
    outside : links that lead out of the root
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        if not self.root.is_dir():
            raise InputError(f"there is no folder {root}")
        self.files: dict[str, str] = {}
        self.clashes: list[tuple[str, str]] = []
        self.outside: list[str] = []
        self._exact: set[str] = set()
        self._links = False
        pending = [""]
        while pending:
            pending += self._enter(pending.pop())
        self.clashes.sort()
        self.outside.sort(key=natural)

    def _enter(self, folder: str) -> list[str]:
        """Take in the files of one folder, in the order of their names; return its folders."""
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(
                f"the folder {error.filename} cannot be read: {error.strerror}"
            ) from error
        folders = []
        for entry in found:
            if entry.name.startswith("."):
                continue
            path = f"{folder}{entry.name}"
            if entry.is_symlink():
                if not self._stays(path):
                    self.outside.append(path)
                    continue
                self._links |= entry.is_dir()
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{path}/")
            elif entry.is_file():
                self._exact.add(path)
                before = self.files.setdefault(folded(path), path)
                if before != path:
                    self.clashes.append((before, path))
        return folders

    def _stays(self, path: str) -> bool:
        try:
            under(self.root, path)
        except InputError:
            return False
        return True

    def find(self, name: str, folders: Iterable[str] = ("",)) -> str | None:
        """Return the path of a file in the first folder that has it, as it is on the disk.

        Raises
        ------
        InputError
            When the name leads out of the root.
        """
        for folder in folders:
            path = f"{folder}/{name}" if folder else name
            found = path if path in self._exact else self.files.get(folded(path))
            if found is not None:
                return found
        if "/." in f"/{name}" or self._links or name in self.outside:
            # rare: a hidden file that a list names, or one behind a link to a folder inside
            return name if under(self.root, name).is_file() else None
        return None

    def pictures(self, folder: str = "") -> list[str]:
        """Return the pictures under a folder of the root, 2 before 10."""
        start = f"{folder}/" if folder else ""
        start = folded(start)
        return sorted(
            (
                path
                for key, path in self.files.items()
                if key.startswith(start) and os.path.splitext(key)[1] in PICTURE_SUFFIXES
            ),
            key=natural,
        )

    def label(self, *names: str, title: str = "the", get: str = "") -> Path:
        """Return the first of some label files that is there.

        Parameters
        ----------
        names : paths under the root, in order of preference
        title : of the database, for the error
        get : where the file comes from, for the error

        Raises
        ------
        InputError
            When none is there; it names the folder that --root should be, where that can be told.
        """
        for name in names:
            found = self.find(name)
            if found:
                return self.root / found
        better = self._better_root(names)
        if better:
            raise InputError(
                f"{title}'s label file {names[0]} is not in {self.root}, but in {better}: give "
                f"--root {better}"
            )
        wanted = " or ".join(names[:3])
        raise InputError(
            f"expected {title}'s label file {wanted} under {self.root}, which is not there"
            + (f": {get}" if get else "")
            + self.archives_line()
        )

    def _better_root(self, names: Iterable[str]) -> Path | None:
        """Return the folder above or below that holds one of these files where we expect it."""
        for name in names:
            end = f"/{folded(name)}"
            deeper = sorted(path for key, path in self.files.items() if key.endswith(end))
            if deeper:
                return self.root / deeper[0][: -len(end)]
        for folder in list(self.root.parents)[:2]:
            if any(_there(folder, name) for name in names):
                return folder
        return None

    def elsewhere(self, name: str) -> str | None:
        """Return some file of that last name, wherever it lies; None where there is none."""
        end = "/" + PurePosixPath(folded(name)).name
        found = (path for key, path in self.files.items() if f"/{key}".endswith(end))
        return min(found, default=None, key=natural)

    def archives(self) -> list[tuple[str, str]]:
        """Return (path, what is wrong) of archives and unfinished downloads at the top."""
        found = []
        for path in sorted(self.files.values()):
            if "/" in path:
                continue
            key = path.lower()
            if key.endswith(_UNFINISHED):
                found.append((path, "is an unfinished download: finish it"))
            elif key.endswith(".zip") and not zipfile.is_zipfile(self.root / path):
                found.append((path, "is no whole archive: download it again (or join its parts)"))
            elif key.endswith(ARCHIVES):
                found.append((path, "is an archive: unpack it here"))
        return found

    def archives_line(self) -> str:
        """Return what the archives say, as the end of a sentence; empty without archives."""
        return "".join(f"; {path} {what}" for path, what in self.archives()[:3])


def _there(folder: Path, name: str) -> bool:
    """Say whether a folder has a file, whatever the case of its path."""
    for part in PurePosixPath(name).parts:
        try:
            names = {folded(entry): entry for entry in os.listdir(folder)}
        except OSError:
            return False
        if folded(part) not in names:
            return False
        folder = folder / names[folded(part)]
    return folder.is_file()
