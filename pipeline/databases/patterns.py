"""What a user types for pictures that are not one folder on this disk: tars, patterns and URLs.

`shards-{000..099}.tar` and `{a,b}.tar` are written out, `*.tar` is what is there. Names come from
the pattern alone, so that a database is the same one however many tars there are.
"""

import glob
import hashlib
import itertools
import os
import re
from pathlib import Path, PurePosixPath

from features.errors import InputError, UsageError
from features.places import expand
from features.remote import is_url, matching, shown
from pipeline.databases.table import PICTURE_SUFFIXES, natural

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 100_000  # tars of one pattern


def is_tar(place: str) -> bool:
    """Tell by its name whether something is a tar, or a compressed one, which is refused later."""
    path = shown(place) if is_url(place) else place
    return path.lower().endswith(TAR_SUFFIXES)


def is_packed(db: str) -> bool:
    """Tell whether a user means tars or a URL, and neither a folder nor a CSV on this disk."""
    if is_url(db):
        return True
    return is_tar(db) and not expand(db).is_dir()


def is_picture(place: str) -> bool:
    """Tell by its name whether something is a picture."""
    path = shown(place) if is_url(place) else place
    return os.path.splitext(path)[1].lower() in PICTURE_SUFFIXES


def absolute(db: str) -> str:
    """Return a pattern from the root of the disk; a URL as it is."""
    return db if is_url(db) else os.path.abspath(expand(db))


def packed_name(db: str) -> str:
    """Name a database of tars after its pattern, with digits of where that is."""
    pattern = absolute(db)
    where = shown(pattern) if is_url(db) else pattern
    parts = [stem_of(where), *reversed(PurePosixPath(where).parts[:-1])]
    plain = (re.sub(r"[^\w.-]+", "-", re.sub("[{}]", "", part)).strip("-.") for part in parts)
    stem = next(filter(None, plain), "pictures")
    return f"{stem}-{hashlib.sha256(os.fsencode(where)).hexdigest()[:6]}"


def stem_of(place: str) -> str:
    """Return the last name of a tar without its suffix."""
    last = PurePosixPath(place).name
    return next((last[: -len(end)] for end in TAR_SUFFIXES if last.lower().endswith(end)), last)


def base_of(pattern: str) -> str:
    """Return the folder that all places of a pattern are in, as it is written there."""
    if not is_pattern(pattern):
        return pattern.rpartition("/")[0]
    static = re.split(r"[{*]|\[" if is_url(pattern) else r"[{*?]|\[", pattern)[0]
    return static.rpartition("/")[0]


def is_pattern(place: str) -> bool:
    """Tell whether more than one place may be meant."""
    if not is_url(place) and Path(place).exists():
        return False
    return bool(re.search(r"[{*]|\[" if is_url(place) else r"[{*?]|\[", place))


def tars_of(pattern: str) -> list[str]:
    """Return the tars that an absolute pattern names, those that it writes out in its order.

    Raises
    ------
    UsageError
        When it matches nothing.
    InputError
        When some that it writes out are not there. Those behind URLs show that when they are read.
    """
    if not is_pattern(pattern):
        found = [pattern]
    else:
        found = [one for written in _written_out(pattern) for one in _there(written)]
    if not found:
        raise UsageError(f"{_shown(pattern)}: there is no such tar")
    absent = [place for place in found if not is_url(place) and not os.path.isfile(place)]
    if absent:
        of = f"{len(absent)} of {len(found)} tars are" if len(found) > 1 else "this tar is"
        raise UsageError(f"{pattern}: {of} not there, the first is {absent[0]}")
    return list(dict.fromkeys(found))


def _written_out(pattern: str) -> list[str]:
    """Return a pattern once for each choice of its braces."""
    parts = _BRACES.split(pattern)
    choices = [
        _choices(part, pattern) if number % 2 else [part] for number, part in enumerate(parts)
    ]
    count = 1
    for each in choices:
        count *= len(each)
    if count > _MOST:
        raise UsageError(f"{_shown(pattern)}: stands for {count:,} tars, at most {_MOST:,} go")
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _choices(inside: str, pattern: str) -> list[str]:
    """Return what stands between braces: 000..099 counts with as many digits, a,b are a and b."""
    span = _RANGE.fullmatch(inside)
    if span:
        low, high = map(int, span.groups())
        if abs(high - low) >= _MOST:
            raise UsageError(f"{_shown(pattern)}: {{{inside}}} is over {_MOST:,} numbers")
        digits = max(map(len, span.groups())) if inside.startswith("0") else 0
        step = 1 if high >= low else -1
        return [f"{number:0{digits}d}" for number in range(low, high + step, step)]
    if "," not in inside:
        raise UsageError(
            f"{_shown(pattern)}: expected a range such as {{000..099}} or a list such as {{a,b}}, "
            f"found {{{inside}}}"
        )
    return inside.split(",")


def _there(place: str) -> list[str]:
    """Return what matches a pattern with * or [], 2 before 10; a place without them as it is."""
    if is_url(place):
        return sorted(matching(place), key=natural) if re.search(r"[*\[]", place) else [place]
    if not glob.has_magic(place) or os.path.exists(place):
        return [place]
    return sorted(glob.glob(place), key=natural)


def _shown(pattern: str) -> str:
    return shown(pattern) if is_url(pattern) else pattern


def refuse_other_urls(url: str) -> None:
    """Refuse the URL of a single file that is no tar.

    Raises
    ------
    InputError
        With what can be given instead.
    """
    suffix = PurePosixPath(shown(url)).suffix.lower()
    if suffix in PICTURE_SUFFIXES | {".csv", ".zip", ".parquet"}:
        raise InputError(
            f"--db {shown(url)}: expected a URL of tars or of a folder of pictures; download a "
            "CSV, and unpack other archives"
        )
