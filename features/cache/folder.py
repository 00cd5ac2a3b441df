"""One cache folder: the embeddings of one database by one encoder under one set of settings."""

import time
from collections.abc import Iterator
from pathlib import Path

from features import files
from features.augment import settings_of_augmented
from features.cache.settings import check_key, key_of
from features.cache.shards import Row, decode_shard, encode_shard
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
        self.settings = read_json(path / "settings.json")
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
        return read_json(path, "shards")["shards"] if path.is_file() else []

    def rows(self, embeddings: bool = True) -> Iterator[Row]:
        """Yield every row of every shard, oldest first; a later row of a name replaces it."""
        for entry in self.shards():
            yield from decode_shard(self.path / entry["file"], entry["sha256"], embeddings)

    def recover(self) -> dict[str, Row]:
        """Return the rows by name, without embeddings, after mending the folder.

        Files that the index does not list are what a kill left, and are removed. Shards that are
        damaged leave the index, so that their rows are made again. An index that is lost or damaged
        is made anew from the shards that can be read. Only the writer calls this.
        """
        try:
            listed = self.shards() if (self.path / "index.json").is_file() else None
        except InputError:
            listed = None
        entries, rows = [], {}
        for entry in self._found() if listed is None else listed:
            try:
                shard = decode_shard(self.path / entry["file"], entry["sha256"], embeddings=False)
            except (InputError, OSError, KeyError):
                continue
            entries.append(entry)
            rows.update((row.name, row) for row in shard)
        if entries != (listed or []):
            write_json(self.path / "index.json", {"shards": entries})
        kept = {entry["file"] for entry in entries}
        for path in self.path.iterdir():
            if (path.suffix == ".h5" and path.name not in kept) or path.suffix == ".tmp":
                path.unlink()
        return rows

    def _found(self) -> Iterator[dict]:
        """Yield an entry for every shard file, for a folder without an index."""
        for path in sorted(self.path.glob("shard-*.h5")):
            try:
                rows = len(decode_shard(path, None, embeddings=False))
            except (InputError, OSError, KeyError):
                continue
            yield {"file": path.name, "rows": rows, "sha256": file_sha256(path)}

    def append(self, rows: list[Row], provenance: dict[str, str]) -> None:
        """Write rows as a new shard, whole, and then list it."""
        entries = self.shards()
        numbers = [int(entry["file"].removesuffix(".h5").split("-")[1]) for entry in entries]
        name = f"shard-{max(numbers, default=-1) + 1:06d}.h5"
        data = encode_shard(rows, self.settings["n_dims"], provenance)
        write_atomic(self.path / name, data)
        files.stage("before index")
        entry = {"file": name, "rows": len(rows), "sha256": sha256(data)}
        write_json(self.path / "index.json", {"shards": [*entries, entry | provenance]})


class ShardWriter:
    """Collects rows of a folder and closes a shard after `shard_rows` rows or a minute."""

    def __init__(
        self, folder: CacheFolder, provenance: dict[str, str], shard_rows: int = SHARD_ROWS
    ) -> None:
        self.folder = folder
        self.provenance = provenance
        self.shard_rows = shard_rows
        self._rows: list[Row] = []
        self._opened = 0.0

    def add(self, rows: list[Row]) -> None:
        """Take the rows of one block; a block is never cut in two."""
        if not self._rows:
            self._opened = time.monotonic()
        self._rows += rows
        if len(self._rows) >= self.shard_rows or time.monotonic() - self._opened > SHARD_SECONDS:
            self.close()

    def close(self) -> None:
        """Write what is in hand."""
        rows, self._rows = self._rows, []
        if rows:
            self.folder.append(rows, self.provenance)
