"""The family `pretrained:ARCH/NAME`: encoders that `pipeline.pretrain` trained.

ARCH is resnet18, resnet50 or timm's name of a convolutional network; NAME is the run's. As
content-lite: at full and at half size, the mean and the standard deviation over space of every
stage, then the pooled final vector. What the pixels are normalised by, the file says.
"""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path

from features.encoders.base import SCALES, Encode, Encoder, Option, parse_scales
from features.encoders.trunks import NORMALISATION, shape, trunk
from features.errors import UsageError
from features.runtime import Runtime
from features.tiles import TILED
from features.views import smallest_side
from features.weights import WeightFile, WrongLayout, fill, load_state

FOLDER = "pretrained"
PLAIN = re.compile(r"\w[\w.-]*")  # a run's name, as a feature set's may have it
METADATA = "pretraining"  # the entry of a file that tells, in JSON, how it came about
_UNTILED = 12_000_000  # pixels that a network without a known reach takes whole


def file_of(arch: str, name: str) -> str:
    """Return where under weights/ the encoder of a run lies."""
    return f"{FOLDER}/{arch}/{name}.safetensors"


def trained(weights: Path) -> list[str]:
    """Return the names of the encoders of this family that a folder of weights holds.

    A name that `features.names` would read as another feature set is none.
    """
    found = sorted((weights / FOLDER).glob("*/*.safetensors"))
    return [
        f"{FOLDER}:{path.parent.name}/{path.stem}" for path in found if PLAIN.fullmatch(path.stem)
    ]


def pretrained_encoder(name: str) -> Encoder:
    """Return the encoder `pretrained:ARCH/NAME`.

    Raises
    ------
    UsageError
        When the name has no such form, or there is no such network.
    InputError
        When the network is timm's, and timm is not installed.
    """
    arch, _, run = name.partition("/")
    if not arch or not PLAIN.fullmatch(run):
        raise UsageError(f"pretrained:{name}: expected pretrained:ARCH/NAME, such as resnet18/mine")
    weights = WeightFile(file_of(arch, run), "python -m pipeline.pretrain, which makes it")
    return record(f"pretrained:{name}", arch, f"{arch} of a pretraining run", weights)


def record(
    name: str,
    arch: str,
    summary: str,
    weights: WeightFile,
    licence: str = "as of the pictures that it was trained on",
    seen: tuple[str, ...] = ("the pictures of its pretraining",),
) -> Encoder:
    """Return the record of an encoder that `pipeline.pretrain` trained."""
    known = shape(arch)
    return Encoder(
        name=name,
        summary=summary,
        paper="https://arxiv.org/abs/2304.00451",
        licence=licence,
        version=1,
        views={
            "picture": "whole",
            "resize": "pillow bicubic to (int(w*s), int(h*s))",
            "normalisation": "of the file's mode",
            **({"tiles": TILED} if known.radius else {}),
        },
        n_dims=functools.partial(_dims, arch),
        build=functools.partial(_build, arch),
        min_side=lambda options: smallest_side(parse_scales(options["scales"])),
        weights=(weights,),
        options={"pool": Option("levels", ("levels", "last")), "scales": SCALES},
        seen=seen,
        max_pixels=None if known.radius else _UNTILED,
    )


def _dims(arch: str, options: Mapping[str, str]) -> int:
    known = shape(arch)
    stages = 2 * sum(known.widths) if options["pool"] == "levels" else 0
    return (stages + known.final) * len(parse_scales(options["scales"]))


def _build(
    arch: str, options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime
) -> Encode:
    from features import networks

    path = files["network"]
    network = trunk(arch)
    fill(network.module, load_state(path), path)  # copies float16 into float32, too
    return networks.at_scales(
        network.network(),
        parse_scales(options["scales"]),
        runtime=runtime,
        levels=options["pool"] == "levels",
        **NORMALISATION[_mode(path)],
    )


def _mode(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        told = (file.metadata() or {}).get(METADATA, "{}")
    mode = json.loads(told).get("recipe", {}).get("mode")
    if mode not in NORMALISATION:
        raise WrongLayout(f"{path} is of no pretraining run: it says no mode", ["no mode"])
    return mode
