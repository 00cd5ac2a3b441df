"""The encoder that the package carries: its file, its card, its numbers."""

import re

import numpy as np
import pytest
from conftest import ROOT, picture

from features.encoders import ENCODERS
from features.files import file_sha256
from features.names import parse

FOLDER = ROOT / "features" / "encoders"
CARD = (FOLDER / "quality-lite.md").read_text(encoding="utf-8")


def test_the_file_is_the_one_of_the_card(tmp_path):
    """Small enough to be carried, half precision, found without any download."""
    path = ENCODERS["quality-lite"].weights[0].find(tmp_path)
    assert path == FOLDER / "quality-lite.safetensors"
    assert path.stat().st_size <= 25_000_000
    assert file_sha256(path) in CARD


def test_the_card_names_every_photograph():
    """37 of them, each with its digest and a licence."""
    rows = re.findall(r"^\| (\S+) \| (\S+) \| ([^|]+) \| (\S+) \| `([0-9a-f]{64})` \|$", CARD, re.M)
    assert len(rows) == len({sha256 for *_, sha256 in rows}) == 37
    assert {licence for *_, licence, _ in rows} <= {
        *("CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "GPL-2+")
    }
    (seen,) = ENCODERS["quality-lite"].seen
    assert seen.startswith("37 photographs")


def test_embedding(tmp_path):
    """4864 numbers, which change with blur: the weights in the file are those in the network."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from features.encoders.trunks import trunk
    from features.engine import load_encoder

    encoder = load_encoder(parse("quality-lite")[0], tmp_path)
    pixels = picture(3, 128, 96)
    (found,) = encoder.encode(pixels[None])
    assert found.shape == (4864,) and found.dtype == np.float32 and np.isfinite(found).all()
    # the published order: scales one after another, the final vector of each at its end
    network = trunk("resnet18")
    tensors = load_file(FOLDER / "quality-lite.safetensors")
    network.module.load_state_dict(
        {name: one.float() for name, one in tensors.items()}, strict=False
    )
    network.module.eval()
    with torch.inference_mode():
        batch = torch.from_numpy(pixels[None]).permute(0, 3, 1, 2).float() / 255
        expected = network.module(batch)[0].numpy()
    assert np.abs(found[2432 - 512 : 2432] - expected).max() <= 1e-5 * np.abs(expected).max()
