"""Convolutional networks as the maps of their stages, by name, with random weights.

`resnet18` and `resnet50` are torchvision's, under its own keys; any other name is one of timm's
convolutional networks. What a network says of a picture is the mean over space of its last maps.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from features.errors import InputError, UsageError

if TYPE_CHECKING:
    import torch

    from features.networks import Network


@dataclass(frozen=True)
class Shape:
    """What is known of a network without its numbers.

    Attributes
    ----------
    widths : channels of every stage
    strides : pixels a cell of every stage
    final : channels of the last maps
    radius : how many pixels beyond its cell the last maps depend on; None where it is not known
    """

    widths: tuple[int, ...]
    strides: tuple[int, ...]
    final: int
    radius: int | None = None


@dataclass(frozen=True)
class Trunk:
    """A network: `module` holds the tensors, `stages` gives its maps, the last ones at the end."""

    module: "torch.nn.Module"
    stages: Callable[["torch.Tensor"], Iterable["torch.Tensor"]]
    shape: Shape

    def network(self) -> "Network":
        """Return it as what an encoder's pictures go through."""
        from features.networks import Network

        strides = (*self.shape.strides, self.shape.strides[-1])
        return Network(self.stages, strides, radius=self.shape.radius, module=self.module)


# Pixels of the quality-aware encoder are taken as they are: their brightness is part of quality.
NORMALISATION = {
    "quality": {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
    "content": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
}
# torchvision strides in the 3x3 of each block; the radius is half of the receptive field.
RESNET50 = Shape((256, 512, 1024, 2048), (4, 8, 16, 32), 2048, radius=213)
RESNETS = {
    "resnet18": Shape((64, 128, 256, 512), (4, 8, 16, 32), 512, radius=217),
    "resnet50": RESNET50,
}


def trunk(arch: str) -> Trunk:
    """Return the network `arch` with random weights.

    Raises
    ------
    UsageError
        When there is no such network, or it has no maps.
    InputError
        When it is timm's, and timm is not installed.
    """
    import torch
    import torchvision

    if arch in RESNETS:
        module = getattr(torchvision.models, arch)(weights=None)
        module.fc = torch.nn.Identity()
        return Trunk(module, functools.partial(resnet_stages, module), RESNETS[arch])
    module = _from_timm(arch)
    return Trunk(module, functools.partial(_timm_stages, module), shape(arch))


@functools.lru_cache(maxsize=64)
def shape(arch: str) -> Shape:
    """Return what is known of the network `arch`; errors as of `trunk`."""
    if arch in RESNETS:
        return RESNETS[arch]
    import torch

    with torch.device("meta"):  # shapes without numbers
        module = _from_timm(arch)
        try:
            maps = module.forward_features(torch.zeros(1, 3, 224, 224))
        except (AssertionError, RuntimeError) as error:  # it takes pictures of one size
            raise UsageError(f"{arch} takes no pictures of any size: {error}") from error
    levels = list(module.feature_info)
    # others give tokens, or have their channels last
    if maps.ndim != 4 or maps.shape[1] not in (module.num_features, levels[-1]["num_chs"]):
        raise UsageError(
            f"{arch} has no maps of several sizes: expected a convolutional network, such as "
            "resnet18, resnet50 or timm's mobilenetv3_small_100"
        )
    widths = tuple(level["num_chs"] for level in levels)
    strides = tuple(level["reduction"] for level in levels)
    return Shape(widths, strides, maps.shape[1])


def resnet_stages(module: "torch.nn.Module", batch: "torch.Tensor") -> Iterator["torch.Tensor"]:
    """Yield the maps of torchvision's four stages, then the last ones again; the stem is none."""
    maps = module.maxpool(module.relu(module.bn1(module.conv1(batch))))
    for layer in (module.layer1, module.layer2, module.layer3, module.layer4):
        maps = layer(maps)
        yield maps
    yield maps  # the final vector is their mean


def _timm_stages(module: "torch.nn.Module", batch: "torch.Tensor") -> Iterator["torch.Tensor"]:
    final, maps = module.forward_intermediates(batch, indices=len(module.feature_info))
    yield from maps
    yield final


def _from_timm(arch: str) -> "torch.nn.Module":
    try:
        import timm
    except ImportError as error:
        raise InputError(
            f"{arch} needs timm, which is not installed: pip install 'meanopinion[lite]'; without "
            f"it there are {' and '.join(RESNETS)}"
        ) from error
    if arch not in timm.list_models():
        near = get_close_matches(arch.lower(), [*RESNETS, *timm.list_models()], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"unknown architecture {arch!r}: {hint}timm.list_models() lists all beside "
            f"{' and '.join(RESNETS)}"
        )
    module = timm.create_model(arch, pretrained=False, num_classes=0)
    if not hasattr(module, "forward_intermediates") or not hasattr(module, "feature_info"):
        raise UsageError(f"{arch} gives no maps: expected a convolutional network")
    return module
