"""What a caller can get wrong, said in one line.

Every message states what was expected, what came and what to do. The commands print it as it is,
without a traceback, and leave with `exit_code`.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Something that was asked for cannot be done as it stands."""

    exit_code = 1


class UsageError(InputError):
    """The request itself is wrong: an unknown name, an option that does not exist."""

    exit_code = 2


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is in no table: the nearest names, then all of them."""
    known = sorted(set(known))
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"unknown {kind} {name!r}: {hint}known are {', '.join(known)}")
