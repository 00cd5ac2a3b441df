"""One cache folder: the embeddings of one database by one encoder under one set of settings."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from features import files
from features.augment import settings_of_augmented
from features.cache.columns import Columns, read_columns
from features.cache.held import Held
from features.cache.reading import ahead, check, check_outside, outside
from features.cache.settings import check_key, key_of, stored_of
from features.cache.shards import Row, decode_shard, encode, storable
from features.errors import InputError
from features.files import file_sha256, locked, read_json, sha256, write_atomic, write_json
from features.names import slug

SHARD_ROWS = 256
SHARD_SECONDS = 60.0
AUGMENTED = "augmented"


class CacheFolder:
    """A folder of shards with its index.

    The index is the truth: a shard that it does not list does not exist. Writers hold
    `features.files.locked(folder.path)`.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing folder and check that it is what its name says."""
        self.path = path
        self.settings = read_json(path / "settings.json", "encoder", "n_dims")
        check_key(self.settings, path)

    @classmethod
    def create(cls, cache: Path, database: str, settings: dict) -> "CacheFolder":
        """Open the folder of these settings, made if it is not there."""
        return cls._open(cache / database / slug(settings["encoder"]) / key_of(settings), settings)

    @classmethod
    def _open(cls, path: Path, settings: dict) -> "CacheFolder":
        if not (path / "settings.json").is_file():
            with locked(path):  # the writer removes unfinished files, this one too
                write_json(path / "settings.json", settings)
        return cls(path)

    @property
    def encoder(self) -> str:
        """The encoder's canonical name, options included."""
        return self.settings["encoder"]

    @property
    def n_dims(self) -> int:
        """How many numbers an embedding has."""
        return self.settings["n_dims"]

    @property
    def stored(self) -> str:
        """The type of the numbers in the shards, float32 or float16; readers see float32."""
        return stored_of(self.settings)

    def augmented(self, seed: int) -> "CacheFolder":
        """Open the folder of the distorted versions, made if it is not there; it lies in this."""
        return self._open(self.augmented_path(seed), settings_of_augmented(self.settings, seed))

    def augmented_path(self, seed: int) -> Path:
        """Return where the distorted versions lie."""
        return self.path / AUGMENTED / key_of(settings_of_augmented(self.settings, seed))

    @property
    def is_augmented(self) -> bool:
        """Whether the rows are distorted versions of pictures."""
        return "augment" in self.settings

    @property
    def key(self) -> str:
        """The 12 digits that stand for the settings."""
        return self.path.name

    def shards(self) -> list[dict]:
        """Return the index: one entry {file, rows, sha256, ...} a shard, in order of writing."""
        path = self.path / "index.json"
        if not path.is_file():
            return []
        entries = read_json(path, "shards")["shards"]
        needed = {"file", "rows", "sha256"}
        if not all(isinstance(entry, dict) and needed <= entry.keys() for entry in entries):
            raise InputError(f"{path} was damaged or changed, an entry lacks a key: extract again")
        return entries

    def rows(self, embeddings: bool = True) -> Iterator[Row]:
        """Yield every row of every shard, oldest first; a later row of a name replaces it."""
        for entry in self.shards():
            yield from decode_shard(self.path / entry["file"], entry["sha256"], embeddings)

    def columns(self, checked: bool = True) -> Iterator[Columns]:
        """Yield what each shard says of its rows, without embeddings, in order of writing.

        Parameters
        ----------
        checked : compare whole files with the index, and not only what they say of their rows
        """

        def read(entry: dict) -> Columns:
            path = self.path / entry["file"]
            (check if checked else check_outside)(path, entry)
            return read_columns(path)

        yield from ahead(read, self.shards())

    def recover(self, index: Mapping[str, int]) -> Held:
        """Return what the folder holds of a plan, after mending the folder.

        Files that the index does not list are what a kill left, and are removed. Shards that are
        damaged leave the index, so that their rows are made again. An index that is lost or damaged
        is made anew from the shards that can be read. Only the writer calls this.

        Parameters
        ----------
        index : name -> place, as `features.resume.positions` gives it
        """
        try:
            listed = self.shards() if (self.path / "index.json").is_file() else None
        except InputError:
            listed = None
        found = listed if listed is not None else self._found()
        entries, held = [], Held(index)
        for entry, columns in ahead(self._mended, found):
            if columns is not None:
                entries.append(entry)
                held.take(columns)
        if listed is None and not entries:
            (self.path / "index.json").unlink(missing_ok=True)
        elif entries != listed:
            write_index(self.path, [json.dumps(entry) for entry in entries])
        self._remove(self.strays(entries))
        return held

    def strays(self, entries: Sequence[dict] | None = None) -> list[Path]:
        """Return what a kill left: files that the index does not list, and unfinished ones."""
        if entries is None and not (self.path / "index.json").is_file():
            return []  # shards without an index are not yet given up
        kept = {entry["file"] for entry in (self.shards() if entries is None else entries)}
        return sorted(
            path
            for path in self.path.iterdir()
            if path.suffix == ".tmp" or (path.suffix == ".h5" and path.name not in kept)
        )

    def remove_strays(self) -> None:
        """Remove what a kill left. Only the writer calls this."""
        self._remove(self.strays())

    @staticmethod
    def _remove(paths: Sequence[Path]) -> None:
        for path in paths:
            path.unlink()

    def _mended(self, entry: dict) -> tuple[dict, Columns | None]:
        """Return an entry of the index with its columns, None where the shard is damaged."""
        path = self.path / entry["file"]
        try:
            check(path, entry)
            return entry, read_columns(path)
        except InputError:
            return entry, None

    def _found(self) -> list[dict]:
        """Return an entry for every file that may be a shard, for a folder without an index."""
        paths = [path for path in self.path.glob("*-*.h5") if number_of(path.name) >= 0]
        entries = []
        for path in sorted(paths, key=lambda path: number_of(path.name)):
            try:
                rows = len(read_columns(path, facts=False).names)
            except InputError:
                continue
            entries.append({"file": path.name, "rows": rows, "sha256": file_sha256(path)})
        return entries


def number_of(name: str) -> int:
    """Return the number of a shard file; later ones are newer. -1 for a file of another kind."""
    number = name.removesuffix(".h5").rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def write_index(folder: Path, lines: Sequence[str]) -> None:
    """Replace the index, one line of JSON a shard."""
    text = '{"shards": [\n' + ",\n".join(lines) + "\n]}\n"
    write_atomic(folder / "index.json", text.encode())


class ShardWriter:
    """Collects rows of a folder and closes a shard after `shard_rows` rows or a minute.

    It is made and used under the folder's lock, so that the index is its own: it is read once, and
    an entry becomes text once. Thousands of shards make thousands of indices.
    """

    def __init__(
        self, folder: CacheFolder, provenance: dict[str, str], shard_rows: int = SHARD_ROWS
    ) -> None:
        self.folder = folder
        self.provenance = provenance
        self.shard_rows = shard_rows
        self._rows: list[Row] = []
        self._opened = 0.0
        self._lines: list[str] | None = None
        self._next = 0

    def add(self, rows: list[Row]) -> list[Row]:
        """Take the rows of one block; a block is never cut in two. Return them as they are kept."""
        if not self._rows:
            self._opened = time.monotonic()
        kept = [storable(row, self.folder.stored) for row in rows]
        self._rows += kept
        if len(self._rows) >= self.shard_rows or time.monotonic() - self._opened > SHARD_SECONDS:
            self.close()
        return kept

    def close(self) -> None:
        """Write what is in hand."""
        rows, self._rows = self._rows, []
        if rows:
            self._write(rows)

    def _write(self, rows: list[Row]) -> None:
        """Write rows as a new shard, whole, and then list it."""
        if self._lines is None:
            entries = self.folder.shards()
            self._next = 1 + max((number_of(entry["file"]) for entry in entries), default=-1)
            self._lines = [json.dumps(entry) for entry in entries]
        name = f"shard-{self._next:06d}.h5"
        data, layout = encode(rows, self.folder.n_dims, self.provenance, self.folder.stored)
        write_atomic(self.folder.path / name, data)
        files.stage("before index")
        entry = {"file": name, "rows": len(rows), "sha256": sha256(data)}
        entry |= {"outside": outside(data, layout)} | self.provenance
        lines = [*self._lines, json.dumps(entry, ensure_ascii=False)]
        write_index(self.folder.path, lines)
        self._lines, self._next = lines, self._next + 1
