"""Bytes behind URLs, through fsspec: whole, in parts, and lists of a folder.

Whatever fails comes as an OSError with a plain reason. A request that is not answered within
`TIMEOUT` seconds, and one for each megabyte, fails: a server that goes away must not hold up a run.
"""

import functools
import hashlib
import os
import re
import threading
from collections.abc import Callable

from features.errors import InputError, UsageError

TIMEOUT = 120.0  # seconds
_LISTING = 3600.0  # seconds for a list, which may have a million lines
MAX_WHOLE = 1 << 30  # bytes of a file that is kept in memory, where its server gives no parts
# What file systems say of a version, the surest first.
_VERSIONS = ("etag", "content-md5", "md5hash", "generation", "version_id", "mtime")
_VERSIONS += ("lastmodified", "last_modified", "last-modified", "updated", "modified", "created")
_one = threading.Lock()


def is_url(place: str | os.PathLike) -> bool:
    """Tell a URL from a path."""
    return "://" in os.fspath(place)


def shown(url: str) -> str:
    """Return a URL as it may be printed and stored: without user, password and signature."""
    scheme, between, rest = url.partition("://")
    if scheme.endswith(("http", "https")):  # elsewhere a ? is a letter like others
        rest = re.split(r"[?#]", rest)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}{between}{host.rpartition('@')[2]}{slash}{path}"


def file_system(url: str) -> tuple:
    """Return fsspec's file system of a URL, and what the URL is called there.

    Raises
    ------
    UsageError
        When there is no such kind of URL, or its package is not installed.
    """
    scheme = url.partition("://")[0]
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// needs a package that is not installed ({_line(error)}): install it, or "
            "download the files and give their path"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{shown(url)}: {_line(error)}: expected s3://, https:// or such"
        ) from error


def canonical(url: str) -> str:
    """Return a URL as the listings of its file system write it."""
    if "::" in url:  # of several file systems in one another
        return url
    system, path = file_system(url)
    return system.unstrip_protocol(path)


def fetch(url: str, start: int | None = None, end: int | None = None, n_bytes: int = 0) -> bytes:
    """Return the bytes of a file from `start` up to `end`, or all.

    Parameters
    ----------
    n_bytes : about how many they are, where that is known: large files may take longer

    Raises
    ------
    OSError
        When they do not come.
    """
    data = _asked(url, "cat_file", n_bytes, start=start, end=end)
    if start is not None and end is not None and len(data) > end - start:
        return data[start:end]  # a web server without byte ranges answers with all
    return data


def gives_parts(url: str) -> bool:
    """Tell whether a part of a file can be asked for: some web servers give all or nothing.

    Raises
    ------
    OSError
        When there is no answer.
    """
    system, path = file_system(url)
    if not url.startswith(("http://", "https://")):
        return True
    try:
        with system.open(path, "rb", block_size=1, cache_type="none") as file:
            file.seek(1)  # from the start on, some parts are as good as all
            return len(file.read(1)) <= 1
    except ValueError:  # which fsspec raises before it has read all
        return False
    except Exception as error:
        raise OSError(_line(error).replace(url, shown(url))) from error


def remote_facts(url: str) -> tuple[int, int]:
    """Return size and a number for the version of a file; zeros when it is not there."""
    try:
        size, version = stated(url)
    except OSError:
        return 0, 0
    return max(size, 0), version


def stated(url: str) -> tuple[int, int]:
    """Return the same; raises OSError when there is no answer."""
    return version_of(_asked(url, "info"))


def version_of(info: dict) -> tuple[int, int]:
    """Return size and a number for the version, from what a file system says of a file.

    The size is -1 where it is not said, as in lists of web servers.
    """
    lower = {str(key).lower(): value for key, value in info.items()}
    said = next((str(lower[key]) for key in _VERSIONS if lower.get(key)), "")
    number = int.from_bytes(hashlib.sha256(said.encode()).digest()[:7]) if said else 0
    size = lower.get("size")
    return -1 if size is None else int(size), number


def whole(url: str, size: int, version: int) -> bytes:
    """Return all of a file, kept until another is asked for.

    Raises
    ------
    OSError
        When it does not come, or is another one by now.
    """
    with _one:  # one thread fetches, the others wait for it
        return _whole(url, size, version)


@functools.lru_cache(1)
def _whole(url: str, size: int, version: int) -> bytes:
    del version  # another one is another file
    data = fetch(url, n_bytes=size)
    if len(data) != size:
        raise OSError(f"{len(data)} bytes came, and {size} were listed: it has changed")
    return data


def listed(url: str) -> dict[str, tuple[int, int]]:
    """Return URL -> (size, version) of all files in a folder and those below it.

    Raises
    ------
    InputError
        When it cannot be listed.
    """
    system, _ = file_system(url)
    options = {}
    if _walks(system):  # else a folder that does not answer would have no files
        options["on_error"] = "raise"
    return _sizes(url, "find", detail=True, **options)


def _walks(system) -> bool:
    """Tell whether a file system lists folder by folder, as fsspec does without its help."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    if system.async_impl:
        return type(system)._find is AsyncFileSystem._find
    return type(system).find is AbstractFileSystem.find


def matching(url: str) -> list[str]:
    """Return the URLs that match a pattern with * or [], in no order; raises as `listed` does."""
    return list(_sizes(url, "glob", detail=True))


def _sizes(url: str, question: str, **options) -> dict[str, tuple[int, int]]:
    system, _ = file_system(url)
    system.invalidate_cache()  # a listing is for now, not for the time of an earlier one
    try:
        found = _asked(url, question, **options)
    except OSError as error:
        raise InputError(
            f"{shown(url)} cannot be listed ({reason_of(error)}): check the address, the network "
            "and your rights, then give the same command again"
        ) from error
    return {
        system.unstrip_protocol(path): version_of(info)
        for path, info in found.items()
        if info.get("type") != "directory"
    }


def reason_of(error: OSError) -> str:
    """Return what went wrong in a few words."""
    return error.strerror or str(error) or type(error).__name__


def _asked(url: str, question: str, n_bytes: int = 0, **options):
    """Ask a file system, whatever it raises, and wait no longer than the answer may take."""
    system, path = file_system(url)
    limit = _LISTING if question in ("find", "glob") else TIMEOUT + n_bytes / 1e6
    try:
        if system.async_impl:
            from fsspec.asyn import sync

            ask: Callable = getattr(system, f"_{question}")
            return sync(system.loop, ask, path, timeout=limit, **options)
        return getattr(system, question)(path, **options)
    except FileNotFoundError as error:
        raise FileNotFoundError(2, "No such file or directory") from error
    except TimeoutError as error:
        raise OSError(f"no answer in {limit:g} seconds") from error
    except Exception as error:  # each file system raises classes of its own
        text = _line(error).replace(url, shown(url))
        raise OSError(text) from error


def _line(error: Exception) -> str:
    """Return an error's text, or its name, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
