"""What the README shows works as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

torch = pytest.importorskip("torch")

from features.encoders import ENCODERS  # noqa: E402 - only where torch is
from features.engine import load_encoder  # noqa: E402
from features.names import parse  # noqa: E402

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_encoder_of_the_readme_is_one(monkeypatch, tmp_path):
    """At most forty lines of code make an encoder; it embeds as torchvision's network does."""
    import torchvision

    (code,) = (b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Encoder(" in b)
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    monkeypatch.setitem(ENCODERS, "resnet18", names["RESNET18"])
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "resnet18-f37072fd.pth")
    pixels = np.stack([picture(0), picture(1)])
    ours = load_encoder(parse("resnet18")[0], tmp_path).encode(pixels)
    mean, std = (torch.tensor(names[key]).view(3, 1, 1) for key in ("MEAN", "STD"))
    network.fc = torch.nn.Identity()
    with torch.inference_mode():
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
        expected = network((batch - mean) / std).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
