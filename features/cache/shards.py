"""One shard: some rows of a cache as one HDF5 file.

`embedding` (n, d) float32, NaN where the picture failed; `name`, `status` ("ok" or the reason),
`bytes_sha256`, `size`, `mtime_ns` of each picture file, n each; and the notes of `NOTES` that any
row has.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from features.decode import FileFacts
from features.errors import InputError
from features.files import sha256

OK = "ok"
# What a row may say beyond its picture file: the text that it was embedded with; for a distorted
# version, the picture it was made from, the type and the level.
NOTES = ("prompt", "original", "distortion", "level")


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


def encode_shard(rows: Sequence[Row], n_dims: int, provenance: dict[str, str]) -> bytes:
    """Return the bytes of a shard. It is made in memory, so that a full disk is one plain error."""
    embedding = np.full((len(rows), n_dims), np.nan, np.float32)
    for index, row in enumerate(rows):
        if row.status == OK:
            embedding[index] = row.result
    text = h5py.string_dtype("utf-8")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update(provenance)
        file["embedding"] = embedding
        file.create_dataset("name", data=[row.name for row in rows], dtype=text)
        file.create_dataset("status", data=[row.status for row in rows], dtype=text)
        file.create_dataset("bytes_sha256", data=[row.facts.sha256 for row in rows], dtype=text)
        for note in NOTES:
            values = [row.notes.get(note, "") for row in rows]
            if any(values):
                file.create_dataset(note, data=values, dtype=text)
        file["size"] = np.array([row.facts.size for row in rows], np.int64)
        file["mtime_ns"] = np.array([row.facts.mtime_ns for row in rows], np.int64)
    return buffer.getvalue()


def decode_shard(path: Path, checksum: str | None, embeddings: bool = True) -> list[Row]:
    """Read a shard.

    Parameters
    ----------
    checksum : what the index says; None where the index is lost
    embeddings : without them the rows tell name, facts and status in little memory

    Raises
    ------
    InputError
        When the file is gone, or is not the one that was written.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the shard {path} cannot be read ({error.strerror}): extract again, which makes its "
            "rows anew"
        ) from error
    if checksum is not None and sha256(data) != checksum:
        raise InputError(
            f"the shard {path} is damaged (its checksum differs from the index): extract again, "
            "which makes its rows anew"
        )
    with h5py.File(io.BytesIO(data), "r") as file:
        rows = len(file["name"])
        embedding = file["embedding"][:] if embeddings else np.empty((rows, 0), np.float32)
        texts = [file[key].asstr()[:] for key in ("name", "status", "bytes_sha256")]
        noted = {note: file[note].asstr()[:] for note in NOTES if note in file}
        numbers = [file[key][:].tolist() for key in ("size", "mtime_ns")]
    return [
        Row(
            name,
            FileFacts(size, mtime, digest),
            vector if status == OK else status,
            {note: values[index] for note, values in noted.items()},
        )
        for index, (vector, name, status, digest, size, mtime) in enumerate(
            zip(embedding, *texts, *numbers, strict=True)
        )
    ]
