"""The cache: keys that follow every cause of a number, shards that are whole or made again."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import ROOT, write_pictures

import features
from features.cache import reading
from features.cache.folder import CacheFolder, ShardWriter
from features.cache.load import cached_encoders, cached_sets
from features.cache.settings import settings_of
from features.cache.shards import OK, Row, decode_shard, encode_shard
from features.errors import InputError, UsageError
from features.extract import extract
from features.files import read_json, sha256, write_json
from features.names import parse
from features.plan import Picture
from features.sources import FileFacts

NAMES = ["b.png", "ä/图片 1.png", "a+b [c].png", "a.png"]


def rows_of(names=NAMES, n_dims=36, seed=0):
    """Rows with seeded embeddings, the second of them failed."""
    rng = np.random.default_rng(seed)
    rows = []
    for index, name in enumerate(names):
        result = rng.standard_normal(n_dims).astype(np.float32)
        facts = FileFacts(100 + index, 10**18 + index, f"{index:064x}")
        rows.append(Row(name, facts, "cannot be decoded: größer" if index == 1 else result))
    return rows


def same(ours: Row, expected: Row) -> bool:
    """Tell whether two rows hold the same, embeddings to the bit."""
    if (ours.name, ours.facts, ours.status) != (expected.name, expected.facts, expected.status):
        return False
    return ours.status != OK or np.array_equal(ours.result, expected.result)


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


# --- writing by hand, to load what no encoder here makes


def put(cache, encoder="nss", rows=(), shard_rows=100, **changes):
    """Write rows into the folder of an encoder's settings, some of them changed."""
    settings = settings_of(parse("nss")[0], cache) | {"encoder": encoder} | changes
    folder = CacheFolder.create(cache, "db", settings)
    writer = ShardWriter(folder, {"versions": "x"}, shard_rows)
    for row in rows:
        writer.add([row])
    writer.close()
    return folder


def test_load_joins_by_name(tmp_path):
    """Whatever the order of writing, each row holds the columns of its own picture."""
    first, second = rows_of(seed=1), rows_of(seed=2)[::-1]
    second = [Row(row.name, row.facts, row.result[:5]) for row in second]
    put(tmp_path, "nss", first)
    put(tmp_path, "content-lite", second, n_dims=5)
    names, embeddings, columns, failures, keys = features.load("db", "nss+content-lite", tmp_path)
    assert names == sorted(set(NAMES) - {NAMES[1]})
    assert embeddings.shape == (3, 41) and embeddings.dtype == np.float32
    assert columns == {"content-lite": slice(0, 5), "nss": slice(5, 41)}
    for table in (first, second):
        part = columns["nss" if table is first else "content-lite"]
        for row in table:
            if row.status == OK:
                np.testing.assert_array_equal(embeddings[names.index(row.name), part], row.result)
    assert failures.keys() == {NAMES[1]}
    assert set(keys) == {"nss", "content-lite"}


def test_load_reports_failures(tmp_path):
    """A picture that one encoder could not embed is left out, with the reason."""
    put(tmp_path, "nss", rows_of())
    whole = [Row(row.name, row.facts, np.ones(36, np.float32)) for row in rows_of()]
    put(tmp_path, "content-lite", whole)
    loaded = features.load("db", "nss+content-lite", tmp_path)
    assert loaded.failures == {NAMES[1]: "cannot be decoded: größer"}
    assert NAMES[1] not in loaded.names
    assert len(features.load("db", "content-lite", tmp_path).names) == 4


def test_the_last_row_of_a_name_counts(tmp_path):
    """A picture extracted again replaces its row, failed or not."""
    put(tmp_path, "nss", rows_of())
    later = [Row(NAMES[1], FileFacts(1, 1, "0"), np.ones(36, np.float32))]
    put(tmp_path, "nss", [*later, Row(NAMES[0], FileFacts(1, 1, "0"), "gone")])
    loaded = features.load("db", "nss", tmp_path)
    assert loaded.failures == {NAMES[0]: "gone"}
    np.testing.assert_array_equal(loaded.embeddings[loaded.names.index(NAMES[1])], np.ones(36))


def test_ambiguous_settings_are_listed(tmp_path):
    """Two settings of one encoder: the error says in what they differ, and a key chooses."""
    one = put(tmp_path, rows=rows_of(seed=1))
    two = put(tmp_path, rows=rows_of(seed=2), variant="512x384")
    with pytest.raises(InputError, match="nss is cached for db under 2 settings.*key") as error:
        features.load("db", "nss", tmp_path)
    assert f"{one.key}: variant=" in str(error.value)
    assert f"{two.key}: variant=512x384" in str(error.value)
    assert "precision" not in str(error.value)
    for folder, seed in ((one, 1), (two, 2)):
        for chosen in (folder.key, folder.key[:4], [folder.key[:6]]):
            loaded = features.load("db", "nss", tmp_path, chosen)
            assert loaded.keys == {"nss": folder.key}
            expected = rows_of(seed=seed)[0]
            row = loaded.embeddings[loaded.names.index(expected.name)]
            np.testing.assert_array_equal(row, expected.result)
    with pytest.raises(InputError, match="under 2 settings"):
        features.load("db", "nss", tmp_path, "zzzz")


def test_settings_without_rows_do_not_stand_in_the_way(tmp_path):
    """A folder from which no shard came yet is no second choice, and no empty result."""
    put(tmp_path, variant="killed early")
    with pytest.raises(InputError, match="nss is not cached for db"):
        features.load("db", "nss", tmp_path)
    put(tmp_path, rows=rows_of())
    assert len(features.load("db", "nss", tmp_path).names) == 3


def test_not_cached_says_what_is(tmp_path):
    """The error names what is cached, and the command that would cache it."""
    with pytest.raises(InputError, match=r"nss is not cached for db .*cached: nothing.*extract"):
        features.load("db", "nss", tmp_path)
    put(tmp_path, rows=rows_of())
    with pytest.raises(InputError, match=r"cached: nss\).*--features 'content-lite\[pool=last\]'"):
        features.load("db", "content-lite[pool=last]+nss", tmp_path)
    with pytest.raises(UsageError, match="did you mean nss"):
        features.load("db", "nsss", tmp_path)


def test_cached_sets(tmp_path):
    """What is cached, complete groups by the group's name."""
    assert cached_sets(tmp_path, "db") == []
    for encoder in ("nss", "reiqa-content", "content-lite[pool=last]"):
        put(tmp_path, encoder, rows_of())
    assert cached_sets(tmp_path, "db") == ["reiqa-content", "content-lite[pool=last]", "nss"]
    put(tmp_path, "reiqa-quality", rows_of())
    assert cached_sets(tmp_path, "db") == ["reiqa", "content-lite[pool=last]", "nss"]
    assert len(cached_encoders(tmp_path, "db")) == 4
    assert cached_encoders(tmp_path, "other") == []


def test_the_default_place(own_home):
    """Without a folder, the cache is the one under the home place."""
    put(own_home / "cache", rows=rows_of())
    assert len(features.load("db", "nss").names) == 3


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


def test_a_key_that_nothing_has_is_refused(tmp_path):
    """A wrong --key does not quietly load something else."""
    put(tmp_path, rows=rows_of())
    with pytest.raises(InputError, match="begins with 'zzz'"):
        features.load("db", "nss", tmp_path, key="zzz")


# --- reading in pieces


def many(n, n_dims=36, seed=3) -> list[Row]:
    """Rows of seeded numbers, in no order of name."""
    rng = np.random.default_rng(seed)
    facts = FileFacts(1, 2, "0" * 64)
    return [
        Row(f"p{index:04d}", facts, rng.standard_normal(n_dims).astype(np.float32))
        for index in rng.permutation(n).tolist()
    ]


@pytest.mark.parametrize("buffer", [1, 200, 5000, 1 << 20])
def test_any_buffer_reads_the_same(tmp_path, monkeypatch, buffer):
    """Rows are copied whole, wherever the buffer ends; h5py agrees to the bit."""
    rows = many(50)
    folder = put(tmp_path, rows=rows, shard_rows=7)
    monkeypatch.setattr(reading, "BUFFER_BYTES", buffer)
    loaded = features.load("db", "nss", tmp_path)
    expected = {row.name: row.result for row in rows}
    np.testing.assert_array_equal(loaded.embeddings, [expected[name] for name in loaded.names])
    with h5py.File(folder.path / "shard-000002.h5") as file:
        places = [loaded.names.index(name) for name in file["name"].asstr()[:]]
        np.testing.assert_array_equal(loaded.embeddings[places], file["embedding"][:])


def test_names_choose_rows(tmp_path):
    """A subset in the order given; only the shards that hold it are read and checked."""
    rows = many(40)
    folder = put(tmp_path, "nss", rows, shard_rows=8)
    put(tmp_path, "content-lite", [Row(r.name, r.facts, r.result[:5]) for r in rows], n_dims=5)
    whole = features.load("db", "nss+content-lite", tmp_path)
    chosen = [rows[3].name, rows[0].name]
    path = folder.path / "shard-000004.h5"
    data = bytearray(path.read_bytes())
    data[folder.shards()[4]["outside"][0] + 5] ^= 1  # a number of a row that is none of these
    path.write_bytes(data)
    part = features.load("db", "nss+content-lite", tmp_path, names=chosen)
    assert part.names == chosen and part.failures == {}
    places = [whole.names.index(name) for name in chosen]
    np.testing.assert_array_equal(part.embeddings, whole.embeddings[places])
    assert part.columns == whole.columns and part.keys == whole.keys
    assert features.load("db", "nss", tmp_path, names=[]).embeddings.shape == (0, 36)
    with pytest.raises(InputError, match="shard-000004.h5 is damaged"):
        features.load("db", "nss", tmp_path, names=[rows[-1].name])


def test_names_without_embedding_are_refused(tmp_path):
    """The error names the first, and why."""
    put(tmp_path, rows=rows_of())
    with pytest.raises(InputError, match=r"1 of the 2 names .* 'x.png': it is not in the cache"):
        features.load("db", "nss", tmp_path, names=["a.png", "x.png"])
    with pytest.raises(InputError, match="图片 1.png': cannot be decoded: größer"):
        features.load("db", "nss", tmp_path, names=[NAMES[1]])
    with pytest.raises(InputError, match="'a.png' twice"):
        features.load("db", "nss", tmp_path, names=["a.png", "a.png"])


def test_no_bit_flips_unseen(tmp_path):
    """Whichever byte of a shard is another, loading and extracting say so, and nothing crashes."""
    folder = put(tmp_path, rows=rows_of())
    path = folder.path / "shard-000000.h5"
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(len(data), 300, replace=False).tolist():
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        with pytest.raises(InputError, match="is damaged"):
            features.load("db", "nss", tmp_path)
    assert len(folder.recover({name: place for place, name in enumerate(NAMES)})) == 0
    assert not path.exists()


def test_a_damaged_entry_of_the_index(tmp_path):
    """An entry that lacks a key is one line, not a KeyError."""
    folder = put(tmp_path, rows=rows_of())
    (folder.path / "index.json").write_text('{"shards": [{"file": "shard-000000.h5"}]}')
    with pytest.raises(InputError, match="index.json was damaged"):
        features.load("db", "nss", tmp_path)


def test_an_index_of_before(tmp_path):
    """An index as older versions wrote it is read and gone on with."""
    rows = many(20)
    folder = put(tmp_path, rows=rows[:10])
    (entry,) = folder.shards()
    del entry["outside"]
    write_json(folder.path / "index.json", {"shards": [entry]})
    assert len(features.load("db", "nss", tmp_path).names) == 10
    put(tmp_path, rows=rows[10:])
    assert len(features.load("db", "nss", tmp_path).names) == 20
    assert [one["file"] for one in folder.shards()] == ["shard-000000.h5", "shard-000001.h5"]
    path = folder.path / "shard-000000.h5"
    data = path.read_bytes()
    for place in range(0, len(data), 97):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        with pytest.raises(InputError, match="is damaged"):
            features.load("db", "nss", tmp_path)


PEAK = """
import sys
import h5py, numpy, features
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1000 for line in file if line.startswith("VmHWM"))
before = peak()
loaded = features.load("db", "nss", sys.argv[1])
print((peak() - before) / loaded.embeddings.nbytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux says what was used")
def test_memory_of_loading(tmp_path):
    """The array, and little beside it: no second copy."""
    rng = np.random.default_rng(0)
    facts = FileFacts(1, 2, "0" * 64)
    wide = [Row(f"p{i}", facts, rng.standard_normal(20_000, np.float32)) for i in range(1000)]
    put(tmp_path, rows=wide, shard_rows=64, n_dims=20_000)
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    assert 0.9 < float(done.stdout) < 1.25


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
