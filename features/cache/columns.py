"""What a shard says of its rows, and where in it the embeddings lie."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from features.errors import InputError


class ShardGone(InputError):
    """A shard that the index listed is not there any more: the index may be another by now."""


@dataclass(frozen=True)
class Columns:
    """What a shard says of its n rows.

    Attributes
    ----------
    names, status : (n,) the picture, and "ok" or the reason why it has no embedding
    sha256 : (n,) bytes, hexadecimal, of the picture file; (0,) where it was not asked for
    size, mtime_ns : (n,) int64 of the picture file; (0,) where they were not asked for
    notes : prompt and the like, (n,) each
    layout : where in the file the embeddings lie
    """

    names: list[str]
    status: list[str]
    sha256: np.ndarray
    size: np.ndarray
    mtime_ns: np.ndarray
    notes: Mapping[str, list[str]]
    layout: "Layout"


@dataclass(frozen=True)
class Layout:
    """Where in a file the (n, n_dims) embeddings lie, row after row."""

    offset: int
    n: int
    n_dims: int
    dtype: np.dtype

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.n_dims * self.dtype.itemsize

    @property
    def stop(self) -> int:
        """The byte behind the last row."""
        return self.offset + self.n * self.row_bytes


def damaged(path: Path, why: str = "its checksum differs from the index") -> InputError:
    """Return the error for a shard that is not the one that was written."""
    return InputError(
        f"the shard {path} is damaged ({why}): extract again, which makes its rows anew"
    )


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for a shard that the system does not give."""
    kind = ShardGone if isinstance(error, FileNotFoundError) else InputError
    return kind(
        f"the shard {path} cannot be read ({error.strerror or error}): extract again, which makes "
        "its rows anew"
    )


@contextlib.contextmanager
def open_shard(path: Path) -> Iterator[h5py.File]:
    """Open the HDF5 file of a shard.

    Raises
    ------
    InputError
        When it is not there, or no HDF5.
    """
    try:
        with open(path, "rb"):
            pass  # HDF5's own errors do not say what the system said
        file = h5py.File(path, "r", locking=False)  # a whole file never changes
    except FileNotFoundError as error:
        raise unreadable(path, error) from error
    except OSError as error:
        raise (unreadable(path, error) if error.strerror else damaged(path, "no HDF5")) from error
    with file:
        yield file


def read_columns(path: Path, facts: bool = True) -> Columns:
    """Read what a shard says of its rows. It is not checked: that `check` and `copy` do.

    Parameters
    ----------
    facts : also digest, size and time of the picture files, and notes

    Raises
    ------
    InputError
        When the file is not there, or is no shard.
    """
    with open_shard(path) as file:
        try:
            return _columns(file, path, facts)
        except InputError:
            raise
        except Exception as error:  # HDF5 and its texts may fail anyhow on a damaged file
            raise damaged(path, f"no shard: {error}") from error


def _columns(file: h5py.File, path: Path, facts: bool) -> Columns:
    names, status = (_texts(file[key]) for key in ("name", "status"))
    nothing = np.empty(0, np.int64)
    layout = _layout(file["embedding"], path)
    columns = Columns(
        names,
        status,
        np.asarray(file["bytes_sha256"][:], "S64") if facts else nothing,
        file["size"][:] if facts else nothing,
        file["mtime_ns"][:] if facts else nothing,
        {note: _texts(file[note]) for note in file if note not in _ALWAYS} if facts else {},
        layout,
    )
    lengths = [names, status, columns.sha256, columns.size, columns.mtime_ns]
    expected = [layout.n, layout.n, *[layout.n if facts else 0] * 3]
    if list(map(len, lengths)) != expected:
        raise damaged(path, "its columns differ in length")
    return columns


_ALWAYS = ("embedding", "name", "status", "bytes_sha256", "size", "mtime_ns")


def _texts(dataset: h5py.Dataset) -> list[str]:
    return dataset.asstr()[:].tolist()


def _layout(dataset: h5py.Dataset, path: Path) -> Layout:
    offset = dataset.id.get_offset()
    n, n_dims = dataset.shape
    layout = Layout(offset or 0, n, n_dims, dataset.dtype)
    if offset is None or dataset.dtype.kind != "f" or layout.stop > path.stat().st_size:
        raise damaged(path, "its embeddings are not whole")
    return layout
