"""UIQA (Sun et al., arXiv 2409.00749): three Swin-T on three views of one picture.

- aesthetics: short side to 512 (Pillow's bilinear), the middle 480x480;
- distortion: a 32x32 patch at full size from a random place of each cell of a 15x15 grid. The
  places follow from the pixels, so that a picture has one embedding; the published code draws new
  ones each time. See `features.views.fragments_at` for pictures too small for the grid;
- salient: the middle 480x480 at full size, as published; a side under 480 is padded with black, as
  torchvision's CenterCrop does. `salient=saliency` moves it to the most salient place.

768 numbers a view, in this order. `head` gives the published score instead, before the four-number
logistic that maps it to one database's MOS. `weights=imagenet` puts torchvision's ImageNet Swin-T
in all three places, which needs no training on human scores and has no head.
"""

from collections.abc import Mapping
from pathlib import Path

from features.encoders.base import FLAG, Batch, Encode, Encoder, Option
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.saliency import salient_crop
from features.views import centred, fragments, resized_centre
from features.weights import WeightFile, fill, load_state

_PAGE = "https://github.com/sunwei925/UIQA"
_SHORT, _SIDE = 512, 480
_GRID, _PATCH = 15, 32
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_FINAL, _STAGES = 768, (96, 192, 384, 768)
# the published names of the three networks, in the order of the embedding
_BRANCHES = tuple(f"{view}_feature_extraction" for view in ("aesthetics", "distortion", "saliency"))


def _dims(options: Mapping[str, str]) -> int:
    levels = options["pool"] == "levels"
    if options["head"] == "yes":
        refused = {"pool=levels": levels, "weights=imagenet": options["weights"] == "imagenet"}
        for option, given in refused.items():
            if given:
                raise UsageError(
                    f"uiqa[head,{option}]: the head was trained on the final vectors of UIQA's own "
                    f"weights; leave out head or {option}"
                )
        return 1
    return len(_BRANCHES) * ((2 * sum(_STAGES) if levels else 0) + _FINAL)


def _build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Encode:
    import torch  # here: the table of encoders is read where torch is not

    from features import networks
    from features.encoders.uiqa_network import UIQA, Branch

    _dims(options)  # refuses what does not go together
    head, levels = options["head"] == "yes", options["pool"] == "levels"
    with torch.device("meta"):  # no time for random numbers: `fill` replaces every one
        network = UIQA(_BRANCHES, head)
    network.to_empty(device="cpu")
    path = files["network"]
    state = _STATES[options["weights"]](load_state(path), path, head)
    fill(network, state, path)
    salient = {"centre": (centred, _SIDE, _SIDE), "saliency": (salient_crop, _SIDE)}
    views = (
        (resized_centre, _SHORT, _SIDE, "bilinear"),
        (fragments, _GRID, _PATCH),
        salient[options["salient"]],
    )

    see = [
        networks.on_views(Branch(getattr(network, name), levels), runtime=runtime, **_IMAGENET)
        for name in _BRANCHES
    ]
    quality = network.quality.to(runtime.device) if head else torch.nn.Identity()

    def encode(batch: Batch) -> torch.Tensor:
        # fragments of an enlarged picture are float32, so all are
        inputs = (batch.view(*view).astype("float32") for view in views)
        parts = [branch(one) for branch, one in zip(see, inputs, strict=True)]
        return quality(torch.cat(parts, dim=1))

    return networks.exact(encode, runtime, views)


def _published(checkpoint: Mapping, path: Path, head: bool) -> dict:
    """Return the tensors of the published file; "module." is what DataParallel adds."""
    keys = checkpoint if isinstance(checkpoint, Mapping) else {}
    state = {str(key).removeprefix("module."): value for key, value in keys.items()}
    if not any(key.startswith(_BRANCHES) for key in state):
        raise InputError(
            f"{path} is not UIQA's file: expected tensors named {_BRANCHES[0]}.*, found "
            f"{len(state)} others; get it from {_PAGE}"
        )
    return {key: v for key, v in state.items() if head or not key.startswith("quality.")}


def _thrice(checkpoint: Mapping, path: Path, head: bool) -> dict:
    """Return torchvision's Swin-T, without its classifier, in all three places."""
    if not isinstance(checkpoint, Mapping) or "features.0.0.weight" not in checkpoint:
        raise InputError(f"{path} is not torchvision's Swin-T: get it from {_SWIN_URL}")
    tower = {key: v for key, v in checkpoint.items() if not key.startswith("head.")}
    return {f"{branch}.{key}": value for branch in _BRANCHES for key, value in tower.items()}


_STATES = {"uiqa": _published, "imagenet": _thrice}
_SWIN = "swin_t-704ceda3.pth"
_SWIN_URL = f"https://download.pytorch.org/models/{_SWIN}"

UIQA = Encoder(
    name="uiqa",
    summary="UIQA's three Swin-T: aesthetics, distortion, salient content",
    paper="https://arxiv.org/abs/2409.00749",
    licence="Apache-2.0",
    version=1,
    views={
        "aesthetics": f"pillow bilinear to short side {_SHORT}, centre {_SIDE}x{_SIDE}",
        "distortion": f"{_GRID}x{_GRID} fragments of {_PATCH}x{_PATCH}, places by SHA-256",
        "salient": f"{_SIDE}x{_SIDE} at full size, zero padding",
        "normalisation": {key: list(value) for key, value in _IMAGENET.items()},
    },
    n_dims=_dims,
    build=_build,
    # windowed attention: OpenVINO takes half as long again, a quarter of a minute more to start,
    # and five times the memory
    engine="torch",
    min_side=lambda options: 1,
    weights=(
        WeightFile(
            "UIQA.pth",
            _PAGE,
            ("", "ckpts", "uiqa", "UIQA"),  # the official README keeps it in ckpts/
            when=("weights", "uiqa"),
            url="https://www.dropbox.com/scl/fi/mgvvt902zehhmo6drnxve/UIQA.pth"
            "?rlkey=413edq08c8qnxbrlgclnq0va6&dl=1",
            licence="Apache-2.0",
        ),
        WeightFile(
            _SWIN,
            "https://pytorch.org/vision/stable/models/swin_transformer.html",
            ("", "hub/checkpoints", "checkpoints"),  # torch's own download folder
            when=("weights", "imagenet"),
            url=_SWIN_URL,
            licence="BSD-3-Clause",
        ),
    ),
    options={
        "head": Option("no", FLAG),
        "pool": Option("last", ("last", "levels")),
        "salient": Option("centre", ("centre", "saliency")),
        "weights": Option("uiqa", ("uiqa", "imagenet")),
    },
    seen=("ImageNet", "AVA", "UHD-IQA"),
)
