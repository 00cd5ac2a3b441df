"""The pictures of tars, and of folders behind URLs, listed without opening one.

Nothing is unpacked: headers say where each picture of a tar lies, and only they, `.json` and `.txt`
are read. A row is called by its path in the tar; where a pattern was given, each name begins with
that of its tar, however many tars match it, so that one more renames nothing.
"""

import functools
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from features.errors import InputError
from features.progress import progress
from features.remote import canonical, is_url, listed, reason_of, shown
from features.sources import Member, Refused, Remote, Source, place_of
from features.tar_headers import Entry, Headers
from features.tars import Archive, archive_of, reading
from pipeline.databases.patterns import (
    absolute,
    base_of,
    is_pattern,
    is_picture,
    is_tar,
    refuse_other_urls,
    stem_of,
    tars_of,
)
from pipeline.databases.samples import Samples, key_of
from pipeline.databases.table import PICTURE_SUFFIXES, natural

_ENDINGS = frozenset(suffix.removeprefix(".") for suffix in PICTURE_SUFFIXES)
_HIDDEN = re.compile(r"(^|/)(\.(?!\.(/|$))|__macosx/)", re.IGNORECASE)
_REQUESTS = 8  # remote tars whose headers are read at a time
_BETWEEN = "::"


@dataclass
class Packed:
    """Pictures that are no files of a folder on this disk.

    Attributes
    ----------
    root : the folder that holds the tars, or the pictures
    names, images, sources : of each picture its row's name, where it is under root, and its bytes
    samples : what the tars say beside the pictures
    n_shared : pictures whose sample has another one before them
    """

    root: Path | Remote
    names: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    samples: Samples = field(default_factory=Samples)
    n_shared: int = 0
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Return what the samples say, as a CSV would: a row of texts for each picture."""
        return self.samples.table(self.names)


@dataclass
class _Tar:
    """What one tar holds."""

    archive: Archive
    entries: dict[str, Entry] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples)
    n_twice: int = 0
    problem: str = ""


def read_packed(db: str) -> Packed:
    """List the pictures of a tar, of a pattern of tars, or of a folder behind a URL.

    Raises
    ------
    UsageError
        When there is no such tar, or URLs of that kind cannot be read here.
    InputError
        When something is no tar, or does not answer.
    """
    pattern = absolute(db)
    if is_url(pattern):
        pattern = canonical(pattern)
        if not is_tar(pattern):
            return _folder(pattern)
    shown_pattern = shown(pattern) if is_url(pattern) else pattern
    places = tars_of(pattern)
    base = base_of(pattern)
    packed = Packed(place_of(base or "/"))
    several = is_pattern(pattern)
    for tar in _tars(places):
        place = tar.archive.place.removeprefix(base).lstrip("/")
        stem = place[: len(place) - len(Path(place).name)] + stem_of(place)
        _add(packed, tar, place, f"{stem}/" if several else "")
    if not packed.names:
        lines = "".join(f"; {line}" for line in packed.problems)
        raise InputError(f"{shown_pattern}: no picture found in {len(places)} tars{lines}")
    if packed.n_shared:
        packed.remarks.append(
            f"{packed.n_shared} pictures are further ones of their sample; each is a row of its "
            "own name"
        )
    packed.problems += packed.samples.problems()
    return packed


def _tars(places: Sequence[str]) -> Iterable[_Tar]:
    if len(places) > 1 and is_url(places[0]):
        with ThreadPoolExecutor(_REQUESTS) as pool, progress(len(places), "tars", "tar") as bar:
            for tar in pool.map(_read_tar, places):
                bar.update()
                yield tar
        return
    with progress(len(places), "tars", "tar") as bar:
        for place in places:
            yield _read_tar(place)
            bar.update()


def _read_tar(place: str) -> _Tar:
    tar = _Tar(archive_of(place))
    try:
        with reading(tar.archive) as part:
            headers = Headers(part, tar.archive.size, str(tar.archive))
            for entry in headers:
                name = _clean(entry.name)
                folder_end = name.rfind("/") + 1
                dot = name.find(".", folder_end)
                if dot < 0 or _is_hidden(name):
                    continue
                if name[name.rfind(".") + 1 :].lower() in _ENDINGS:
                    tar.n_twice += name in tar.entries
                    tar.entries[name] = entry  # a later one of the same name stands for it
                elif name[dot:] in Samples.READ and not entry.refused:
                    tar.samples.add(name, dot, entry, part)
    except OSError as error:
        raise InputError(
            f"{tar.archive} cannot be read ({reason_of(error)}): give the same command again when "
            "it can"
        ) from error
    tar.problem = headers.problem
    return tar


def _clean(name: str) -> str:
    """Return a path of a tar without what says nothing: ./ and / at its start."""
    while name.startswith(("./", "/")):
        name = name[1:] if name[0] == "/" else name[2:]
    return name


def _is_hidden(name: str) -> bool:
    return (name[0] in "._" or "/." in name) and bool(_HIDDEN.search(name))


def _add(packed: Packed, tar: _Tar, place: str, prefix: str) -> None:
    """Add the rows of one tar."""
    archive = tar.archive
    for inner, entry in tar.entries.items():
        name = prefix + inner if prefix else inner
        packed.names.append(name)
        packed.images.append(f"{place}{_BETWEEN}{inner}")
        packed.sources.append(_source(archive, inner, entry))
    packed.samples.take(tar.samples, prefix)
    packed.n_shared += len(tar.entries) - len(set(map(key_of, tar.entries)))
    if tar.problem:
        packed.problems.append(tar.problem)
    if tar.n_twice:
        packed.problems.append(
            f"{archive}: {tar.n_twice} pictures stand there again under the same name, and the "
            "last of a name is taken"
        )


def _source(archive: Archive, inner: str, entry: Entry) -> Source:
    if entry.refused:
        return Refused(f"{archive}{_BETWEEN}{inner}", entry.refused)
    return Member(archive, inner, entry.offset, entry.size)


def _folder(url: str) -> Packed:
    """List the pictures of a folder behind a URL."""
    refuse_other_urls(url)
    start = url.rstrip("/") + "/"
    found = {place.removeprefix(start): facts for place, facts in listed(start).items()}
    names = sorted((name for name in found if is_picture(name)), key=natural)
    names = [name for name in names if not _HIDDEN.search(name)]
    packed = Packed(Remote(url.rstrip("/")), names, names)
    packed.sources = [Remote(f"{start}{name}", *found[name]) for name in names]
    if not names:
        raise InputError(f"{packed.root}: {_no_picture([name for name in found if is_tar(name)])}")
    return packed


def _no_picture(tars: Sequence[str]) -> str:
    if not tars:
        return "no picture found in this folder"
    return f"no picture found, but {len(tars)} tars: give them as FOLDER/*.tar, in quotation marks"


def refuse_tars(root: Path) -> None:
    """Say how tars are given, where a folder without pictures has some.

    Raises
    ------
    InputError
        When that is so.
    """
    tars = [name for name in sorted(os.listdir(root)) if is_tar(name)]
    if tars:
        raise InputError(f"{root}: {_no_picture(tars)}".replace("FOLDER", str(root)))


def located(root: Path | Remote, images: Sequence[str]) -> list[Source]:
    """Return where the pictures of a table are: column image, under its root.

    Raises
    ------
    InputError
        When a tar is not there any more.
    """
    found: list[Source] = []
    archives: dict[str, Archive] = {}
    for image in images:
        tar, between, inner = image.partition(_BETWEEN)
        if not (between and is_tar(tar)):
            found.append(root / image)
            continue
        if tar not in archives:
            place = root / tar
            archives[tar] = archive_of(place.url if isinstance(place, Remote) else str(place))
        entry = _entries(archives[tar]).get(inner)
        gone = Entry(inner, 0, 0, "it is not in the tar any more")
        found.append(_source(archives[tar], inner, entry or gone))
    return found


@functools.lru_cache(4)
def _entries(archive: Archive) -> dict[str, Entry]:
    return _read_tar(archive.place).entries
