"""The files under a folder, found once and without opening any; names match whatever their case.

Label files and disks differ in the case of names, and archives unpack one folder higher or lower
than expected. Links that lead out of the folder are listed and never followed.
"""

import os
import posixpath
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from features.errors import InputError
from pipeline.databases.downloads import left_to_do
from pipeline.databases.table import PICTURE_SUFFIXES, natural, under

# Folders that systems put beside those of people: bins, thumbnails, what fsck found.
_OF_SYSTEMS = {"__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir"}


def folded(name: str) -> str:
    """Return what two names of one file share: lower case, and one form of composed letters."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).lower()


class Tree:
    """What lies under a root.

    Attributes
    ----------
    root : the resolved folder
    files : folded path -> path under root as it is on the disk, with /
    clashes : (one, other) paths that differ only in case, or in how accents are written
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
        self._pictures: dict[str, list[str]] = {}
        self._links: dict[str, str] = {}  # folded folder/ that is a link -> folder/ it leads to
        pending = [""]
        while pending:
            pending += self._enter(pending.pop())
        self.clashes.sort()
        self.outside.sort(key=natural)

    def _enter(self, folder: str) -> list[str]:
        """Take in the files of one folder by name; return its folders, the last first."""
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(
                f"the folder {self.root / folder} cannot be read ({error.strerror}): give yourself "
                "the right to read it, or move it away"
            ) from error
        folders = []
        for entry in found:
            if entry.name.startswith("."):
                continue
            path = f"{folder}{entry.name}"
            if entry.is_symlink():
                if not self._follow(path):
                    continue
            elif entry.is_dir():
                if entry.name.lower() not in _OF_SYSTEMS:
                    folders.append(f"{path}/")
                continue
            elif not entry.is_file():
                continue
            self._exact.add(path)
            before = self.files.setdefault(folded(path), path)
            if before != path:
                self.clashes.append((before, path))
        return folders[::-1]

    def _follow(self, path: str) -> bool:
        """Note where a link leads; return whether that is a file under the root."""
        target = os.path.realpath(self.root / path)
        inside = os.path.relpath(target, self.root)
        if inside == ".." or inside.startswith("../"):
            self.outside.append(path)
            return False
        if os.path.isdir(target):
            self._links[f"{folded(path)}/"] = "" if inside == "." else f"{inside}/"
        return os.path.isfile(target)

    def find(self, name: str, folders: Iterable[str] = ("",)) -> str | None:
        """Return the path of a file in the first folder that has it, as it is on the disk.

        Raises
        ------
        InputError
            When the name leads out of the root.
        """
        paths = [f"{folder}/{name}" if folder else name for folder in folders]
        for path in paths:
            found = self._known(path)
            if found is not None:
                return found
        odd = name.startswith("/") or "/." in f"/{name}" or (self.outside and name in self.outside)
        if not odd and not self._links:
            return None
        # rare: hidden files, which are not listed, .. and links
        if odd:
            under(self.root, name)
        for path in map(self._linked, paths):
            found = self._known(path)
            if found is None and "/." in f"/{path}" and os.path.isfile(under(self.root, path)):
                found = path
            if found is not None:
                return found
        return None

    def _known(self, path: str) -> str | None:
        return path if path in self._exact else self.files.get(folded(path))

    def _linked(self, path: str) -> str:
        """Return a path without . and .. and without links to folders under the root."""
        path = posixpath.normpath(path)
        if path.startswith("/"):
            path = posixpath.relpath(path, self.root)
        while True:
            key = folded(path)
            link = next((link for link in self._links if key.startswith(link)), None)
            if link is None:
                return path
            # a link has as many parts as its name, whatever their length in other letters
            path = self._links[link] + path.split("/", link.count("/"))[-1]

    def pictures(self, folder: str = "") -> list[str]:
        """Return the pictures under a folder of the root, 2 before 10."""
        if folder not in self._pictures:  # a million names take seconds to put in order
            start = folded(f"{folder}/" if folder else "")
            self._pictures[folder] = sorted(
                (
                    path
                    for key, path in self.files.items()
                    if key.startswith(start) and os.path.splitext(key)[1] in PICTURE_SUFFIXES
                ),
                key=natural,
            )
        return list(self._pictures[folder])

    def label(self, *names: str, title: str = "the database", get: str = "") -> Path:
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
        better = self._better_roots(names)
        if better:
            places = " or ".join(map(str, better))
            raise InputError(
                f"{title}'s label file {names[0]} is not in {self.root}, but in {places}: give "
                f"--root {places}"
            )
        wanted = " or ".join(names[:3])
        lasts = (PurePosixPath(name).name for name in names)
        seen = next(filter(None, map(self.elsewhere, lasts)), None)
        raise InputError(
            f"expected {title}'s label file {wanted} under {self.root}, which is not there"
            + (f"; a file of that name is at {seen}: move it" if seen else "")
            + (f": {get}" if get and not seen else "")
            + self.archives_line()
        )

    def _better_roots(self, names: Iterable[str]) -> list[Path]:
        """Return folders below or above that hold one of these files where we expect it."""
        roots = {}
        for name in names:
            end = f"/{folded(name)}"
            for key, path in self.files.items():
                if key.endswith(end):
                    root = path.rsplit("/", end.count("/"))[0]
                    roots[root] = min(roots.get(root, natural(name)), natural(name))
        # one that is as near as another may belong to another database: both are named
        depth = min((root.count("/") for root in roots), default=0)
        near = sorted((root for root in roots if root.count("/") == depth), key=natural)
        above = self.above(names)
        return [self.root / root for root in near[:3]] or ([above] if above else [])

    def above(self, names: Iterable[str]) -> Path | None:
        """Return the folder above the root, or above that, that holds one of these files."""
        names = list(names)
        for folder in list(self.root.parents)[:2]:
            if any(_there(folder, name) for name in names):
                return folder
        return None

    def elsewhere(self, name: str, folders: Iterable[str] = ("",)) -> str | None:
        """Return some file of that name in a folder of these names, wherever that lies."""
        ends = [f"/{folder}/{name}".replace("//", "/") for folder in folders]
        ends = tuple(map(folded, ends))
        found = (path for key, path in self.files.items() if f"/{key}".endswith(ends))
        return min(found, default=None, key=natural)

    def archives(self) -> list[tuple[str, str]]:
        """Return (path, what to do) of archives and unfinished downloads, near the top."""
        found = [
            (path, left_to_do(self.root / path))
            for path in self.files.values()
            if path.count("/") <= 1
        ]
        # first what is no longer, or not yet, whole
        return sorted(
            ((path, what) for path, what in found if what),
            key=lambda one: ("unpack" in one[1], natural(one[0])),
        )

    def archives_line(self) -> str:
        """Return what archives and links that lead out ask for, as the end of a sentence."""
        lines = [f"{path} {what}" for path, what in self.archives()[:3]]
        return "".join(f"; {line}" for line in (*lines, *self.outside_lines()))

    def outside_lines(self) -> list[str]:
        """Return what to do about links that lead out of the root: one line, or none."""
        if not self.outside:
            return []
        first = self.outside[0]
        target = os.path.realpath(self.root / first)
        return [
            f"{len(self.outside)} links lead out of {self.root} and are not followed, the first is "
            f"{first} -> {target}: copy what they lead to, or give its folder as --root"
        ]


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
