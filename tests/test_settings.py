"""The cache key follows every cause of a number and nothing else, for every encoder."""

import dataclasses
import json
import os

import pytest

from features.cache import settings as settings_module
from features.cache.folder import CacheFolder
from features.cache.settings import key_of, settings_of
from features.encoders import ENCODERS
from features.errors import UsageError
from features.names import Request, parse
from features.runtime import Runtime
from features.weights import WeightFile

# what computes otherwise
OTHERS = [
    Runtime(precision="bf16"),
    Runtime(precision="tf32"),
    Runtime("openvino"),
    Runtime("openvino", precision="bf16"),
    Runtime(budget=3),
]


def request_with(**changes) -> Request:
    """The request for nss with some fields of its record changed."""
    request = parse("nss")[0]
    return dataclasses.replace(request, encoder=dataclasses.replace(request.encoder, **changes))


def key(request, folder, **options):
    """The key of a request under some options."""
    return key_of(settings_of(request, folder, **options))


def test_key_is_stable(tmp_path):
    """The same settings give the same key: 12 hexadecimal digits, wherever they are asked for."""
    first = key(parse("nss")[0], tmp_path)
    assert first == key(parse("nss")[0], tmp_path / "elsewhere")
    assert len(first) == 12 and int(first, 16) >= 0


def test_key_follows_what_can_change_a_number(tmp_path, monkeypatch):
    """Version, views, width, precision, variant, decoding and engine each make another key."""
    request = parse("nss")[0]
    keys = [
        key(request, tmp_path),
        key(request_with(version=2), tmp_path),
        key(request_with(views={"picture": "centre"}), tmp_path),
        key(request_with(n_dims=lambda options: 37), tmp_path),
        key(request_with(name="nss2"), tmp_path),
        key(request, tmp_path, variant="512x384"),
        key(request, tmp_path, stored="float16"),
        *(key(request_with(network=True), tmp_path, runtime=runtime) for runtime in OTHERS),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(settings_module, "DECODING", "another")
        keys.append(key(request, tmp_path))
    assert len(set(keys)) == len(keys)
    assert key(request, tmp_path) == keys[0]


def test_key_follows_nothing_else(tmp_path):
    """What only describes an encoder, or what it could also do, leaves its key."""
    changes = {"summary": "x", "paper": "x", "licence": "x", "seen": ("x",)}
    other = request_with(**changes)
    plain = key(parse("nss")[0], tmp_path)
    assert key(other, tmp_path) == plain
    # without a network, engine and precision are not what makes the numbers; a device never is
    assert {key(other, tmp_path, runtime=runtime) for runtime in OTHERS} == {plain}
    on_gpu = key(request_with(network=True), tmp_path, runtime=Runtime(gpu="1"))
    assert on_gpu == key(request_with(network=True), tmp_path) == plain


def test_key_follows_weights_and_options(tmp_path):
    """Another weight file or option is another key; the file's place and time are not."""
    file = tmp_path / "quality_aware_r50.pth"
    file.write_bytes(b"one")
    names = ("", "[scales=1]", "[head]", "[head,scales=1]")
    keys = [key(parse(f"reiqa-quality{name}")[0], tmp_path) for name in names]
    assert len(set(keys)) == len(keys)
    copy = tmp_path / "other" / "re-iqa_ckpts" / file.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"one")
    os.utime(copy, (0, 0))
    assert key(parse("reiqa-quality")[0], tmp_path / "other") == keys[0]
    copy.write_bytes(b"two")
    assert key(parse("reiqa-quality")[0], tmp_path / "other") != keys[0]


def test_a_default_spelled_out_is_the_same_key(tmp_path):
    """Two spellings of one request share a folder."""
    (tmp_path / "quality_aware_r50.pth").write_bytes(b"one")
    texts = ("reiqa-quality", "reiqa-quality[scales=1.0:0.50,head=no]")
    assert len({key(parse(text)[0], tmp_path) for text in texts}) == 1


def test_unknown_storage(tmp_path):
    """A type that numbers are not stored in is an error of usage."""
    with pytest.raises(UsageError, match="stored as float32 or float16, not as 'int8'"):
        settings_of(parse("nss")[0], tmp_path, stored="int8")


def test_settings_are_readable_json(tmp_path):
    """settings.json says what the numbers depend on, and is what the key is made of."""
    folder = CacheFolder.create(tmp_path, "db", settings_of(parse("nss")[0], tmp_path))
    stored = json.loads((folder.path / "settings.json").read_text(encoding="utf-8"))
    assert stored["encoder"] == folder.encoder == "nss"
    assert stored["n_dims"] == 36
    assert key_of(stored) == folder.path.name == folder.key
    assert folder.path == tmp_path / "db" / "nss" / folder.key


@pytest.fixture
def any_weights(tmp_path, monkeypatch):
    """Every weight file is found, whatever an encoder asks for; the bytes can be changed."""
    file = tmp_path / "weights"
    file.write_bytes(b"x")
    monkeypatch.setattr(WeightFile, "find", lambda self, weights: file)
    return file


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_has_json_settings(tmp_path, any_weights, name):
    """Whatever is in the table goes into settings.json and comes back under the same key."""
    settings = settings_of(parse(name)[0], tmp_path)
    folder = CacheFolder.create(tmp_path, "db", settings)
    assert CacheFolder(folder.path).settings == json.loads(json.dumps(settings))


@pytest.mark.parametrize("name", ENCODERS)
def test_every_key_follows_every_cause(tmp_path, any_weights, name):
    """A changed view, version, precision, option or weight file is another key."""
    request = parse(name)[0]
    record = request.encoder

    def with_(**changes) -> Request:
        return dataclasses.replace(request, encoder=dataclasses.replace(record, **changes))

    keys = [
        key(request, tmp_path),
        key(with_(version=record.version + 1), tmp_path),
        key(with_(views={**record.views, "resize": "another"}), tmp_path),
        *(key(with_(network=True), tmp_path, runtime=runtime) for runtime in OTHERS),
    ]
    for option, kind in record.options.items():
        for value in kind.choices or ("1", "1:0.25"):
            if value != kind.default:
                chosen = dict(request.options) | {option: value}
                other = dataclasses.replace(request, options=tuple(sorted(chosen.items())))
                keys.append(key(other, tmp_path))
    if record.files(request.values):
        any_weights.write_bytes(b"other")
        keys.append(key(request, tmp_path))
    assert len(set(keys)) == len(keys)
