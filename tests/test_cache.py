"""The cache: keys that follow every cause of a number, shards that are whole or made again."""

import h5py
import numpy as np
import pytest
from conftest import write_pictures

import features
from features.cache.folder import CacheFolder, ShardWriter
from features.cache.load import cached_encoders, cached_sets
from features.cache.settings import settings_of
from features.cache.shards import OK, Row, decode_shard, encode_shard
from features.decode import FileFacts
from features.engine import Picture
from features.errors import InputError, UsageError
from features.extract import extract
from features.files import read_json, sha256
from features.names import parse

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
    writer.add(list(rows))
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
