"""One contiguous file instead of many shards: rows in order of name, only the newest of each.

The file is written beside its place from the first byte to the last, a few megabytes at a time,
flushed to disk and renamed; then the index lists it alone; then the shards go. A kill in between
leaves the old index, or the new one and files that it does not list, which the next writer removes.
An extraction that goes on writes shards beside it.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from features import files
from features.cache.columns import Columns, Layout
from features.cache.folder import CacheFolder, number_of, write_index
from features.cache.gathering import Gatherer
from features.cache.shards import NOTES, write_columns
from features.errors import InputError
from features.files import locked

PIECE_BYTES = 64 << 20  # checked by one thread
CHUNK_BYTES = 4 << 20  # written at once
_COLUMNS = ("names", "status", "sha256", "size", "mtime_ns")
_IN_FILE = {"names": "name", "sha256": "bytes_sha256"}


@dataclass(frozen=True)
class Packed:
    """What packing a folder did; `n_replaced` rows were older ones of a name, or not kept."""

    path: Path
    n_rows: int
    n_replaced: int
    n_shards: int
    bytes_before: int
    bytes_after: int


def pack(folder: CacheFolder, keep: Collection[str] | None = None) -> Packed:
    """Put all shards of a folder into one file; waits for another writer.

    Parameters
    ----------
    keep : only the rows of these names, where it is given

    Raises
    ------
    InputError
        When a shard is damaged, the disk is full, or the folder cannot be written; all is then as
        it was.
    """
    with locked(folder.path):
        folder.remove_strays()
        entries = folder.shards()
        paths = [folder.path / entry["file"] for entry in entries]
        before = sum(path.stat().st_size for path in paths)
        columns = list(folder.columns())
        source, table = _newest(columns, keep)
        n_rows, n_all = len(source), sum(len(one.names) for one in columns)
        done = Packed(folder.path, n_rows, n_all - n_rows, len(entries), before, before)
        if not entries or (len(entries) == 1 and "pieces" in entries[0] and n_rows == n_all):
            return done
        if not n_rows:
            raise InputError(
                f"{folder.path} would hold no row at all: remove the folder, if that is meant"
            )
        number = 1 + max(number_of(entry["file"]) for entry in entries)
        path = folder.path / f"packed-{number:06d}.h5"
        provenance = _provenance(entries)
        shards = [(one, at.layout) for one, at in zip(paths, columns, strict=True)]
        checked = _write(path, table, provenance, shards, source, folder.stored)
        files.stage("before index")
        entry = {"file": path.name, "rows": n_rows} | checked | provenance
        write_index(folder.path, [json.dumps(entry, ensure_ascii=False)])
        files.stage("before removal")
        for old in paths:
            old.unlink()
        return Packed(
            folder.path, n_rows, n_all - n_rows, len(entries), before, path.stat().st_size
        )


def _newest(
    columns: Sequence[Columns], keep: Collection[str] | None
) -> tuple[np.ndarray, dict[str, Sequence]]:
    """Return where the newest row of each name is, in order of name, and what is said of them.

    Returns
    -------
    source : (n, 2) int64, the shard and the row in it
    table : the columns of the n rows
    """
    last: dict[str, int] = {}
    starts = np.cumsum([0, *(len(one.names) for one in columns)])
    for start, one in zip(starts[:-1].tolist(), columns, strict=True):
        last |= zip(one.names, range(start, start + len(one.names)), strict=True)
    names = sorted(last if keep is None else last.keys() & keep)
    flat = np.fromiter((last[name] for name in names), np.int64, len(names))
    shard = np.searchsorted(starts, flat, side="right") - 1
    source = np.stack([shard, flat - starts[shard]], axis=1)
    table: dict[str, Sequence] = {}
    for key in _COLUMNS:
        parts = [getattr(one, key) for one in columns]
        table[_IN_FILE.get(key, key)] = _chosen(parts, flat)
    for note in NOTES:
        parts = [one.notes.get(note) or [""] * len(one.names) for one in columns]
        table[note] = _chosen(parts, flat)
    return source, table


def _chosen(parts: Sequence[Sequence], rows: np.ndarray) -> Sequence:
    if parts and isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)[rows]
    every = [value for part in parts for value in part]
    return [every[row] for row in rows]


def _provenance(entries: Sequence[Mapping]) -> dict[str, str]:
    """Return what made the rows: everything that any of the shards says."""
    own = {"file", "rows", "sha256", "pieces", "outside"}
    keys = dict.fromkeys(key for entry in entries for key in entry if key not in own)
    return {
        key: " | ".join(dict.fromkeys(str(entry[key]) for entry in entries if key in entry))
        for key in keys
    }


def _write(
    path: Path,
    table: Mapping[str, Sequence],
    provenance: Mapping[str, str],
    shards: Sequence[tuple[Path, Layout]],
    source: np.ndarray,
    stored: str,
) -> dict:
    """Write the file, whole or not at all; return its checksums as they go into the index."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    n_dims = shards[0][1].n_dims
    try:
        layout = _prepare(aside, table, provenance, n_dims, stored)
        files.stage("before write")
        with open(aside, "r+b") as file, Gatherer(shards) as opened:
            checked = _fill(file, layout, opened, source)
            files.stage("before flush")
            file.flush()
            os.fsync(file.fileno())
        written = max(shard.stat().st_mtime_ns for shard, _ in shards)
        os.utime(aside, ns=(written, written))  # it says when the last row was made
        files.stage("before rename")
        os.replace(aside, path)
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return checked
    except OSError as error:
        size = len(source) * n_dims * np.dtype(stored).itemsize
        raise InputError(
            f"cannot write {path} ({error.strerror or error}): some {size:,} bytes are needed "
            "beside the shards, which are as they were; make room, then give the same command again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _prepare(
    aside: Path,
    table: Mapping[str, Sequence],
    provenance: Mapping[str, str],
    n_dims: int,
    stored: str,
) -> Layout:
    """Write all but the embeddings, for which the room is left; it holds nothing yet."""
    n = len(table["name"])
    with h5py.File(aside, "w", locking=False) as file:
        file.attrs.update(provenance)
        write_columns(file, table)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        room = h5py.h5d.create(
            file.id,
            b"embedding",
            h5py.h5t.py_create(np.dtype(stored)),
            h5py.h5s.create_simple((n, n_dims)),
            dcpl=properties,
        )
        return Layout(room.get_offset(), n, n_dims, np.dtype(stored))


def _fill(file: BinaryIO, layout: Layout, shards: Gatherer, source: np.ndarray) -> dict:
    """Write the embeddings in order, and return the checksums of the file and of its pieces."""
    whole = hashlib.sha256()
    a_piece = max(1, PIECE_BYTES // layout.row_bytes)
    a_chunk = max(1, min(a_piece, CHUNK_BYTES // layout.row_bytes))
    pieces, piece, around = [], hashlib.sha256(), hashlib.sha256()

    def take(data: bytes) -> None:
        whole.update(data)
        piece.update(data)

    head = file.read(layout.offset)
    take(head)
    around.update(head)
    for first in range(0, layout.n, a_piece):
        last = min(first + a_piece, layout.n)
        for start in range(first, last, a_chunk):
            data = shards.rows(source[start : min(start + a_chunk, last)], layout.row_bytes)
            file.write(data)
            take(data)
        if last < layout.n:
            pieces.append([layout.offset + last * layout.row_bytes, piece.hexdigest()])
            piece = hashlib.sha256()
    file.flush()
    while data := file.read(CHUNK_BYTES):  # what HDF5 put behind the embeddings
        take(data)
        around.update(data)
    pieces.append([file.tell(), piece.hexdigest()])
    return {
        "sha256": whole.hexdigest(),
        "pieces": pieces,
        "outside": [layout.offset, layout.stop, around.hexdigest()],
    }
