"""Packing: one file that gives the very same numbers, whatever happens on the way."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import h5py
import numpy as np
import pytest

import features
from features import files
from features.cache import packing
from features.cache.folder import CacheFolder, ShardWriter
from features.cache.load import load_augmented
from features.cache.packing import pack
from features.cache.reading import check
from features.cache.settings import settings_of
from features.cache.shards import Row
from features.errors import InputError
from features.files import sha256
from features.names import parse
from features.sources import FileFacts


@pytest.fixture
def small_pieces(monkeypatch):
    """Files of a few kilobytes are cut as those of many gigabytes."""
    monkeypatch.setattr(packing, "PIECE_BYTES", 1000)
    monkeypatch.setattr(packing, "CHUNK_BYTES", 500)


def row(name, rng, failed=False, n_dims=36) -> Row:
    """A row of seeded numbers, or a failed one."""
    numbers = rng.standard_normal(n_dims).astype(np.float32)
    facts = FileFacts(int(rng.integers(1000)), 7, sha256(name.encode()))
    return Row(name, facts, f"no picture: {name}" if failed else numbers)


def filled(cache, n=60, seed=0, shard_rows=8, **changes) -> CacheFolder:
    """A folder whose rows came in no order, some failed, some twice."""
    rng = np.random.default_rng(seed)
    settings = settings_of(parse("nss")[0], cache) | changes
    folder = CacheFolder.create(cache, "db", settings)
    writer = ShardWriter(folder, {"versions": f"x {seed}", "device": "cpu"}, shard_rows)
    for index in [*rng.permutation(n).tolist(), *rng.integers(n, size=n // 4).tolist()]:
        writer.add([row(f"ä/p{index:03d}.png", rng, failed=rng.random() < 0.2)])
    writer.close()
    return folder


def load(cache):
    """All of it."""
    return features.load("db", "nss", cache)


def assert_same(ours, expected):
    """Names, reasons and every bit."""
    assert (ours.names, ours.failures) == (expected.names, expected.failures)
    np.testing.assert_array_equal(ours.embeddings, expected.embeddings)


@pytest.mark.parametrize("stored", ["float32", "float16"])
def test_packed_is_the_same(tmp_path, small_pieces, stored):
    """Numbers, reasons and facts; one file, in order of name, each name once; plain HDF5."""
    folder = filled(tmp_path, **({} if stored == "float32" else {"stored": stored}))
    before, digests = load(tmp_path), features.cache.load.file_digests("db", "nss", tmp_path)
    done = pack(folder)
    assert (done.n_rows, done.n_replaced, done.n_shards) == (60, 15, 10)
    assert done.bytes_before > done.bytes_after > 0
    assert_same(load(tmp_path), before)
    assert features.cache.load.file_digests("db", "nss", tmp_path) == digests
    (entry,) = folder.shards()
    path = folder.path / entry["file"]
    assert {one.name for one in folder.path.iterdir()} == {
        *("settings.json", "index.json", ".lock"),
        entry["file"],
    }
    assert sha256(path.read_bytes()) == entry["sha256"]
    assert len(entry["pieces"]) > 3 and entry["pieces"][-1][0] == path.stat().st_size
    assert entry["versions"] == "x 0"
    with h5py.File(path) as file:
        names = file["name"].asstr()[:].tolist()
        assert names == sorted(names)
        assert file["embedding"].chunks is None and file["embedding"].dtype == stored
        good = file["status"].asstr()[:] == "ok"
        np.testing.assert_array_equal(file["embedding"][:][good], before.embeddings)
        assert np.isnan(file["embedding"][:][~good]).all()


def test_packing_again(tmp_path, small_pieces):
    """Packed already: nothing to do. Later shards go on beside it, and are packed with it."""
    folder = filled(tmp_path)
    pack(folder)
    first = folder.shards()
    assert pack(folder).n_shards == 1
    assert folder.shards() == first
    filled(tmp_path, n=80, seed=1)  # further rows, and newer ones of the same names
    assert len(folder.shards()) > 5
    before = load(tmp_path)
    assert pack(folder).n_rows == 80
    assert_same(load(tmp_path), before)
    assert folder.shards()[0]["versions"] == "x 0 | x 1"


def test_a_part_of_a_packed_file(tmp_path, small_pieces):
    """Rows by name, in the order given; only the pieces that hold them are read."""
    folder = filled(tmp_path)
    whole = load(tmp_path)
    pack(folder)
    chosen = whole.names[5:7][::-1]
    part = features.load("db", "nss", tmp_path, names=chosen)
    assert part.names == chosen
    np.testing.assert_array_equal(part.embeddings, whole.embeddings[[6, 5]])
    (entry,) = folder.shards()
    path = folder.path / entry["file"]
    with open(path, "r+b") as file:  # in a piece of the last rows
        file.seek(entry["pieces"][-2][0] - 20)
        file.write(b"xxxx")
    np.testing.assert_array_equal(
        features.load("db", "nss", tmp_path, names=chosen).embeddings, part.embeddings
    )
    with pytest.raises(InputError, match=r"packed-\d+.h5 is damaged"):
        load(tmp_path)
    with pytest.raises(InputError, match="is damaged"):
        check(path, entry)


def test_a_damaged_shard_is_not_packed(tmp_path):
    """An error that names it; all is as it was."""
    folder = filled(tmp_path)
    there = {path.name for path in folder.path.iterdir()}
    path = folder.path / "shard-000003.h5"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=r"shard-000003.h5 is damaged"):
        pack(folder)
    assert {one.name for one in folder.path.iterdir()} == there | {".lock"}


def test_a_lost_index_is_found_again(tmp_path, small_pieces):
    """A packed file and the shards beside it, in order of age."""
    folder = filled(tmp_path)
    pack(folder)
    filled(tmp_path, seed=1)
    before = load(tmp_path)
    (folder.path / "index.json").unlink()
    folder.recover({})
    assert_same(load(tmp_path), before)


STAGES = ["before write", "before flush", "before rename", "before index", "before removal"]
KILLED = """
import os, signal, sys
from pathlib import Path
from features import files
from features.cache import packing
from features.cache.folder import CacheFolder
stage, k = sys.argv[2], int(sys.argv[3])
seen = []
def kill(name):
    seen.append(name)
    if name == stage and seen.count(name) == k:
        os.kill(os.getpid(), signal.SIGKILL)
files.stage = kill
packing.pack(CacheFolder(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("stage", "k"), [*((stage, 1) for stage in STAGES), ("before write", 2), ("before rename", 2)]
)
def test_killed(tmp_path, stage, k):
    """Killed at each stage, of the file and of the index: what is there is whole, and goes on."""
    folder = filled(tmp_path)
    before = load(tmp_path)
    command = [sys.executable, "-c", KILLED, str(folder.path), stage, str(k)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert_same(load(tmp_path), before)
    folder.recover({})  # as an extraction does
    assert_same(load(tmp_path), before)
    listed = {entry["file"] for entry in folder.shards()}
    there = {path.name for path in folder.path.iterdir()}
    assert there == listed | {"settings.json", "index.json", ".lock"}
    pack(folder)
    assert_same(load(tmp_path), before)
    assert len(folder.shards()) == 1


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        """Write while there is room."""
        self.room -= len(data)
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_full_disk(tmp_path, small_pieces, monkeypatch):
    """One line that says what is needed; the shards are as they were, nothing is left behind."""
    folder = filled(tmp_path)
    before, there = load(tmp_path), {path.name for path in folder.path.iterdir()}
    fill = packing._fill
    monkeypatch.setattr(packing, "_fill", lambda file, *rest: fill(Full(file, 2000), *rest))
    with pytest.raises(InputError, match="No space left on device.*8,640 bytes.*as they were"):
        pack(folder)
    assert {path.name for path in folder.path.iterdir()} == there | {".lock"}
    assert_same(load(tmp_path), before)


def test_read_only_disk(tmp_path, monkeypatch):
    """A disk that turned read-only is one line, and all is as it was."""
    folder = filled(tmp_path)
    before, there = load(tmp_path), {path.name for path in folder.path.iterdir()}

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match="cannot write .*Read-only file system"):
        pack(folder)
    assert {path.name for path in folder.path.iterdir()} == there | {".lock"}
    assert_same(load(tmp_path), before)


def test_reading_while_another_packs(tmp_path, monkeypatch):
    """A reader that had the old index takes the new one when the shards go under its hands."""
    folder = filled(tmp_path)
    before = load(tmp_path)
    from features.cache import joining

    read = joining.read_embeddings
    seen = []

    def slow(located, names):
        if not seen:
            seen.append(pack(folder))
        return read(located, names)

    monkeypatch.setattr(features.cache.load, "read_embeddings", slow)
    assert_same(load(tmp_path), before)
    assert seen[0].n_shards == 10


def test_pack_waits_for_a_writer(tmp_path, capfd):
    """Two do not write at once."""
    folder = filled(tmp_path)
    with files.locked(folder.path):
        thread = threading.Thread(target=pack, args=(folder,))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and len(folder.shards()) == 10
    thread.join(20)
    assert len(folder.shards()) == 1
    assert "waiting for it" in capfd.readouterr().err


def _extract(cache, n, ready):
    """Write shards, as an extraction in another process does."""
    rng = np.random.default_rng(5)
    folder = CacheFolder.create(cache, "db", settings_of(parse("nss")[0], cache))
    with files.locked(folder.path):
        writer = ShardWriter(folder, {}, 4)
        for index in range(n):
            writer.add([row(f"p{index:04d}", rng)])
            if index == 10:
                ready.set()
        writer.close()


@pytest.mark.slow
def test_reading_while_another_writes(tmp_path):
    """Each load sees whole shards: at least those of before, and the numbers that were written."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_extract, args=(tmp_path, 400, ready))
    process.start()
    assert ready.wait(60)
    counts, last = [], None
    while process.is_alive() or last is None or len(last.names) < 400:
        last = load(tmp_path)
        counts.append(len(last.names))
        if process.exitcode not in (None, 0):
            break
    process.join()
    assert process.exitcode == 0
    assert counts == sorted(counts) and counts[-1] == 400 and len(set(counts)) > 2
    rng = np.random.default_rng(5)
    expected = [row(f"p{index:04d}", rng) for index in range(400)]
    np.testing.assert_array_equal(last.embeddings, [one.result for one in expected])


def test_packed_versions_of_pictures(tmp_path):
    """Distorted versions keep what they say of themselves."""
    folder = filled(tmp_path, n=4)
    names = sorted(load(tmp_path).names)
    apart = folder.augmented(0)
    writer = ShardWriter(apart, {})
    rng = np.random.default_rng(0)
    for name in names:
        made = row(name, rng)
        notes = {"original": name, "distortion": "blur", "level": "2"}
        writer.add([Row(f"{name}@blur-2", made.facts, made.result, notes)])
    writer.close()
    before = load_augmented("db", "nss", tmp_path)
    assert before.originals == names
    pack(apart)
    after = load_augmented("db", "nss", tmp_path)
    assert (after.originals, after.distortions, after.levels) == (
        before.originals,
        before.distortions,
        before.levels,
    )
    np.testing.assert_array_equal(after.embeddings, before.embeddings)
