"""Files are whole or absent, JSON is JSON, and one process at a time writes a folder."""

import errno
import hashlib
import os
import signal
import subprocess
import sys

import pytest

from features import files
from features.errors import InputError
from features.files import digest, file_sha256, locked, read_json, sha256, write_atomic, write_json

STAGES = ("before write", "before flush", "before rename")


def names(folder):
    """The names of all files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def python(script: str, *arguments: object, **options) -> subprocess.Popen:
    """Start a Python process that can import what we can, its output in text."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        **options,
    )


def test_write_makes_folders_and_replaces(tmp_path):
    """The last content written is there, and nothing else is."""
    path = tmp_path / "a" / "b" / "file.bin"
    for data in (b"first", b"", bytes(range(256))):
        write_atomic(path, data)
        assert path.read_bytes() == data
        assert names(path.parent) == ["file.bin"]


def test_a_reader_keeps_the_file_it_opened(tmp_path):
    """A file is replaced, never written into: who reads the old one reads it to its end."""
    write_atomic(tmp_path / "file", b"old content")
    with open(tmp_path / "file", "rb") as reader:
        write_atomic(tmp_path / "file", b"new")
        assert reader.read() == b"old content"


@pytest.mark.parametrize("stage", STAGES)
def test_old_file_stays_when_writing_fails(tmp_path, monkeypatch, stage):
    """An error at any stage leaves the old content, no temporary file, and one plain line."""
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail(name):
        if name == stage:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "stage", fail)
    with pytest.raises(InputError, match=r"cannot write .*No space left.*3 bytes.*make room"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_while_writing(tmp_path, monkeypatch, stage):
    """An interrupt at any stage leaves the old content and no temporary file."""
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def interrupt(name):
        if name == stage:
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "stage", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from features.errors import InputError
from features.files import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_atomic(Path(sys.argv[1]), bytes(int(sys.argv[2])))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("size", [10_001, 1_000_000])
def test_full_disk(tmp_path, size):
    """The system refuses to write on: one error, the old file, nothing left beside it."""
    path = tmp_path / "file"
    write_atomic(path, b"old")
    out, err = python(FULL_DISK, path, size).communicate(timeout=60)
    assert f"cannot write {path}" in out
    assert f"{size:,} bytes were needed" in out
    assert not err
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_place_that_cannot_be_written(tmp_path):
    """A file where a folder should be is an error that names the path."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot write .*file/below"):
        write_atomic(tmp_path / "file" / "below", b"data")
    with pytest.raises(InputError, match="cannot write in .*file"), locked(tmp_path / "file"):
        pass


def test_json_round_trip(tmp_path):
    """What is written is read, text of any script included."""
    value = {"name": "图片 ü", "list": [1, 2.5, None, True], "nested": {"a": {}}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "图片" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_json_has_not(tmp_path, value):
    """NaN and infinity are errors, and the old file stays."""
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"plcc": value})
    assert read_json(tmp_path / "a.json") == 1
    assert names(tmp_path) == ["a.json"]


def test_json_that_cannot_be_read(tmp_path):
    """Missing and damaged files are each one plain error."""
    with pytest.raises(InputError, match=r"expected the file .*none.json, which is not there"):
        read_json(tmp_path / "none.json")
    for data in (b"{", b"", b"\xff\xfe{}"):
        (tmp_path / "bad.json").write_bytes(data)
        with pytest.raises(InputError, match=r"bad.json was damaged or changed"):
            read_json(tmp_path / "bad.json")


def test_digests(tmp_path):
    """SHA-256 is the standard's; a digest sees content, not the order of keys."""
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert len({digest(value) for value in ({"a": 1}, {"a": "1"}, {"a": 2}, {"b": 1}, [1])}) == 5


HOLD = """
import sys, time
from pathlib import Path
from features.files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_lock_excludes_a_second_process(tmp_path):
    """The second process says that it waits, and goes on when the first has left."""
    with locked(tmp_path):
        second = python(HOLD, tmp_path, 0)
        assert "another process is writing" in second.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.3)
    assert second.communicate(timeout=60)[0] == "locked\n"


def test_lock_dies_with_its_process(tmp_path):
    """A killed process holds nothing."""
    first = python(HOLD, tmp_path, 600)
    assert first.stdout.readline() == "locked\n"
    second = python(HOLD, tmp_path, 0)
    assert "another process is writing" in second.stderr.readline()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert second.communicate(timeout=60)[0] == "locked\n"


def test_lock_is_let_go_after_an_error(tmp_path):
    """The same process can lock again, whatever happened inside."""
    for _ in range(2):
        with pytest.raises(RuntimeError, match="inside"), locked(tmp_path / "new"):
            raise RuntimeError("inside")
