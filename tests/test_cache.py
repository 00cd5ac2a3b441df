"""The cache: keys that follow every cause of a number, shards that are whole or made again."""

import h5py
import numpy as np
import pytest
from cached_rows import NAMES, many, put, rows_of, same
from conftest import write_pictures

import features
from features.cache.folder import CacheFolder, ShardWriter
from features.cache.settings import settings_of
from features.cache.shards import OK, decode_shard, encode_shard
from features.errors import InputError, UsageError
from features.extract import extract
from features.files import read_json, sha256
from features.names import parse
from features.plan import Picture

# --- shards


def test_shard_round_trip(tmp_path):
    """Names of any script, reasons, facts and embeddings come back as they were."""
    data = encode_shard(rows_of(), 36, {"versions": "x 1"})
    (tmp_path / "s.h5").write_bytes(data)
    back = decode_shard(tmp_path / "s.h5", sha256(data))
    assert all(same(*pair) for pair in zip(back, rows_of(), strict=True))
    assert back[0].result.dtype == np.float32


def test_shard_is_plain_hdf5(tmp_path):
    """Any reader of HDF5 finds the arrays by name; a failed row is NaN, never zeros."""
    (tmp_path / "s.h5").write_bytes(encode_shard(rows_of(), 36, {"versions": "x 1"}))
    with h5py.File(tmp_path / "s.h5") as file:
        assert file.attrs["versions"] == "x 1"
        assert file["embedding"].shape == (4, 36)
        assert file["embedding"].dtype == np.float32
        assert file["embedding"].chunks is None  # contiguous
        assert np.isnan(file["embedding"][1]).all()
        assert np.isfinite(file["embedding"][0]).all()
        assert [name.decode() for name in file["name"]] == NAMES
        assert file["status"].asstr()[:].tolist() == [row.status for row in rows_of()]


DAMAGES = {
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
}


def flipped(data: bytes) -> bytes:
    """The bytes with one bit changed in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.fixture
def plan(tmp_path):
    """Twenty tiny pictures."""
    names = write_pictures(tmp_path / "pictures", 20)
    return [Picture(name, tmp_path / "pictures" / name) for name in names]


def run(plan, tmp_path, **options):
    """Extract nss in shards of eight rows."""
    cache, weights = tmp_path / "cache", tmp_path / "weights"
    return extract("db", plan, "nss", cache, weights, shard_rows=8, **options)[0]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shard_is_refused_and_then_repaired(plan, tmp_path, damage):
    """Loading refuses it by name; extracting makes its rows again, to the bit, and no others."""
    done = run(plan, tmp_path)
    before = features.load("db", "nss", tmp_path / "cache")
    DAMAGES[damage](done.path / "shard-000001.h5")
    with pytest.raises(InputError, match=r"shard-000001.h5 (is damaged|cannot be read).*extract"):
        features.load("db", "nss", tmp_path / "cache")
    again = run(plan, tmp_path)
    assert (again.n_new, again.n_cached) == (8, 20)
    after = features.load("db", "nss", tmp_path / "cache")
    assert after.names == before.names
    np.testing.assert_array_equal(after.embeddings, before.embeddings)
    index = read_json(done.path / "index.json")["shards"]
    shards = sorted(path.name for path in done.path.glob("*.h5"))
    assert shards == sorted(entry["file"] for entry in index)


def test_index_lists_what_exists(plan, tmp_path):
    """Every shard is listed with its rows, its checksum and what made it."""
    done = run(plan, tmp_path)
    index = read_json(done.path / "index.json")["shards"]
    assert [entry["rows"] for entry in index] == [8, 8, 4]
    for entry in index:
        assert sha256((done.path / entry["file"]).read_bytes()) == entry["sha256"]
        assert "numpy" in entry["versions"] and entry["device"] == "cpu"
    files = {path.name for path in done.path.iterdir()} - {".lock"}
    assert files == {"settings.json", "index.json", *(entry["file"] for entry in index)}


def test_orphans_are_removed(plan, tmp_path):
    """A shard that the index does not list and unfinished files go at the next extraction."""
    done = run(plan[:8], tmp_path)
    orphan = done.path / "shard-000001.h5"
    orphan.write_bytes((done.path / "shard-000000.h5").read_bytes())
    strays = [done.path / ".index.json.77.tmp", done.path / ".shard-000002.h5.77.tmp"]
    for stray in strays:
        stray.write_bytes(b"half")
    assert len(features.load("db", "nss", tmp_path / "cache").names) == 8
    assert run(plan, tmp_path).n_new == 12
    assert not any(stray.exists() for stray in strays)
    assert [entry["rows"] for entry in CacheFolder(done.path).shards()] == [8, 8, 4]
    assert len(features.load("db", "nss", tmp_path / "cache").names) == 20


def test_index_is_the_truth(plan, tmp_path):
    """A damaged index is an error that says what to do, not an empty cache."""
    done = run(plan[:8], tmp_path)
    (done.path / "index.json").write_bytes(b"{")
    with pytest.raises(InputError, match=r"index.json was damaged or changed"):
        features.load("db", "nss", tmp_path / "cache")
    assert run(plan[:8], tmp_path).n_new == 0


def test_a_lost_index_is_made_anew(plan, tmp_path):
    """The shards that can be read are taken; the others are made again. No work is lost."""
    done = run(plan[:8], tmp_path)
    before = features.load("db", "nss", tmp_path / "cache")
    (done.path / "index.json").unlink()
    (done.path / "shard-000009.h5").write_bytes(b"no HDF5")
    assert run(plan[:8], tmp_path).n_new == 0
    after = features.load("db", "nss", tmp_path / "cache")
    np.testing.assert_array_equal(before.embeddings, after.embeddings)
    assert not (done.path / "shard-000009.h5").exists()


def test_tampered_settings_and_renamed_folders_are_refused(plan, tmp_path):
    """A folder is what its name says, or an error, for readers and for writers."""
    done = run(plan[:8], tmp_path)
    text = (done.path / "settings.json").read_text()
    (done.path / "settings.json").write_text(text.replace('"fp32"', '"bf16"'))
    with pytest.raises(InputError, match=r"settings.json differs from the settings"):
        features.load("db", "nss", tmp_path / "cache")
    with pytest.raises(InputError, match=r"settings.json differs from the settings"):
        run(plan[:8], tmp_path)
    (done.path / "settings.json").write_text(text)
    done.path.rename(done.path.with_name("0" * 12))
    with pytest.raises(InputError, match=r"settings.json differs from the settings"):
        features.load("db", "nss", tmp_path / "cache")


def test_a_shard_closes_after_a_minute(tmp_path, monkeypatch):
    """Slow encoders write before a shard is full, whole blocks only."""
    from features.cache import folder as folder_module

    now = [0.0]
    monkeypatch.setattr(folder_module.time, "monotonic", lambda: now[0])
    folder = CacheFolder.create(tmp_path, "db", settings_of(parse("nss")[0], tmp_path))
    writer = ShardWriter(folder, {}, shard_rows=256)
    writer.add(rows_of(["a", "b"]))
    assert folder.shards() == []
    now[0] = 61.0
    writer.add(rows_of(["c", "d"]))
    assert [entry["rows"] for entry in folder.shards()] == [4]


# --- half precision


def test_half_precision(tmp_path):
    """Half the space, 2^-11 of each number, another key; readers see float32."""
    rows = many(64, n_dims=500)
    full = put(tmp_path, rows=rows, n_dims=500)
    half = put(tmp_path, rows=rows, n_dims=500, stored="float16")
    assert half.key != full.key and (full.stored, half.stored) == ("float32", "float16")
    sizes = [(one.path / "shard-000000.h5").stat().st_size for one in (full, half)]
    assert sizes[0] - sizes[1] == 64 * 500 * 2
    a, b = (features.load("db", "nss", tmp_path, one.key) for one in (full, half))
    assert b.embeddings.dtype == np.float32 and a.names == b.names
    np.testing.assert_allclose(b.embeddings, a.embeddings, rtol=2**-11, atol=2**-25)
    assert [row.result.dtype for row in half.rows()] == [np.float32] * 64
    with h5py.File(half.path / "shard-000000.h5") as file:
        assert file["embedding"].dtype == np.float16


def test_half_precision_never_makes_infinity(tmp_path):
    """A number that it cannot hold is a failed row that says so; the largest it can is kept."""
    rows = many(4)
    rows[1].result[7], rows[2].result[7], rows[3].result[7] = -65504.0, 65505.0, -1e9
    settings = settings_of(parse("nss")[0], tmp_path, stored="float16")
    folder = CacheFolder.create(tmp_path, "db", settings)
    writer = ShardWriter(folder, {})
    assert [row.status == OK for row in writer.add(rows)] == [True, True, False, False]
    writer.close()
    loaded = features.load("db", "nss", tmp_path)
    assert np.isfinite(loaded.embeddings).all() and len(loaded.names) == 2
    reason = "a number of 65505 is beyond what float16 holds (65504): store float32"
    assert loaded.failures[rows[2].name] == reason
    with pytest.raises(UsageError, match="float32 or float16, not as 'float8'"):
        settings_of(parse("nss")[0], tmp_path, stored="float8")
    assert "stored" not in settings_of(parse("nss")[0], tmp_path)
