"""Networks as the maps of their stages, against the networks themselves."""

import pytest

torch = pytest.importorskip("torch")

import torchvision  # noqa: E402

from features.encoders.trunks import RESNETS, shape, trunk  # noqa: E402
from features.errors import UsageError  # noqa: E402


@pytest.mark.parametrize("arch", RESNETS)
def test_resnets_are_torchvision_s(arch):
    found = trunk(arch)
    module = found.module.eval()
    assert set(module.state_dict()) == {
        name
        for name in getattr(torchvision.models, arch)().state_dict()
        if not name.startswith("fc.")
    }
    batch = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        *stages, final = found.stages(batch)
        expected = module(batch)
    torch.testing.assert_close(final.mean((2, 3)), expected)
    _fits(found.shape, stages, final, (64, 96))


@pytest.mark.parametrize("arch", ["mobilenetv3_small_050", "resnet10t", "efficientnet_lite0"])
def test_timm_s(arch):
    pytest.importorskip("timm")
    found = trunk(arch)
    found.module.eval()
    batch = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        *stages, final = found.stages(batch)
        expected = found.module.forward_features(batch)
    torch.testing.assert_close(final, expected)
    _fits(shape(arch), stages, final, (64, 96))


def _fits(known, stages, final, size):
    assert tuple(maps.shape[1] for maps in stages) == known.widths
    assert final.shape[1] == known.final
    for maps, stride in zip(stages, known.strides, strict=True):
        assert tuple(maps.shape[2:]) == (size[0] // stride, size[1] // stride)


def test_errors():
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match="unknown architecture 'resnet19': did you mean resnet1"):
        trunk("resnet19")
    for arch in ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"):
        with pytest.raises(UsageError, match="expected a convolutional network"):
            shape(arch)


@pytest.mark.parametrize("arch", RESNETS)
def test_the_stated_reach_is_enough(arch):
    """A pixel beyond it changes nothing in a cell of the last maps."""
    found, known = trunk(arch), RESNETS[arch]
    found.module.eval().double()
    torch.manual_seed(0)
    width = 2 * (known.radius + 64) // 32 * 32
    row = torch.rand(1, 3, 32, width, dtype=torch.float64, requires_grad=True)
    *_, maps = found.stages(row)
    cell = maps.shape[3] // 2
    maps[0, :, 0, cell].sum().backward()
    touched = row.grad.abs().sum((0, 1, 2)).nonzero().squeeze()
    assert touched.min() >= 32 * cell - known.radius
    assert touched.max() < 32 * (cell + 1) + known.radius
