"""Re-IQA (Saha, Mishra, Bovik, CVPR 2023): contrastive quality- and content-aware ResNet-50.

The globally averaged last stage of the whole picture at full and at half size: 2 x 2048 numbers a
branch. The quality branch takes pixels as they are, the content branch ImageNet's normalisation.
"""

from collections.abc import Mapping
from pathlib import Path

from features.encoders.base import FLAG, SCALES, Encode, Encoder, Option, parse_scales
from features.errors import InputError
from features.views import smallest_side
from features.weights import WeightFile, fill, load_state

_PAGE = "https://github.com/avinabsaha/ReIQA"
# The official README names the first folder, its code the second.
_FOLDERS = ("", "re-iqa_ckpts", "reiqa_ckpts")
_PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def _build(normalisation: Mapping[str, tuple[float, ...]]):
    def build(options: Mapping[str, str], files: Mapping[str, Path], device: str) -> Encode:
        import torch  # here and below: the table of encoders is read where torch is not
        import torchvision

        from features import networks

        path = files["network"]
        encoder_state, head_state = _split(load_state(path), path)
        encoder = torchvision.models.resnet50(weights=None)
        encoder.fc = torch.nn.Identity()
        fill(encoder, encoder_state, path)
        network = encoder
        if options["head"] == "yes":
            head = torch.nn.Sequential(
                torch.nn.Linear(2048, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 128)
            )
            fill(head, head_state, path)
            network = torch.nn.Sequential(encoder, head, networks.UnitLength())
        network = network.eval().to(device, memory_format=torch.channels_last)
        return networks.at_scales(
            network, parse_scales(options["scales"]), device=device, **normalisation
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
        },
        n_dims=lambda options: (
            (128 if options["head"] == "yes" else 2048) * len(parse_scales(options["scales"]))
        ),
        build=_build(normalisation),
        min_side=lambda options: smallest_side(parse_scales(options["scales"])),
        weights=(WeightFile(filename, _PAGE, _FOLDERS),),
        options={"head": Option("no", FLAG), "scales": SCALES},
        seen=seen,
    )


REIQA_QUALITY = _record(
    "quality",
    "quality_aware_r50.pth",
    _PLAIN,
    ("KADIS-700k", "AVA", "COCO", "CERTH-Blur", "VOC2012"),
)
REIQA_CONTENT = _record("content", "content_aware_r50.pth", _IMAGENET, ("ImageNet",))
