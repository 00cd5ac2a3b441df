"""Published files as safetensors: the same numbers, the same cache keys, whole or not at all."""

import dataclasses
import json
import os
import resource
import shutil
import signal

import numpy as np
import pytest
import tiny
from conftest import picture
from known import WRITERS

from features import fetch, weight_import
from features.cache.settings import key_of, settings_of
from features.engine import load_encoder
from features.errors import InputError, UsageError
from features.names import parse
from features.weight_import import import_all, import_file
from features.weights import PICKLED, load_state, weight_sha256

torch = pytest.importorskip("torch")
TARGET = "tiny.safetensors"


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """An empty weights folder; the one encoder reads "model" or plain keys."""
    tiny.register(monkeypatch)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def numbers(folder, name="tiny") -> np.ndarray:
    """What the encoder gives for a picture."""
    return load_encoder(parse(name)[0], folder).encode(picture(3)[None])


def key(folder, name="tiny") -> str:
    """The cache key."""
    return key_of(settings_of(parse(name)[0], folder))


def visible(folder) -> set[str]:
    """The files in a folder, without locks."""
    return {path.name for path in folder.iterdir()} - {".lock"}


@pytest.mark.parametrize("container", ["model", ""])
def test_import_keeps_numbers_and_key(weights, tmp_path, container):
    """From anywhere, into the weights folder; also when the published file is gone."""
    source = tiny.write(tmp_path / "a" / "renamed.bin", 3, container, optimizer={"state": {}})
    published = tmp_path / "published"
    published.mkdir()
    shutil.copy(source, published / tiny.FILENAME)
    expected = [(numbers(published, n), key(published, n)) for n in ("tiny", "tiny[head]")]
    target = import_file(source, parse("tiny")[0], weights)
    assert target == weights / TARGET and visible(weights) == {TARGET, "known.json"}
    for name, (embedding, key_) in zip(("tiny", "tiny[head]"), expected, strict=True):
        np.testing.assert_array_equal(numbers(weights, name), embedding)
        assert key(weights, name) == key_
    entry = json.loads((weights / "known.json").read_text())[TARGET]
    assert entry["converted_from"] == weight_sha256(source) and entry["first_used"]
    assert entry["sha256"] != entry["converted_from"]


def test_tensors_are_what_they_were(weights, tmp_path):
    """Types and values of every tensor, and nothing that is none."""
    state = tiny.tensors(1)
    torch.save({"model": state, "epoch": 3, "name": "x"}, tmp_path / "net.pth")
    found = load_state(import_file(tmp_path / "net.pth", parse("tiny")[0], weights))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[k], state[k]) and found[k].dtype == state[k].dtype for k in state)
    assert found["module.body.steps"].dtype == torch.int64
    # others may read it, as they may any file that is made here
    assert (weights / TARGET).stat().st_mode == (weights / "known.json").stat().st_mode


def test_shared_scattered_and_half_tensors(weights, tmp_path):
    """What safetensors refuses as it is: views of one memory, transposed, beside integers."""
    wide = torch.arange(40, dtype=torch.float16).reshape(2, 20) / 7
    state = tiny.tensors()
    state["module.body.weight"] = torch.randn(3, 4).t()
    state["module.head.weight"] = wide[:, 3:7]
    state["module.body.bias"] = state["module.head.bias"] = wide[0, :4]
    state["module.head.bias"] = wide[0, :2]
    torch.save({"model": state}, tmp_path / "net.pth")
    found = load_state(import_file(tmp_path / "net.pth", parse("tiny")[0], weights))
    assert all(torch.equal(found[k], state[k]) and found[k].dtype == state[k].dtype for k in state)
    assert (weights / TARGET).stat().st_size < 1500  # a part of `wide` was saved, not all of it


def test_the_dictionary_that_the_encoder_reads(weights, tmp_path, monkeypatch):
    """Another of the same layout is no substitute, wherever it stands in the file."""
    tiny.register(monkeypatch, tiny.tiny(containers=("model_ema",)))
    source = tmp_path / tiny.FILENAME
    torch.save({"model": tiny.tensors(1), "model_ema": tiny.tensors(2)}, source)
    expected = numbers(tmp_path)
    import_file(source, parse("tiny")[0], weights)
    np.testing.assert_array_equal(numbers(weights), expected)
    assert torch.equal(
        load_state(weights / TARGET)["module.body.bias"], tiny.tensors(2)["module.body.bias"]
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_torchscript_archive(weights, tmp_path):
    """As CLIP is published: its tensors become safetensors, its code is left behind."""
    module = torch.nn.ModuleDict({"body": torch.nn.Linear(3, 4), "head": torch.nn.Linear(4, 2)})
    module["body"].register_buffer("steps", torch.tensor(5))
    torch.jit.save(torch.jit.script(module), tmp_path / tiny.FILENAME)
    expected = numbers(tmp_path)
    import_file(tmp_path / tiny.FILENAME, parse("tiny")[0], weights)
    np.testing.assert_array_equal(numbers(weights), expected)
    assert load_state(weights / TARGET).keys() == module.state_dict().keys()


def test_dictionaries_in_dictionaries(weights, tmp_path, monkeypatch):
    """As training frameworks nest them."""
    tiny.register(monkeypatch, tiny.tiny(containers=("network", "state_dict")))
    torch.save({"network": {"state_dict": tiny.tensors(4)}, "x": torch.ones(1)}, tmp_path / "a.pth")
    import_file(tmp_path / "a.pth", parse("tiny")[0], weights)
    assert len(load_state(weights / TARGET)) == 5


def test_what_needs_more_than_its_tensors_is_not_converted(weights, tmp_path, monkeypatch):
    """An encoder that reads only nested files keeps the published one."""
    encoder = tiny.tiny()

    def nested_only(options, files, device):
        if "model" not in load_state(files["network"]):
            raise InputError("not nested")
        return encoder.build(options, files, device)

    tiny.register(monkeypatch, dataclasses.replace(encoder, build=nested_only))
    with pytest.raises(InputError, match="use the file as it is"):
        import_file(tiny.write(tmp_path / "a.pth"), parse("tiny")[0], weights)
    assert visible(weights) == set()


def test_the_files_of_an_encoder(weights):
    """`import ENCODER` converts what lies in the folder as published, wherever it lies there."""
    tiny.write(weights / "sub" / tiny.FILENAME, 2)
    before, key_ = numbers(weights), key(weights)
    assert import_all(parse("tiny")[0], weights) == [weights / TARGET]
    assert parse("tiny")[0].encoder.weights[0].find(weights) == weights / TARGET
    np.testing.assert_array_equal(numbers(weights), before)
    assert key(weights) == key_
    (weights / "sub" / tiny.FILENAME).unlink()
    assert key(weights) == key_
    # again: nothing to do
    before = (weights / TARGET).stat()
    assert import_all(parse("tiny")[0], weights) == [weights / TARGET]
    assert (weights / TARGET).stat() == before


def test_nothing_to_convert():
    """Encoders without files, and files that packages carry."""
    for name in ("nss", "content-lite"):
        with pytest.raises(InputError, match="(no file of yours|not installed)"):
            import_all(parse(name)[0], None)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ({"conv1.weight": torch.ones(3)}, "is not a tiny file"),
        ({"model": tiny.tensors(width=5)}, "2 of another shape"),
        ({"model": {k: v for k, v in tiny.tensors().items() if "head" not in k}}, "2 missing"),
    ],
)
def test_a_file_of_another_model(weights, tmp_path, stored, reason):
    """Said as by verify; nothing stays."""
    torch.save(stored, tmp_path / "net.pth")
    with pytest.raises(InputError, match=reason):
        import_file(tmp_path / "net.pth", parse("tiny")[0], weights)
    assert visible(weights) == set()


class Trap:
    """Unpickling this creates a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_is_not_run(weights, tmp_path):
    """A checkpoint that holds code beside good tensors is not imported."""
    source = tiny.write(tmp_path / "net.pth", opt=Trap(tmp_path / "sprung"))
    with pytest.raises(InputError, match="never run"):
        import_file(source, parse("tiny")[0], weights)
    assert not (tmp_path / "sprung").exists()


def test_another_file_in_the_place_is_kept(weights, tmp_path):
    """It is not written over."""
    import_file(tiny.write(tmp_path / "a.pth", 1), parse("tiny")[0], weights)
    with pytest.raises(InputError, match="is there already and is another file"):
        import_file(tiny.write(tmp_path / "b.pth", 2), parse("tiny")[0], weights)


def test_a_safetensors_file_is_copied(weights, tmp_path):
    """Byte by byte, and its own SHA-256 stands for it."""
    from safetensors.torch import save_file

    save_file(tiny.tensors(1), tmp_path / "from.safetensors")
    target = import_file(tmp_path / "from.safetensors", parse("tiny")[0], weights)
    assert target.read_bytes() == (tmp_path / "from.safetensors").read_bytes()
    assert weight_sha256(target) == weight_sha256(tmp_path / "from.safetensors")


def test_a_converted_file_on_its_way_elsewhere(weights, tmp_path):
    """Imported from a weights folder that has it on record, it still stands for the original."""
    source = tiny.write(tmp_path / "a.pth", 1)
    first = import_file(source, parse("tiny")[0], weights)
    second = import_file(first, parse("tiny")[0], tmp_path / "other")
    assert weight_sha256(second) == weight_sha256(source)


def test_the_published_checksum(weights, tmp_path, monkeypatch):
    """Another file than the published one is not imported; the right one, converted, is used."""
    source = tiny.write(tmp_path / "a.pth", 1)
    tiny.register(monkeypatch, tiny.tiny(sha256="0" * 64))
    with pytest.raises(InputError, match="not the published file"):
        import_file(source, parse("tiny")[0], weights)
    tiny.register(monkeypatch, tiny.tiny(sha256=weight_sha256(source)))
    import_file(source, parse("tiny")[0], weights)
    numbers(weights)


def test_a_file_of_two(weights, tmp_path):
    """Which one is told by its name or its role; the other must be there."""
    request = parse("tiny[extra]")[0]
    torch.save({"weight": torch.ones(4, 4)}, tmp_path / "extra.pth")
    with pytest.raises(InputError, match="tiny.pth is not in"):
        import_file(tmp_path / "extra.pth", request, weights)
    tiny.write(weights / tiny.FILENAME)
    with pytest.raises(UsageError, match="which file of"):
        import_file(tmp_path / "extra.pth", parse("tiny")[0], weights, "extra")
    assert import_file(tmp_path / "extra.pth", request, weights).name == "extra.safetensors"


def test_a_full_disk(weights, tmp_path):
    """One line, and nothing stays."""
    source = tiny.write(tmp_path / "a.pth")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(InputError, match="cannot write .*nothing was imported"):
            import_file(source, parse("tiny")[0], weights)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert visible(weights) == set()


def test_a_kill_before_the_rename(weights, tmp_path, monkeypatch):
    """The converted file is never there without its record; the next import ends the work."""
    source = tiny.write(tmp_path / "a.pth", 1)

    def kill(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "stage", kill)
    with pytest.raises(KeyboardInterrupt):
        import_file(source, parse("tiny")[0], weights)
    assert visible(weights) == {"known.json"}
    monkeypatch.setattr(fetch, "stage", lambda name: None)
    target = import_file(source, parse("tiny")[0], weights)
    assert weight_sha256(target) == weight_sha256(source)
    numbers(weights)


def test_two_imports_at_once(weights, tmp_path):
    """The second is told to wait; what a killed one left is written over."""
    source = tiny.write(tmp_path / "a.pth", 1)
    target = weights / TARGET
    with (
        weight_import._aside(target),
        pytest.raises(InputError, match="another process is importing"),
    ):
        import_file(source, parse("tiny")[0], weights)
    target.with_name(".tiny.importing.safetensors").write_bytes(b"left" * 10_000)
    import_file(source, parse("tiny")[0], weights)
    assert numbers(weights).shape == (1, 4)


def test_without_a_record_nothing_is_imported(weights, tmp_path):
    """A converted file that nothing tells from any other would change keys."""
    (weights / ".lock").mkdir()
    with pytest.raises(InputError, match="cannot write in"):
        import_file(tiny.write(tmp_path / "a.pth"), parse("tiny")[0], weights)
    assert visible(weights) == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_every_encoder_takes_its_converted_file(known_weights, tmp_path, name):
    """Its file in the published layout, converted, is right, found, and has the same key."""
    request, folder = parse(name)[0], known_weights(name)
    for file in request.encoder.files(request.values):
        path = file.find(folder)
        if path.suffix in PICKLED:
            try:
                import_file(path, request, tmp_path, file.role)
            except InputError as error:
                if "not installed" not in str(error):
                    raise
                pytest.skip(str(error))
        else:
            (tmp_path / path.name).symlink_to(path)
    assert key(tmp_path, name) == key(folder, name)
    found = [file.find(tmp_path) for file in request.encoder.files(request.values)]
    assert not any(path.suffix in PICKLED for path in found)
    assert load_encoder(request, tmp_path)
