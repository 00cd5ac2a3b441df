"""The family `timm:NAME`: any network of timm, with its own published weights and preprocessing.

NAME is timm's, with or without the tag of the weights: `timm:resnet18` is timm's default for it,
`timm:vit_base_patch16_224.augreg_in21k` a certain one. The embedding is what timm pools before the
classifier. `pool=levels` puts before it the mean and the standard deviation over space of every
level in timm's `feature_info`; a ResNet's begin with its stem, a plain ViT has none.

Pictures go in as `create_transform(is_training=False)` makes them from the data configuration.
"""

import difflib
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from features import weight_record
from features.encoders.base import Encode, Encoder, Option
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.views import fitted
from features.weights import WeightFile, WrongLayout, load_state

_PAGE = "https://github.com/huggingface/pytorch-image-models"
# Parts of timm's tags -> what such weights were trained on. ImageNet-12k is a part of ImageNet-21k.
_COLLECTIONS = {
    "in1k|fcmae|mae|dino": ("ImageNet",),
    "in12k|in21k|in22k|inw21k": ("ImageNet-21k",),
    "ssld": ("ImageNet", "ImageNet-21k"),
    "openai": ("WebImageText", "YFCC100M"),
    "laion400m": ("LAION-400M",),
    "laion2b": ("LAION-2B",),
    "laiona": ("LAION-Aesthetics",),
    "merged2b": ("LAION-2B", "COYO-700M"),
    "m3[08]m": ("ImageNet-21k", "CC12M", "CC3M", "Objects365", "COCO", "ADE20K"),
    "metaclip2?": ("MetaCLIP",),
    r"datacomp\w*": ("DataComp",),
    r"dfn\w*": ("DFN",),
    "webli|pali2?": ("WebLI",),
    "lvd142m": ("LVD-142M",),
    "lvd1689m": ("LVD-1689M",),
    "sat493m": ("SAT-493M",),
    "jft": ("JFT-300M",),
    "ig1b|swsl|wsl|swag|seer": ("Instagram",),
    r"ssl|yfcc\w*": ("YFCC100M",),
    "sa1b": ("SA-1B",),
    "cc12m": ("CC12M",),
}
_UNTOLD = "what the page of the weights tells"
_KINDS = (".safetensors", ".pth", ".bin", ".pt")


def timm_encoder(name: str) -> Encoder:
    """Return the encoder `timm:NAME`.

    Raises
    ------
    UsageError
        When timm has no such network or no such weights for it; the nearest names are offered.
    InputError
        When timm is not installed.
    """
    config = _config(name)
    full = ".".join(filter(None, (config["architecture"], config.get("tag"))))
    data = _data(config)
    papers = config.get("paper_ids") or ()
    paper = (papers if isinstance(papers, str) else next(iter(papers), "")).partition("arXiv:")[2]
    return Encoder(
        name=f"timm:{name}",
        summary=f"timm's {full}, pooled before the classifier",
        paper=f"https://arxiv.org/abs/{paper}" if paper else config.get("origin_url") or _PAGE,
        licence=config.get("license") or "see the official page",
        version=1,
        views={"network": full, **data},
        n_dims=functools.partial(_dims, name),
        build=functools.partial(_build, name),
        min_side=lambda options: 1,
        weights=(_weight_file(name, full, config),),
        options={"pool": Option("last", ("last", "levels"))},
        seen=_seen(config.get("tag") or ""),
    )


@functools.cache
def _names() -> frozenset[str]:
    import timm

    return frozenset((*timm.list_models(), *timm.list_models(pretrained=True)))


def _timm(name: str) -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise InputError(
            f"timm:{name} needs timm, which is not installed: pip install 'meanopinion[lite]'"
        ) from error
    return timm


def _config(name: str) -> dict:
    """Return timm's description of the network and of its weights."""
    timm, names = _timm(name), _names()
    if name not in names:
        near = difflib.get_close_matches(name.lower(), sorted(names), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(f'timm:{other}' for other in near)}? " if near else ""
        raise UsageError(
            f"unknown network of timm {name!r}: {hint}timm.list_models(pretrained=True) lists all"
        )
    config = timm.get_pretrained_cfg(name)
    return (config.to_dict() if config else {}) | {"architecture": name.partition(".")[0]}


def _data(config: Mapping) -> dict:
    """Return the data configuration in plain numbers, as it stands in the cache key."""
    from timm.data import resolve_data_config

    data = resolve_data_config(pretrained_cfg=dict(config))
    return {key: list(v) if isinstance(v, tuple) else v for key, v in data.items()}


def _weight_file(name: str, full: str, config: Mapping) -> WeightFile:
    hub, url = config.get("hf_hub_id") or "", config.get("url") or ""
    own = hub.startswith("timm/")
    if own:  # timm's own repositories all hold this file
        url = f"https://huggingface.co/{hub}/resolve/main/model.safetensors"
    elif not isinstance(url, str) or config.get("custom_load"):
        url = ""  # another framework's format, which is not read here
    names = [f"{stem}{kind}" for stem in dict.fromkeys((full, name)) for kind in _KINDS]
    names += [f"{full}/model.safetensors", f"{full}/pytorch_model.bin"]  # a repository as it is
    first = names.pop(0 if own else 1)
    return WeightFile(
        first,
        f"https://huggingface.co/{hub}" if hub else config.get("origin_url") or _PAGE,
        ("timm", ""),
        also=(*names, url.rsplit("/", 1)[-1]) if url and not own else tuple(names),
        url=url,
        licence=config.get("license") or "see the official page",
    )


def _seen(tag: str) -> tuple[str, ...]:
    parts = tag.split("_")
    found = {
        name: None  # a dict keeps the order
        for pattern, names in _COLLECTIONS.items()
        if any(re.fullmatch(pattern, part) for part in parts)
        for name in names
    }
    return tuple(found) or (_UNTOLD,)


@functools.lru_cache(maxsize=64)
def _widths(name: str) -> tuple[int, tuple[int, ...]]:
    """Return the width of the pooled vector, and the channels of every level, if there are any."""
    import torch

    timm = _timm(name)
    try:
        with torch.device("meta"):  # shapes without numbers
            network = timm.create_model(name, pretrained=False)
    except RuntimeError:  # timm before 1.0.21 reads numbers while it builds
        network = timm.create_model(name, pretrained=False)
    if not hasattr(network, "reset_classifier"):
        raise UsageError(f"timm:{name} is an encoder of tokens, without a pooled vector")
    levels = [(level["reduction"], level["num_chs"]) for level in network.feature_info]
    several = len({reduction for reduction, _ in levels}) > 1
    # timm before 1.0.8 has one name for what leaves the network and what leaves its head
    final = getattr(network, "head_hidden_size", network.num_features)
    return final, tuple(n for _, n in levels) if several else ()


def _dims(name: str, options: Mapping[str, str]) -> int:
    final, levels = _widths(name)
    if options["pool"] == "last":
        return final
    if not levels:
        raise UsageError(
            f"timm:{name}[pool=levels]: all maps of this network have one size, so it has no "
            "levels; leave out pool=levels"
        )
    return 2 * sum(levels) + final


def _build(
    name: str, options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime
) -> Encode:
    import torch  # here: the table of encoders is read where torch is not

    from features import networks

    _dims(name, options)  # refuses what does not go together
    levels = options["pool"] == "levels"
    count = len(_widths(name)[1])  # the last so many: older timm has a ConvNeXt's stem before them
    network = _filled(name, files["network"])
    data = _data(_config(name))
    _, height, width = data["input_size"]
    border = data["crop_mode"] == "border"
    fill = tuple(round(255 * v) if border else 0 for v in data["mean"])
    view = fitted, height, width, data["crop_pct"], data["crop_mode"], data["interpolation"], fill

    class Levels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            final, maps = network.forward_intermediates(x, indices=count)
            stages = map(networks.mean_and_std, maps)
            return torch.cat([*stages, network.forward_head(final)], dim=1)

    module = Levels() if levels else network
    see = networks.on_views(module, data["mean"], data["std"], runtime)
    return networks.exact(lambda batch: see(batch.view(*view)), runtime, [view])


def _filled(name: str, path: Path):
    """Return the network with the file's tensors, its classifier taken off.

    timm's own conversion of published layouts is applied, always strictly: first with the
    classifier that the file holds, then, for a file without one, without.
    """
    timm = _timm(name)
    state = _unwrapped(load_state(path))
    names = _config(name).get("classifier") or ()
    names = (names,) if isinstance(names, str) else names
    bare = {key: v for key, v in state.items() if key.rpartition(".")[0] not in names}
    if not bare:  # timm would take this for a wish to download
        raise InputError(f"{path} holds no tensors of a network")
    problems = []
    for tensors, classes in ((state, {}), (bare, {"num_classes": 0})):
        try:
            network = timm.create_model(
                name,
                pretrained=True,
                pretrained_cfg_overlay={"state_dict": tensors, **classes},
                **classes,
            )
        except Exception as error:  # what timm's converters raise on foreign tensors is no list
            problems.append(" ".join(str(error).split()))
            continue
        network.pretrained_cfg.pop("state_dict", None)  # a second copy of all tensors
        network.reset_classifier(0)
        weight_record.used(path)
        return network
    raise WrongLayout(f"{path} does not fit timm's {name}: {problems[0][:300]}", problems[:1])


def _unwrapped(checkpoint: object) -> dict:
    """Return the tensors of a checkpoint, under the names that they had before training."""
    while isinstance(checkpoint, Mapping):
        inner = next((k for k in ("state_dict", "model") if k in checkpoint), None)
        if inner is None or not isinstance(checkpoint[inner], Mapping):
            return {str(key).removeprefix("module."): value for key, value in checkpoint.items()}
        checkpoint = checkpoint[inner]
    return {}
