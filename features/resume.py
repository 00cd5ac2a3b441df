"""What a run still has to do, and what there is when it is done: a plan against its cache.

A million pictures are columns here, not objects: where sizes and times agree, as they nearly always
do, no row is looked at alone.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features import sources
from features.cache.held import ABSENT, FAILED, GOOD, Held, digest_of
from features.cache.reading import ahead
from features.decode import MAX_MEGAPIXELS
from features.plan import Picture
from features.sources import Source

_CHUNK = 4096  # pictures whose files one thread asks for


@dataclass(frozen=True)
class Facts:
    """Size and time of each picture file of a plan, zeros where it is not there: (n,) int64."""

    size: np.ndarray
    mtime_ns: np.ndarray


@dataclass(frozen=True)
class Summary:
    """What a folder holds of a plan.

    Attributes
    ----------
    n_cached : pictures with a row, failed or not
    failures : name -> reason, sorted by name
    same_bytes : name -> the first name of a file with the very same bytes
    """

    n_cached: int
    failures: dict[str, str]
    same_bytes: dict[str, str]


def positions(pictures: Sequence[Picture]) -> dict[str, int]:
    """Return name -> place in the plan, by which the columns of all encoders go."""
    return {picture.name: place for place, picture in enumerate(pictures)}


def facts_of(pictures: Sequence[Picture]) -> Facts:
    """Ask for size and time of every picture file, once for all encoders.

    In threads: a disk in this machine answers at once, one behind a network after a while.
    """
    columns = np.zeros((2, len(pictures)), np.int64)
    starts = range(0, len(pictures), _CHUNK)
    found = ahead(lambda start: _facts(pictures[start : start + _CHUNK]), starts)
    for start, chunk in zip(starts, found, strict=True):
        columns[:, start : start + _CHUNK] = chunk
    return Facts(*columns)


def _facts(pictures: Sequence[Picture]) -> np.ndarray:
    """Return the (2, n) sizes and times; versions of one picture ask once."""
    chunk = np.zeros((2, len(pictures)), np.int64)
    before, known = None, (0, 0)
    for place, picture in enumerate(pictures):
        if picture.path is not before:
            before, known = picture.path, _size_and_time(picture.path)
        chunk[:, place] = known
    return chunk


def _size_and_time(path: Source) -> tuple[int, int]:
    if not isinstance(path, Path):
        there = sources.facts(path)
        return there.size, there.mtime_ns
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return state.st_size, state.st_mtime_ns


def pending(
    pictures: Sequence[Picture],
    held: Held,
    facts: Facts,
    *,
    prompted: bool = False,
    retry: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> set[str]:
    """Return the names that are not cached, have changed, or failed and are tried again.

    Parameters
    ----------
    pictures : the whole plan
    held : what the folder holds of it, its columns in the order of `positions`
    facts : of the same pictures, as `facts_of` gives them
    prompted : whether the encoder takes a text, so that another text is another embedding
    retry : try again whatever failed
    max_megapixels : what is beyond another limit now is tried again
    """
    n = len(pictures)
    if len(held.index) == n:
        rows = slice(0, n)
    else:  # a name stands there twice
        rows = np.fromiter((held.index[picture.name] for picture in pictures), np.int64, n)
    state, prompt = held.state[rows], held.prompt[rows]
    missing = state == ABSENT
    if retry:
        missing |= state == FAILED
    if prompted:
        texts = np.fromiter((digest_of(p.prompt) for p in pictures), np.uint64, n)
        missing |= texts != prompt
    else:
        missing |= prompt != 0
    unlike = (facts.size != held.size[rows]) | (facts.mtime_ns != held.mtime_ns[rows])
    # a file that cannot be read any more, as on a disk that is not mounted, does not take the place
    # of an embedding that was made
    unlike &= (facts.size != 0) | (facts.mtime_ns != 0)
    missing |= unlike & (facts.size != held.size[rows])
    names = {pictures[place].name for place in np.flatnonzero(missing)}
    for place in np.flatnonzero(~missing & (state == FAILED)):
        picture = pictures[place]
        if _mended(picture, held.reasons[held.index[picture.name]], max_megapixels):
            names.add(picture.name)
    names.update(_rewritten(pictures, held, np.flatnonzero(unlike & ~missing)))
    return names


def _mended(picture: Picture, reason: str, max_megapixels: float) -> bool:
    """Tell whether a failure lay in circumstances that are others now."""
    if "over the limit" in reason:
        return not reason.endswith(f"limit of {max_megapixels:g}")
    return reason.startswith("cannot be opened") and sources.readable(picture.path)


def _rewritten(pictures: Sequence[Picture], held: Held, places: Sequence[int]) -> Iterator[str]:
    """Yield the names of files of the same size and another time that hold other bytes.

    A copied folder has new times and the same bytes: they are read, in threads.
    """

    def changed(place: int) -> bool:
        picture = pictures[place]
        try:
            now = sources.sha256_of(picture.path)
        except OSError:
            return False
        return now.encode() != held.sha256[held.index[picture.name]]

    for place, other in zip(places, ahead(changed, places), strict=True):
        if other:
            yield pictures[place].name


def summary(pictures: Sequence[Picture], held: Held, twins: bool = True) -> Summary:
    """Return what there is of a plan, once everything is written.

    Parameters
    ----------
    held : brought up to date with `Held.add`
    twins : look for files with the very same bytes, too; not among distorted versions
    """
    places = sorted(held.reasons, key=lambda place: pictures[place].name)
    failures = {pictures[place].name: held.reasons[place] for place in places}
    same = _same_bytes(pictures, held) if twins else {}
    return Summary(len(held), failures, same)


def _same_bytes(pictures: Sequence[Picture], held: Held) -> dict[str, str]:
    """Return name -> the first name with the same digest, among embedded pictures."""
    good = np.flatnonzero(held.state == GOOD)
    # the last 16 digits, as a number, find the few that may be twins
    words = np.ascontiguousarray(held.sha256[good]).view(np.uint64).reshape(-1, 8)
    mixed = words[:, 6] ^ (words[:, 7] << np.uint64(1))
    _, inverse, count = np.unique(mixed, return_inverse=True, return_counts=True)
    maybe = good[count[inverse.ravel()] > 1]
    first: dict[bytes, str] = {}
    same = {}
    for place in sorted(maybe.tolist(), key=lambda place: pictures[place].name):
        name = pictures[place].name
        earlier = first.setdefault(bytes(held.sha256[place]), name)
        if earlier != name:
            same[name] = earlier
    return same
