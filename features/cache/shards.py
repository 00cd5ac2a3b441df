"""One shard: some rows of a cache as one HDF5 file.

`embedding` (n, d) contiguous float32, or float16 where the settings say so, NaN where the picture
failed; `name`, `status` ("ok" or the reason), `bytes_sha256`, `size`, `mtime_ns` of each picture
file, n each; and the notes of `NOTES` that any row has.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np

from features.cache.columns import Columns, Layout, damaged, open_shard, read_columns
from features.cache.reading import check
from features.sources import FileFacts

OK = "ok"
# What a row may say beyond its picture file: the text that it was embedded with; for a distorted
# version, the picture it was made from, the type and the level.
NOTES = ("prompt", "original", "distortion", "level")
DIGEST = "S64"  # of the picture file, in hexadecimal


@dataclass(frozen=True)
class Row:
    """One picture's row: its embedding, or the reason why it has none."""

    name: str
    facts: FileFacts
    result: np.ndarray | str  # (n_dims,) float32, or the reason
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """ "ok", or the reason."""
        return self.result if isinstance(self.result, str) else OK


def storable(row: Row, stored: str = "float32") -> Row:
    """Return a row as a shard can hold it: a failed one where its numbers are too large for that.

    Half precision keeps 11 significant bits, so that a number is off by at most 2^-11 of itself (by
    2^-25 where it is below 6e-5), and none beyond 65504 in size; it is never made infinite.
    """
    if row.status != OK or stored == "float32":
        return row
    largest, limit = float(np.abs(row.result).max()), float(np.finfo(stored).max)
    if largest <= limit:
        return row
    reason = f"a number of {largest:g} is beyond what {stored} holds ({limit:g}): store float32"
    return replace(row, result=reason)


def encode_shard(
    rows: Sequence[Row], n_dims: int, provenance: Mapping[str, str], stored: str = "float32"
) -> bytes:
    """Return the bytes of a shard; see `encode`."""
    return encode(rows, n_dims, provenance, stored)[0]


def encode(
    rows: Sequence[Row], n_dims: int, provenance: Mapping[str, str], stored: str = "float32"
) -> tuple[bytes, Layout]:
    """Return the bytes of a shard, and where in them the embeddings lie.

    It is made in memory, so that a full disk is one plain error.

    Parameters
    ----------
    stored : the type of the numbers, float32 or float16; see `storable`
    """
    rows = [storable(row, stored) for row in rows]
    embedding = np.full((len(rows), n_dims), np.nan, stored)
    for index, row in enumerate(rows):
        if row.status == OK:
            embedding[index] = row.result
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update(provenance)
        file["embedding"] = embedding
        offset = file["embedding"].id.get_offset()
        write_columns(
            file,
            {
                "name": [row.name for row in rows],
                "status": [row.status for row in rows],
                "bytes_sha256": [row.facts.sha256 for row in rows],
                **{note: [row.notes.get(note, "") for row in rows] for note in NOTES},
                "size": [row.facts.size for row in rows],
                "mtime_ns": [row.facts.mtime_ns for row in rows],
            },
        )
    return buffer.getvalue(), Layout(offset, *embedding.shape, embedding.dtype)


def write_columns(file: h5py.File, columns: Mapping[str, Sequence]) -> None:
    """Write what a shard says of its rows; a note that no row has is left out."""
    text = h5py.string_dtype("utf-8")
    for name, values in columns.items():
        if name in ("size", "mtime_ns"):
            file[name] = np.asarray(values, np.int64)
        elif name == "bytes_sha256":  # of one length, it is read at once
            file[name] = np.asarray(values, DIGEST)
        elif name not in NOTES or any(values):
            file.create_dataset(name, data=values, dtype=text)


def decode_shard(path: Path, checksum: str | None, embeddings: bool = True) -> list[Row]:
    """Read a shard as rows. For many, `read_columns` and `features.load` are quicker.

    Parameters
    ----------
    checksum : what the index says; None where the index is lost
    embeddings : without them the rows tell name, facts and status in little memory

    Raises
    ------
    InputError
        When the file is gone, or is not the one that was written.
    """
    if checksum is not None:
        check(path, {"sha256": checksum})
    columns = read_columns(path)
    vectors = np.empty((len(columns.names), 0), np.float32)
    if embeddings:
        with open_shard(path) as file:
            try:
                vectors = file["embedding"][:].astype(np.float32, copy=False)
            except (KeyError, OSError, ValueError) as error:
                raise damaged(path, str(error)) from error
    return rows_of(columns, vectors)


def rows_of(columns: Columns, vectors: np.ndarray) -> list[Row]:
    """Return columns and (n, n_dims) float32 embeddings as rows."""
    return [
        Row(
            name,
            FileFacts(int(columns.size[index]), int(columns.mtime_ns[index]), digest.decode()),
            vectors[index] if status == OK else status,
            {note: values[index] for note, values in columns.notes.items()},
        )
        for index, (name, status, digest) in enumerate(
            zip(columns.names, columns.status, columns.sha256.tolist(), strict=True)
        )
    ]
