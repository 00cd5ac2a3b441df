"""Reading a cache: one array, joined by name, every byte checked."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from cached_rows import NAMES, many, put, rows_of
from conftest import ROOT

import features
from features.cache import reading
from features.cache.load import cached_encoders, cached_sets
from features.cache.shards import OK, Row
from features.errors import InputError, UsageError
from features.files import write_json
from features.sources import FileFacts


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


def test_a_key_that_nothing_has_is_refused(tmp_path):
    """A wrong --key does not quietly load something else."""
    put(tmp_path, rows=rows_of())
    with pytest.raises(InputError, match="begins with 'zzz'"):
        features.load("db", "nss", tmp_path, key="zzz")


# --- reading in pieces


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
