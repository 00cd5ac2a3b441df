"""Weight files: found, read without running what they hold, and checked against the network."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from features.encoders.base import Encoder
from features.encoders.nss import NSS
from features.errors import InputError
from features.weights import (
    MissingWeights,
    WeightFile,
    WrongLayout,
    fill,
    load_state,
    seen_by,
    weight_sha256,
    what_else,
)

torch = pytest.importorskip("torch")

TENSORS = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "bias": torch.tensor([0.5, -0.5]),
}


class Trap:
    """Unpickling this creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "container", [lambda trap: trap, lambda trap: {"model": TENSORS, "x": trap}]
)
def test_code_in_a_checkpoint_does_not_run(tmp_path, container):
    """It is refused in one line that names the file."""
    path, sprung = tmp_path / "evil.pth", tmp_path / "sprung"
    torch.save(container(Trap(sprung)), path)
    with pytest.raises(
        InputError, match=r"evil.pth is not a plain weight file .*never run"
    ) as error:
        load_state(path)
    assert "\n" not in str(error.value)
    assert not sprung.exists()
    torch.load(path, weights_only=False)  # the trap is a real one
    assert sprung.exists()


def damaged(path, kind):
    """Write a file that is no checkpoint."""
    torch.save(TENSORS, path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "last byte lost": whole[:-1],
            "header only": whole[:10],
            "web page": b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>",
            "random": np.random.default_rng(0).bytes(2000),
            "zip of something else": b"PK\x05\x06" + bytes(18),
        }[kind]
    )


KINDS = ("empty", "half", "last byte lost", "header only", "web page", "random")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", [*KINDS, "zip of something else"])
def test_damaged_files_are_one_plain_error(tmp_path, kind, suffix):
    """Whatever came instead of a checkpoint, the file is named and what to do is said."""
    path = tmp_path / f"net{suffix}"
    damaged(path, kind)
    with pytest.raises(InputError, match=r"net\.(pth|safetensors) .*download it again") as error:
        load_state(path)
    assert "\n" not in str(error.value)


def test_state_of_either_format(tmp_path):
    """Safetensors and torch files give the same tensors."""
    from safetensors.torch import save_file

    save_file(TENSORS, tmp_path / "a.safetensors")
    torch.save(TENSORS, tmp_path / "a.pth")
    torch.save(TENSORS, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "a.pth", "old.pth"):
        state = load_state(tmp_path / name)
        assert state.keys() == TENSORS.keys()
        assert all(torch.equal(state[key], TENSORS[key]) for key in TENSORS)


def mapped(path) -> bool:
    """Tell whether this process has a file mapped into its memory."""
    return str(path) in Path("/proc/self/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists its mappings")
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_tensors_are_mapped_and_let_go(tmp_path, name):
    """A file is not read into memory twice; once a network is filled, nothing leads to the file."""
    from safetensors.torch import save_file

    path = tmp_path / name
    (save_file if path.suffix == ".safetensors" else torch.save)(TENSORS, path)
    layer = torch.nn.Linear(3, 2)
    state = load_state(path)
    assert mapped(path)
    fill(layer, state, path)
    del state
    assert not mapped(path)
    with open(path, "r+b") as file:  # over the same bytes on the disk
        file.write(bytes(path.stat().st_size))
    assert torch.equal(layer.weight, TENSORS["weight"])


def test_a_mapped_file_is_not_written_to(tmp_path):
    """What is done to the tensors stays in memory."""
    torch.save(TENSORS, tmp_path / "a.pth")
    before = (tmp_path / "a.pth").read_bytes()
    load_state(tmp_path / "a.pth")["weight"].zero_()
    assert (tmp_path / "a.pth").read_bytes() == before


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\xef\xbb\xbf\r\n  <HTML>", "a web page"),
        (b"<?xml version='1.0'?><Error>", "a web page"),
        (b"PK\x03\x04", ""),
        (b"<a" + bytes(6) + b'{"__metadata__":', ""),  # safetensors, a header of 24,892 bytes
        (b"\x80\x02}", ""),
        (b"[CLS]\n<s>", ""),
    ],
)
def test_what_a_file_is_instead(tmp_path, head, kind):
    """A web page and an empty file are known by their first bytes, and no weight file is."""
    (tmp_path / "a").write_bytes(head)
    assert what_else(tmp_path / "a") == kind


def test_plain_containers_are_read(tmp_path):
    """What training scripts store beside the tensors is no code."""
    stored = {"model": TENSORS, "epoch": 3, "lr": [0.1, 0.01], "name": "x"}
    torch.save(stored, tmp_path / "a.pth")
    assert load_state(tmp_path / "a.pth")["epoch"] == 3


def test_fill(tmp_path):
    """Every tensor goes to its place."""
    layer = torch.nn.Linear(3, 2)
    fill(layer, TENSORS, tmp_path / "a.pth")
    result = layer(torch.tensor([[1.0, 1.0, 1.0]])).detach().numpy()
    np.testing.assert_array_equal(result, [[0 + 1 + 2 + 0.5, 3 + 4 + 5 - 0.5]])


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"weight": TENSORS["weight"]}, r"of 2 tensors, 1 missing \(first bias\)"),
        ({}, r"2 missing \(first bias\)"),
        (TENSORS | {"scale": torch.ones(1)}, r"1 extra \(first scale\)"),
        (TENSORS | {"bias": torch.ones(3)}, r"1 of another shape \(first bias\)"),
        ({"weight": torch.ones(3, 2), "gain": TENSORS["bias"]}, "1 missing.*1 extra.*1 of another"),
        (TENSORS | {"bias": 3}, r"1 of another shape \(first bias\)"),
    ],
)
def test_fill_refuses_another_network(tmp_path, state, reason):
    """The number and the first of the keys that differ are said, and nothing is loaded."""
    layer = torch.nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    with pytest.raises(InputError, match=f"a.pth is not the expected network: .*{reason}"):
        fill(layer, state, tmp_path / "a.pth")
    assert torch.equal(layer.weight, before)


def test_fill_tells_more_to_those_who_ask(tmp_path):
    """A line for each kind, with the first five keys and how many more; shapes beside them."""
    network = torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(4)))
    state = {f"x{index}": torch.ones(1) for index in range(3)}
    state |= {"0.weight": torch.ones(2, 3), "0.bias": "text", "1.weight": torch.ones(())}
    with pytest.raises(WrongLayout) as error:
        fill(network, state, tmp_path / "a.pth")
    path = f"{tmp_path}/a.pth: of 8 tensors, "
    assert error.value.details == (
        f"{path}5 missing: 1.bias, 2.bias, 2.weight, 3.bias, 3.weight",
        f"{path}3 extra: x0, x1, x2",
        f"{path}3 of another shape: 0.bias is no tensor, expected 1, 0.weight 2x3, expected 1x1, "
        "1.weight a single number, expected 1x1",
    )
    with pytest.raises(WrongLayout, match="more") as error:
        fill(network, {}, tmp_path / "a.pth")
    assert error.value.details[0].endswith("1.weight, 2.bias and 3 more")


FILE = WeightFile("net.pth", "https://example.org/net", folders=("", "sub"))


def test_missing_file(tmp_path):
    """The error names file, folder, page, and what works without."""
    with pytest.raises(MissingWeights) as error:
        FILE.find(tmp_path)
    for text in ("net.pth", str(tmp_path), "https://example.org/net", "content-lite"):
        assert text in str(error.value)


def test_missing_file_with_an_address(tmp_path):
    """The command that fetches it is named first."""
    file = dataclasses.replace(FILE, url="https://example.org/net.pth")
    with pytest.raises(MissingWeights, match=r"python -m pipeline.weights fetch does it.*/net"):
        file.find(tmp_path)


def test_a_file_that_cannot_be_converted(tmp_path):
    """A text file is only looked for under its own name."""
    file = WeightFile("vocab.txt", "x", also=("v.json",))
    assert file.places(tmp_path) == [tmp_path / "vocab.txt", tmp_path / "v.json"]


def test_search_order(tmp_path):
    """Folders in order; in each, the converted safetensors file before the published one."""
    (tmp_path / "sub").mkdir()
    for name in ("sub/net.pth", "sub/net.safetensors", "net.pth", "net.safetensors"):
        (tmp_path / name).write_bytes(b"x")
        assert FILE.find(tmp_path) == tmp_path / name


def test_missing_package(tmp_path):
    """A file that a package carries is never looked for elsewhere."""
    file = WeightFile("a.pth", "x", package="no_such_package", distribution="no-such-package")
    (tmp_path / "a.pth").write_bytes(b"x")
    with pytest.raises(MissingWeights, match="the package no-such-package, which is not installed"):
        file.find(tmp_path)


@pytest.mark.parametrize(
    "stored",
    [
        {"model": {"fc.weight": TENSORS["weight"]}},
        {"state_dict": {"conv1.weight": TENSORS["weight"]}},
        {"model": TENSORS["weight"]},
        TENSORS["weight"],
        [1, 2],
    ],
)
def test_another_model_is_no_reiqa(tmp_path, stored):
    """A readable file of something else is refused by name, with the official page."""
    from features.engine import load_encoder
    from features.names import parse

    torch.save(stored, tmp_path / "quality_aware_r50.pth")
    with pytest.raises(InputError, match=r"quality_aware_r50.pth is not a Re-IQA file.*github"):
        load_encoder(parse("reiqa-quality")[0], tmp_path)


def test_sha256_follows_the_content(tmp_path):
    """A file written anew under the same name is another file."""
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    first = weight_sha256(path)
    assert first == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"abd")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert weight_sha256(path) != first


def record(name: str, *seen: str) -> Encoder:
    """An encoder trained on some databases."""
    return dataclasses.replace(NSS, name=name, seen=seen)


@pytest.mark.parametrize(
    ("seen", "database", "same"),
    [
        ("KonIQ-10k", "koniq", True),
        ("KonIQ-10k", "KONIQ10K", True),
        ("koniq", "KonIQ-10k", True),
        ("AGIQA-3k", "agiqa3k", True),
        ("AGIQA-3k", "agiqa1k", False),
        ("AGIQA", "agiqa1k", True),  # which one is not said
        ("TID2013", "tid2013", True),
        ("TID2013", "tid", True),
        ("TID2008", "tid2013", False),
        ("KADIS-700k", "kadid10k", False),
        ("KADID-10k", "kadid", True),
        ("LIVE", "flive", False),
        ("LIVE", "live", True),
        ("LIVE Challenge", "live", False),
        ("UHD-IQA", "uhdiqa", True),
        ("ImageNet", "imagenet1k", True),
        ("LAION-2B", "laion400m", False),
        ("2013", "2014", False),
        ("AVA", "own-ava", False),
    ],
)
def test_seen_by(seen, database, same):
    """Names of one database match however they are written; others do not."""
    assert seen_by([record("a", "COCO", seen)], database) == ["a"] * same


def test_seen_by_an_alias():
    """The caller knows what else a database is called; every encoder that has seen it is named."""
    encoders = [record("a", "LIVE Challenge"), record("b", "CLIVE"), record("c", "LIVE"), NSS]
    assert seen_by(encoders, "clive", ["livec", "live challenge"]) == ["a", "b"]
    assert seen_by(encoders, "pcuid") == []
