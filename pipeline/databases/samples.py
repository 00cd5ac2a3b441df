"""What the samples of tars say beside their pictures: `.json` and `.txt`, by key.

A key is the path up to the first dot of the last name, as WebDataset has it.
"""

import json
from collections.abc import Callable, Sequence

import pandas as pd

from features.tar_headers import Entry

_MAX_BYTES = 1 << 20  # of a text that is read
_MAX_TEXT = 200  # letters of a value, but of the prompt's: what is longer is nothing to group by
PROMPT = "prompt"


def key_of(name: str) -> str:
    """Return the key of the sample that a member belongs to."""
    dot = name.find(".", name.rfind("/") + 1)
    return name if dot < 0 else name[:dot]


class Samples:
    """Texts of samples, as columns of a CSV would hold them."""

    READ = frozenset((".json", ".txt"))

    def __init__(self) -> None:
        self._values: dict[str, dict[str, str]] = {}
        self._texts: dict[str, str] = {}
        self._bad: list[str] = []
        self._large: list[str] = []
        self._same: dict[str, str] = {}  # one object for equal texts: a million groups repeat

    def add(self, name: str, dot: int, entry: Entry, part: Callable[[int, int], bytes]) -> None:
        """Read one member.

        Parameters
        ----------
        name : its path, whose key ends at `dot`
        part : returns bytes of the tar
        """
        if entry.size > _MAX_BYTES:
            self._large.append(name)
            return
        data = part(entry.offset, entry.offset + entry.size)
        try:
            if name[dot:] == ".txt":
                self._texts[name[:dot]] = _plain(data.decode("utf-8-sig")).strip()
            else:
                self._values[name[:dot]] = self._columns(json.loads(data))
        except (ValueError, AttributeError, RecursionError):
            self._bad.append(name)

    def _columns(self, values: dict) -> dict[str, str]:
        found = {}
        for key, value in values.items():
            text = _text(value)
            column = _plain(key).strip().lower()
            if text is not None and (len(text) <= _MAX_TEXT or column == PROMPT):
                same = self._same.setdefault
                found[same(column, column)] = same(text, text) if len(text) < 40 else text
        return found

    def take(self, other: "Samples", prefix: str) -> None:
        """Take in the samples of another tar, whose keys begin with `prefix` here."""
        self._values |= {prefix + key: values for key, values in other._values.items()}
        self._texts |= {prefix + key: text for key, text in other._texts.items()}
        self._bad += [prefix + name for name in other._bad]
        self._large += [prefix + name for name in other._large]

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        """Return a row of texts for each picture, empty where its sample says nothing."""
        index = range(len(names))
        if not self._values and not self._texts:
            return pd.DataFrame(index=index)
        keys = [key_of(name) for name in names]
        none: dict[str, str] = {}
        rows = [self._values.get(key, none) for key in keys]
        columns = list(dict.fromkeys(column for row in self._values.values() for column in row))
        table = pd.DataFrame(
            {
                column: pd.Series([row.get(column, "") for row in rows], dtype=object)
                for column in columns
            },
            index=index,
        )
        if self._texts:
            own = table[PROMPT] if PROMPT in table else [""] * len(keys)
            texts = [said or self._texts.get(key, "") for key, said in zip(keys, own, strict=True)]
            table[PROMPT] = pd.Series(texts, dtype=object)
        return table

    def problems(self) -> list[str]:
        """Return what could not be read."""
        kinds = {
            "members are no JSON objects or no text in UTF-8": self._bad,
            "members .json and .txt of over 1 MB are not read": self._large,
        }
        return [
            f"{len(names)} {text}, the first is {names[0]}"
            for text, names in kinds.items()
            if names
        ]


def _plain(text: str) -> str:
    """Return a text that a CSV in UTF-8 can hold: JSON can write halves of letters, and zeros."""
    return text.encode(errors="replace").decode().replace("\0", "")


def _text(value: object) -> str | None:
    """Return a value as a CSV would hold it; None for lists and the like."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _plain(value)
        case int() | float():
            return repr(value)
    return None
