"""Re-IQA (Saha, Mishra, Bovik, CVPR 2023): contrastive quality- and content-aware ResNet-50.

The globally averaged last stage of the whole picture at full and at half size: 2 x 2048 numbers a
branch. The quality branch takes pixels as they are, the content branch ImageNet's normalisation.
With `pool=levels`, the mean and the standard deviation over space of each of the four stages come
before it, at each size; the stem is no stage.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

from features.encoders.base import FLAG, SCALES, Encode, Encoder, Option, parse_scales
from features.encoders.trunks import NORMALISATION, RESNET50, resnet_stages
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.tiles import TILED
from features.views import smallest_side
from features.weights import WeightFile, fill, load_state

_PAGE = "https://github.com/avinabsaha/ReIQA"
# The official README names the first folder, its code the second.
_FOLDERS = ("", "re-iqa_ckpts", "reiqa_ckpts")


def _dims(options: Mapping[str, str]) -> int:
    head, levels = options["head"] == "yes", options["pool"] == "levels"
    if head and levels:
        raise UsageError(
            "reiqa[head,pool=levels]: the head takes the final vector alone; leave out head or "
            "pool=levels"
        )
    width = 128 if head else RESNET50.final + (2 * sum(RESNET50.widths) if levels else 0)
    return width * len(parse_scales(options["scales"]))


def _build(normalisation: Mapping[str, tuple[float, ...]]):
    def build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Encode:
        import torch  # here and below: the table of encoders is read where torch is not
        import torchvision

        from features import networks

        _dims(options)  # refuses what does not go together
        path = files["network"]
        encoder_state, head_state = _split(load_state(path), path)
        encoder = torchvision.models.resnet50(weights=None)
        encoder.fc = torch.nn.Identity()
        fill(encoder, encoder_state, path)
        parts = [encoder]
        if options["head"] == "yes":
            head = torch.nn.Sequential(
                torch.nn.Linear(2048, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 128)
            )
            fill(head, head_state, path)
            parts += [head, networks.UnitLength()]
        encoder, *head = parts
        return networks.at_scales(
            networks.Network(
                functools.partial(resnet_stages, encoder),
                (*RESNET50.strides, RESNET50.strides[-1]),
                radius=RESNET50.radius,
                head=torch.nn.Sequential(*head),
                module=encoder,
            ),
            parse_scales(options["scales"]),
            runtime=runtime,
            levels=options["pool"] == "levels",
            **normalisation,
        )

    return build


def _split(checkpoint: Mapping, path: Path) -> tuple[dict, dict]:
    """Return the tensors of encoder and head, under torchvision's own keys.

    The published layout is {"model": {"module.encoder.KEY": tensor, "module.head.KEY": tensor}};
    "module." is what DistributedDataParallel adds.
    """
    state = checkpoint.get("model", checkpoint) if isinstance(checkpoint, Mapping) else {}
    state = state if isinstance(state, Mapping) else {}
    plain = {str(key).removeprefix("module."): value for key, value in state.items()}
    parts = tuple(
        {key.removeprefix(part): v for key, v in plain.items() if key.startswith(part)}
        for part in ("encoder.", "head.")
    )
    if not parts[0]:
        raise InputError(
            f"{path} is not a Re-IQA file: expected tensors named model/module.encoder.*, found "
            f"{len(plain)} others; get it from {_PAGE}"
        )
    return parts


def _record(branch: str, filename: str, normalisation: Mapping, seen: tuple[str, ...]) -> Encoder:
    return Encoder(
        name=f"reiqa-{branch}",
        summary=f"Re-IQA's {branch}-aware ResNet-50, two scales",
        paper="https://arxiv.org/abs/2304.00451",
        licence="see the official page",
        version=1,
        views={
            "picture": "whole",
            "resize": "pillow bicubic to (int(w*s), int(h*s))",
            "normalisation": {key: list(value) for key, value in normalisation.items()},
            "tiles": TILED,
        },
        n_dims=_dims,
        build=_build(normalisation),
        min_side=lambda options: smallest_side(parse_scales(options["scales"])),
        weights=(WeightFile(filename, _PAGE, _FOLDERS),),
        options={
            "head": Option("no", FLAG),
            "pool": Option("last", ("last", "levels")),
            "scales": SCALES,
        },
        seen=seen,
    )


REIQA_QUALITY = _record(
    "quality",
    "quality_aware_r50.pth",
    NORMALISATION["quality"],
    ("KADIS-700k", "AVA", "COCO", "CERTH-Blur", "VOC2012"),
)
REIQA_CONTENT = _record("content", "content_aware_r50.pth", NORMALISATION["content"], ("ImageNet",))
