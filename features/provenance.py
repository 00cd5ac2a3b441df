"""What a number was made with: versions, never part of a key."""

import importlib.metadata
import platform
from collections.abc import Iterable


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python, the machine, and those libraries that are installed."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for library in libraries:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
