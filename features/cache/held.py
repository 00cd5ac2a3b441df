"""What a cache folder holds of a plan, in columns: a million pictures take some 90 MB."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from features.cache.columns import Columns
from features.cache.shards import DIGEST, OK, Row

ABSENT, GOOD, FAILED = 0, 1, 2


def digest_of(prompt: str) -> int:
    """Return 64 bits that stand for a prompt; 0 for none."""
    if not prompt:
        return 0
    return int.from_bytes(hashlib.blake2b(prompt.encode(), digest_size=8).digest()) or 1


class Held:
    """The newest row of each picture of a plan, without its embedding.

    Attributes
    ----------
    index : name -> place in the columns; rows of other names are left aside
    state : (n,) uint8, `ABSENT`, `GOOD` or `FAILED`
    size, mtime_ns : (n,) int64 of the picture file when its row was made
    sha256 : (n,) bytes, hexadecimal
    prompt : (n,) uint64, as `digest_of` gives it
    reasons : place -> why the picture has no embedding
    """

    def __init__(self, index: Mapping[str, int]) -> None:
        n = 1 + max(index.values(), default=-1)
        self.index = index
        self.state = np.zeros(n, np.uint8)
        self.size = np.zeros(n, np.int64)
        self.mtime_ns = np.zeros(n, np.int64)
        self.sha256 = np.zeros(n, DIGEST)
        self.prompt = np.zeros(n, np.uint64)
        self.reasons: dict[int, str] = {}

    def __contains__(self, name: str) -> bool:
        place = self.index.get(name, -1)
        return place >= 0 and self.state[place] != ABSENT

    def __len__(self) -> int:
        return int(np.count_nonzero(self.state))

    def take(self, columns: Columns) -> None:
        """Take in the rows of a shard; they replace earlier ones of the same names."""
        n, get = len(columns.names), self.index.get
        places = np.fromiter((get(name, -1) for name in columns.names), np.int64, n)
        known = np.flatnonzero(places >= 0)
        places = places[known]
        good = np.fromiter((status == OK for status in columns.status), bool, n)[known]
        self.state[places] = np.where(good, GOOD, FAILED)
        self.size[places] = columns.size[known]
        self.mtime_ns[places] = columns.mtime_ns[known]
        self.sha256[places] = columns.sha256[known]
        prompts = columns.notes.get("prompt")
        self.prompt[places] = [digest_of(prompts[i]) for i in known] if prompts else 0
        if good.all() and not self.reasons:
            return
        for place, at, fine in zip(places.tolist(), known.tolist(), good.tolist(), strict=True):
            if fine:
                self.reasons.pop(place, None)
            else:
                self.reasons[place] = columns.status[at]

    def add(self, rows: Iterable[Row]) -> None:
        """Take in rows that were just made."""
        for row in rows:
            place = self.index.get(row.name, -1)
            if place < 0:
                continue
            good = row.status == OK
            self.state[place] = GOOD if good else FAILED
            self.size[place], self.mtime_ns[place] = row.facts.size, row.facts.mtime_ns
            self.sha256[place] = row.facts.sha256
            self.prompt[place] = digest_of(row.notes.get("prompt", ""))
            self.reasons.pop(place, None)
            if not good:
                self.reasons[place] = row.status
