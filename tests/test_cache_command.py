"""`python -m pipeline.cache` as a user meets it."""

import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import write_csv, write_pictures
from test_commands import call

import features
from features.cache.folder import CacheFolder, ShardWriter
from features.cache.settings import settings_of
from features.cache.shards import Row
from features.cache.survey import is_current
from features.cache.verifying import TOLERANCE, TOLERANCE_STORED
from features.encoders import ENCODERS
from features.files import write_json
from features.names import parse
from features.runtime import ALL_PRECISIONS
from features.sources import FileFacts
from pipeline.cache import ACTIONS

N = 12


@pytest.fixture
def cache(tmp_path, own_home, capsys):
    """A cache with nss of twelve pictures of a CSV, and two distorted versions of each."""
    pytest.importorskip(
        "torch", reason="one of the distortions that are drawn is computed by torch"
    )
    write_csv(tmp_path / "own", N)
    extract(capsys, tmp_path, "--augment", 2)
    return own_home / "cache"


def extract(capsys, tmp_path, *options) -> str:
    """Extract nss; what was printed."""
    chosen = ("--db", tmp_path / "own" / "labels.csv", "--features", "nss", "--shard-rows", 5)
    code, out, err = call(capsys, "extract", *chosen, *options)
    assert code == 0, err
    return out


def run(capsys, *arguments) -> tuple[int, list[str], list[str]]:
    """Exit code, lines on stdout, lines on stderr behind the one with the places."""
    code, out, err = call(capsys, "cache", *arguments)
    assert "Traceback" not in err
    return code, out.splitlines(), err.splitlines()[1:]


def run_json(capsys, *arguments) -> list[dict]:
    """What is printed as JSON."""
    _, out, _ = call(capsys, "cache", *arguments, "--json")
    return json.loads(out)


def folders(cache) -> list[CacheFolder]:
    """The folder of the pictures, and that of their distorted versions."""
    (path,) = cache.glob("*/nss/*/settings.json")
    (apart,) = path.parent.glob("augmented/*/settings.json")
    return [CacheFolder(path.parent), CacheFolder(apart.parent)]


def put(cache, db="other", **changes) -> CacheFolder:
    """A folder of two rows by hand, with some settings changed."""
    folder = CacheFolder.create(cache, db, settings_of(parse("nss")[0], cache) | changes)
    writer = ShardWriter(folder, {"versions": "x"})
    writer.add([Row(name, FileFacts(1, 1, "0" * 64), np.ones(36, np.float32)) for name in "ab"])
    writer.close()
    return folder


# --- list


def test_list(capsys, cache):
    """A line for each folder; distorted versions stand behind their pictures."""
    code, lines, _ = run(capsys)
    first, apart = (re.split(r"  +", line) for line in lines[2:])
    folder, versions = folders(cache)
    size = sum(path.stat().st_size for path in folder.path.glob("*.h5"))
    assert code == 0
    assert first[1:4] == ["nss", folder.key, "12"]
    assert first[4:9] == ["0", "36", f"{size / 1e3:.1f} kB", "2", "torch fp32"]
    assert first[-1] == "yes" and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", first[9])
    assert apart[1:4] == ["nss (distorted, seed 0)", versions.key, "24"]
    one, two = run_json(capsys, "list")
    assert (one["pictures"], one["failed"], one["bytes"]) == (12, 0, size)
    assert (one["current"], one["augmented"], two["augmented"]) == ("yes", False, True)
    assert "numpy" in one["versions"][0]


def test_list_says_what_is_not_of_today(capsys, cache, monkeypatch):
    """A newer encoder: the line says no, and below it stands why."""
    monkeypatch.setitem(ENCODERS, "nss", replace(ENCODERS["nss"], version=99))
    _, lines, _ = run(capsys, "list")
    assert lines[2].endswith("  no")
    assert any("version of the encoder's code is another by now (1, now 99)" in x for x in lines)


CHANGES = {
    "version": {"version": 0},
    "options": {"options": {"odd": "yes"}},
    "views": {"views": {"resize": 7}},
    "decoding": {"decoding": "another way"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_settings_of_another_day(tmp_path, change):
    """Each cause of a number that may have changed is seen; what may be asked for again is not."""
    settings = settings_of(parse("nss")[0], tmp_path)
    assert is_current(settings, tmp_path) == ("yes", "")
    assert is_current(settings | CHANGES[change], tmp_path)[0] == "no"
    for fine in ({"engine": "openvino"}, {"precision": "bf16"}, {"variant": "x"}):
        assert is_current(settings | fine, tmp_path)[0] == "yes"
    absent = settings | {"weights": {"net.pth": "0" * 64}}
    assert is_current(absent, tmp_path) == ("unknown", "not here: net.pth")
    assert is_current(settings | {"encoder": "gone"}, tmp_path)[0] == "unknown"


def test_one_clear_line(capsys, cache, tmp_path):
    """A wrong place, an empty cache, a database that is not there: what to do."""
    for action in ACTIONS:
        code, out, (line,) = run(capsys, action, "--cache", tmp_path / "none")
        assert code == 1 and not out and re.match("error: there is no cache .*--cache", line)
        (tmp_path / "empty").mkdir(exist_ok=True)
        code, out, (line,) = run(capsys, action, "--cache", tmp_path / "empty")
        assert code == 1 and "holds no embeddings of anything" in line
        code, out, (line,) = run(capsys, action, "--db", "koniq")
        assert code == 1 and "embeddings of koniq: it has labels-" in line


def test_damaged_settings(capsys, cache):
    """Listed as a warning, wrong for verify, an error for pack; the others are still shown."""
    damaged = put(cache)
    (damaged.path / "settings.json").write_text("{")
    code, lines, (warning,) = run(capsys)
    assert code == 0 and len(lines) == 4
    assert "settings.json was damaged or changed" in warning
    code, lines, _ = run(capsys, "verify", "--sample", 0)
    assert code == 1
    assert sum("settings.json was damaged" in line for line in lines) == 1
    code, _, (error,) = run(capsys, "pack", "--db", "other")
    assert code == 1 and error.startswith("error: ")
    code, _, _ = run(capsys, "prune", "--yes")
    assert code == 0 and damaged.path.is_dir()  # what cannot be read is not judged


# --- verify


def test_verify(capsys, cache, tmp_path):
    """All is right; the sample is computed again to the bit, and is the seed's."""
    code, lines, _ = run(capsys, "verify", "--sample", 5)
    assert code == 0 and len(lines) == 2
    assert "12 rows; picture files: 12 same, 0 changed, 0 missing; 5 computed again" in lines[0]
    assert "24 rows; picture files: 24 same" in lines[1]
    samples = [
        [item["sampled"] for item in run_json(capsys, "verify", "--sample", 3, "--seed", seed)]
        for seed in (1, 1, 2)
    ]
    assert samples[0] == samples[1] != samples[2]
    (own, _) = run_json(capsys, "verify", "--sample", 0)
    assert own["sampled"] == [] and own["difference"] is None


def test_verify_finds_changed_pictures(capsys, cache, tmp_path):
    """A changed file is wrong, and its distorted versions, too; one that is away is counted."""
    pictures = sorted((tmp_path / "own").glob("*.png"))
    pictures[3].write_bytes(pictures[4].read_bytes())
    pictures[5].unlink()
    code, lines, _ = run(capsys, "verify")
    assert code == 1
    assert "10 same, 1 changed, 1 missing" in lines[0]
    assert sum(line.startswith(f"  {pictures[3].name}: ") for line in lines) == 1
    assert sum(line.startswith(f"  {pictures[3].name}@") for line in lines) == 2
    assert not any(pictures[5].name in line for line in lines)


def test_verify_finds_damage(capsys, cache):
    """Each damaged shard is a line."""
    folder, apart = folders(cache)
    for name in ("shard-000000.h5", "shard-000001.h5"):
        data = bytearray((folder.path / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder.path / name).write_bytes(data)
    (apart.path / ".shard-000009.h5.7.tmp").write_bytes(b"")
    code, lines, _ = run(capsys, "verify")
    assert code == 1
    assert sum("is damaged" in line for line in lines) == 2
    assert sum("left by a kill" in line for line in lines) == 1


def test_verify_finds_other_numbers(capsys, cache):
    """A row that is whole, of the right file, and of other numbers than are computed now."""
    folder, _ = folders(cache)
    loaded = features.load(folder.path.parts[-3], "nss", cache)
    row = next(row for row in folder.rows() if row.name == loaded.names[2])
    off = row.result * np.float32(1 + 1e-4)
    writer = ShardWriter(folder, {})
    writer.add([replace(row, result=off)])
    writer.close()
    code, lines, _ = run(capsys, "verify", "--sample", N)
    assert code == 1
    assert [line.split(":")[0].strip() for line in lines if "differs by" in line] == [row.name]
    assert "over the tolerance of 1e-05 for fp32" in "".join(lines)


def test_verify_says_what_it_cannot(capsys, cache, tmp_path):
    """No table, no weights, no pictures: right as far as it goes."""
    put(cache)
    code, lines, _ = run(capsys, "verify", "--db", "other")
    assert code == 0 and "the cache has no table of this database" in lines[1]
    for path in (tmp_path / "own").glob("*.png"):
        path.unlink()
    code, lines, _ = run(capsys, "verify", "--features", "nss", "--json")
    assert code == 0
    assert "nothing is computed again: no picture file is there as it was" in "\n".join(lines)
    assert TOLERANCE.keys() == set(ALL_PRECISIONS)
    assert TOLERANCE["fp32"] == 1e-5 and TOLERANCE_STORED["float16"] >= 2**-11


def test_verify_without_weights(capsys, cache):
    """Settings whose weights are not here: all but the sample is checked."""
    folder, _ = folders(cache)
    db = folder.path.parts[-3]
    twin = put(cache, db, weights={"net.pth": "0" * 64})
    writer = ShardWriter(twin, {})
    writer.add(list(folder.rows()))
    writer.close()
    found = {item["path"]: item for item in run_json(capsys, "verify")}[str(twin.path)]
    assert found["files"]["same"] == 12 and not found["faults"]
    assert found["remarks"] == ["nothing is computed again: not here: net.pth"]


# --- pack


def test_pack_and_go_on(capsys, cache, tmp_path):
    """One file each; the next extraction finds all of it, and adds what is new beside it."""
    folder, apart = folders(cache)
    db = folder.path.parts[-3]
    before = features.load(db, "nss", cache)
    code, lines, _ = run(capsys, "pack")
    assert code == 0 and [line.split()[0] for line in lines] == ["packed", "packed"]
    assert "packed  12 rows of 2 shards" in lines[0]
    assert len(folder.shards()) == len(apart.shards()) == 1
    np.testing.assert_array_equal(features.load(db, "nss", cache).embeddings, before.embeddings)
    assert " 0 new" in extract(capsys, tmp_path)
    write_pictures(tmp_path / "more", N + 2)
    labels = tmp_path / "own" / "labels.csv"
    for path in sorted((tmp_path / "more").iterdir())[N:]:
        path.rename(tmp_path / "own" / path.name)
        labels.write_text(labels.read_text() + f"{path.name},50,gx\n")
    assert " 2 new" in extract(capsys, tmp_path)
    assert len(folder.shards()) == 2
    assert len(features.load(db, "nss", cache).names) == N + 2
    code, lines, _ = run(capsys, "pack", "--json")
    assert json.loads("\n".join(lines))[0]["n_rows"] == N + 2
    _, lines, _ = run(capsys, "pack")
    assert all(line.startswith("one file already") for line in lines)


# --- prune


def test_prune_shows_and_then_removes(capsys, cache):
    """Without --yes nothing goes; with it, what nothing would use, and nothing else."""
    kept = folders(cache)
    stale = put(cache, version=0)
    stray = kept[0].path / ".shard-000007.h5.9.tmp"
    stray.write_bytes(b"half")
    code, lines, errors = run(capsys, "prune")
    assert code == 0 and len(lines) == 2 and "nothing is removed without --yes" in errors[-1]
    assert all(line.startswith("would go") for line in lines)
    assert stale.path.is_dir() and stray.exists()
    code, lines, errors = run(capsys, "prune", "--yes")
    assert code == 0 and all(line.startswith("removed ") for line in lines)
    assert not stale.path.exists() and not stray.exists() and "set free" in errors[-1]
    assert [len(list(folder.rows())) for folder in kept] == [12, 24]
    _, lines, errors = run(capsys, "prune", "--yes")
    assert not lines and "nothing" in errors[-1]


@pytest.mark.parametrize(("file", "field"), [("settings.json", "keys"), ("head.json", "encoders")])
def test_prune_keeps_what_runs_refer_to(capsys, cache, own_home, file, field):
    """A run was fitted on it: it stays, and the line says so; --force does not care."""
    stale = put(cache, version=0)
    folder = own_home / "runs" / "other" / "nss" / "ridge" / "mos" / "0123456789ab"
    folder.mkdir(parents=True)
    write_json(folder / file, {field: {"nss": stale.key}})
    _, (line,), _ = run(capsys, "prune", "--yes")
    assert line.startswith("kept ") and str(folder) in line and stale.path.is_dir()
    _, (line,), _ = run(capsys, "prune", "--yes", "--force")
    assert line.startswith("removed ") and not stale.path.exists()


def test_prune_never_leaves_the_cache(capsys, cache, tmp_path):
    """A folder that is a link to another place is left, and so is what it leads to."""
    elsewhere = put(tmp_path / "elsewhere", version=0)
    (cache / "linked").symlink_to(tmp_path / "elsewhere" / "other")
    _, (line,), _ = run(capsys, "prune", "--yes", "--force")
    assert line.startswith("kept ") and "is a link to" in line
    assert len(list(elsewhere.rows())) == 2


def test_prune_rows(capsys, cache, tmp_path):
    """Rows of pictures that the table does not name any more go, only when asked for."""
    folder, _ = folders(cache)
    labels = tmp_path / "own" / "labels.csv"
    labels.write_text("\n".join(labels.read_text().splitlines()[:-3]) + "\n")
    extract(capsys, tmp_path)
    before = features.load(folder.path.parts[-3], "nss", cache)
    assert len(before.names) == N
    _, lines, _ = run(capsys, "prune", "--yes")
    assert not lines
    _, (line,), _ = run(capsys, "prune", "--rows")
    assert "3 of 12 rows are of pictures that the table does not name" in line
    assert len(list(folder.rows())) == N
    run(capsys, "prune", "--rows", "--yes")
    after = features.load(folder.path.parts[-3], "nss", cache)
    assert after.names == before.names[:-3]
    np.testing.assert_array_equal(after.embeddings, before.embeddings[:-3])


@pytest.mark.parametrize("when", ["index.json", "shard-000000.h5"])
def test_prune_killed(capsys, cache, monkeypatch, when):
    """Killed while a folder is removed: no reader finds half of it, and the next one ends it."""
    stale = put(cache, version=0)
    unlink = os.unlink

    class Killed(BaseException):
        pass

    def kill(path, *args, **options):
        unlink(path, *args, **options)
        if str(path).endswith(when):
            raise Killed

    monkeypatch.setattr("pathlib.Path.unlink", lambda self, missing_ok=False: kill(self))
    with pytest.raises(Killed):
        call(capsys, "cache", "prune", "--yes")
    monkeypatch.undo()
    assert CacheFolder(stale.path).shards() == []
    run(capsys, "prune", "--yes", "--cache", cache)
    assert not stale.path.exists()


def test_help(capsys):
    """Each action says what it does, with examples."""
    for action in ACTIONS:
        code, out, _ = call(capsys, "cache", action, "--help")
        assert code == 0 and f"python -m pipeline.cache {action}" in out
