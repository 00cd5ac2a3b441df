"""The databases. To add one: a file with a reader beside this one, and a line here."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from features.errors import UsageError, unknown_name
from features.places import expand
from pipeline.databases.agiqa1k import AGIQA1K
from pipeline.databases.agiqa3k import AGIQA3K
from pipeline.databases.aigciqa2023 import AIGCIQA2023
from pipeline.databases.ava import AVA
from pipeline.databases.bid import BID
from pipeline.databases.cid2013 import CID2013
from pipeline.databases.clive import CLIVE
from pipeline.databases.csiq import CSIQ
from pipeline.databases.flive import FLIVE
from pipeline.databases.gfiqa import GFIQA
from pipeline.databases.kadid import KADID
from pipeline.databases.known import Known, Labels, open_labels
from pipeline.databases.koniq import KONIQ, KONIQ_SMALL
from pipeline.databases.live import LIVE
from pipeline.databases.own import OWN, csv_labels, folder_labels, own_name
from pipeline.databases.packed import Packed, read_packed, refuse_tars
from pipeline.databases.patterns import is_packed, packed_name
from pipeline.databases.pcuid import PCUID
from pipeline.databases.pipal import PIPAL
from pipeline.databases.pools import CERTH_BLUR, COCO, KADIS, VOC2012
from pipeline.databases.sample import SAMPLE
from pipeline.databases.shards import open_packed, packed_labels
from pipeline.databases.spaq import SPAQ, SPAQ_RESIZED
from pipeline.databases.table import Database, Target
from pipeline.databases.tid2013 import TID2013
from pipeline.databases.tree import Tree
from pipeline.databases.uhdiqa import UHDIQA
from pipeline.databases.uwiqa import UWIQA

__all__ = [
    "DATABASES",
    "Database",
    "Known",
    "Source",
    "Target",
    "aliases",
    "cache_name",
    "folder_of",
    "known_name",
    "locate",
]

DATABASES: dict[str, Known] = {
    "sample": SAMPLE,
    # distorted copies of references
    "live": LIVE,
    "csiq": CSIQ,
    "tid2013": TID2013,
    "kadid": KADID,
    "pipal": PIPAL,
    # photographs as people took them
    "koniq": KONIQ,
    "koniq-512x384": KONIQ_SMALL,
    "spaq": SPAQ,
    "spaq-resized": SPAQ_RESIZED,
    "clive": CLIVE,
    "flive": FLIVE,
    "bid": BID,
    "cid2013": CID2013,
    "uhd-iqa": UHDIQA,
    "ava": AVA,
    "gfiqa": GFIQA,
    # under water
    "uwiqa": UWIQA,
    "pcuid": PCUID,
    # made by machines from prompts
    "agiqa-1k": AGIQA1K,
    "agiqa-3k": AGIQA3K,
    "aigciqa2023": AIGCIQA2023,
    # pools without scores
    "kadis": KADIS,
    "coco": COCO,
    "voc2012": VOC2012,
    "certh-blur": CERTH_BLUR,
}


@dataclass(frozen=True)
class Source:
    """A database that was asked for: what reads it, and from where."""

    name: str
    known: Known
    root: Path | str
    labels: Callable[[Tree], Labels]

    def __call__(self) -> Database:
        """Read it."""
        tree = self.tree()
        return self.open(tree, self.labels(tree))

    def tree(self) -> Tree:
        """Return the files that are there."""
        if self.known.build:
            self.known.build(self.root)
        return Tree(self.root)

    def open(self, tree: Tree, labels: Labels) -> Database:
        """Return the rows whose pictures are there."""
        if self.labels is folder_labels and not len(labels.table):
            refuse_tars(self.root)
        return open_labels(self.name, self.known, tree, labels)


class PackedSource(Source):
    """Pictures in tars, or behind a URL; its root is what the user typed."""

    def tree(self) -> Packed:
        """Return the pictures that are there."""
        return read_packed(self.root)

    def open(self, tree: Packed, labels: Labels) -> Database:
        """Return the rows of the labels."""
        return open_packed(self.name, self.known, tree, labels)


def plain(name: str) -> str:
    """Return a name without case and punctuation: KonIQ-10k is koniq10k."""
    return re.sub(r"[\s_-]", "", name.casefold())


def known_name(db: str) -> str | None:
    """Return the table's name for what a user typed, or None."""
    text = plain(db)
    return next((name for name in DATABASES if text in map(plain, _typed(name))), None)


def _typed(name: str) -> tuple[str, ...]:
    return (name, *DATABASES[name].aliases, DATABASES[name].title)


def aliases(name: str) -> tuple[str, ...]:
    """Return all names of what a database holds, beside its own; none for a user's own."""
    if name not in DATABASES:
        return ()
    return tuple(filter(None, (*_typed(name)[1:], DATABASES[name].pictures_of)))


def cache_name(db: str) -> str:
    """Return the name of a database's folder in the cache: for a name, an alias, or a path."""
    if known_name(db):
        return known_name(db)
    if is_packed(db):
        return packed_name(db)
    path = expand(db)
    return own_name(path.resolve()) if path.exists() else db


def locate(db: str, root: str | Path | None, data: Path) -> Source:
    """Find a database by name, a folder of pictures, a CSV, tars, or a URL; return what reads it.

    Parameters
    ----------
    db : a name of `DATABASES`, an alias, a path, a pattern such as shards-{000..099}.tar, or a URL
    root : its folder; data/<name or alias> when not given
    data : the place where databases lie

    Raises
    ------
    UsageError
        When no such name, folder or file exists.
    """
    if not db:
        raise UsageError(f"--db is empty: expected {', '.join(DATABASES)}, a folder, a CSV or tars")
    root = expand(root).resolve() if root else None
    name = known_name(db)
    if name:
        known = DATABASES[name]
        folder = root or folder_of(data, name)
        if not folder.is_dir() and not known.build:
            raise UsageError(
                f"there is no folder {folder}: name the folder of {name} with --root, or put it "
                f"at {data / name}"
                + (f"; {known.get}" if known.get else "")
                + (f" ({known.page})" if known.page else "")
            )
        return Source(name, known, folder, known.labels)
    if is_packed(db):
        if root:
            raise UsageError("--root goes with the name of a database or a CSV, not with tars")
        return PackedSource(packed_name(db), OWN, db, packed_labels)
    path = expand(db)
    if path.is_dir():
        if root:
            raise UsageError("--root goes with the name of a database or a CSV, not with a folder")
        path = path.resolve()
        return Source(own_name(path), OWN, path, folder_labels)
    if path.is_file():
        path = path.resolve()
        return Source(own_name(path), OWN, root or path.parent, partial(csv_labels, path))
    if path.suffix or "/" in db:
        raise UsageError(f"--db {db}: there is no such folder or CSV file, and no tar")
    raise unknown_name("database", db, DATABASES)


def folder_of(data: Path, name: str) -> Path:
    """Return the folder of a database in the place of data: under its name, or another of it."""
    names = [plain(one) for one in _typed(name)]
    there = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    found = [path for one in names for path in there if plain(path.name) == one]
    return (found or [data / name])[0]
