"""IP-IQA (Qu, Li, Gao, ICME 2024): CLIP RN50 with a second pool that the prompt directs.

The picture is resized, not cropped, to 512x512. 1024 numbers are pooled by the picture's own mean,
1024 by the prompt's text feature. `head` gives the head's outputs instead: `agiqa3k` quality and
alignment, `agiqa1k` one score, on the scale of the database that they were trained on.

No trained file is published; the official training writes checkpoint_best.pth. It leaves the frozen
text transformer out of it: `text=clip` takes what the file lacks from CLIP's own RN50.pt.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from features.encoders.base import Batch, Encode, Encoder, Option
from features.encoders.clip import (
    NORMALISATION,
    POOL,
    RN50,
    SEEN,
    STAGES,
    WIDTH,
    clip_state,
    prompt_features,
)
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.views import resized
from features.weights import WeightFile, fill, load_state

_PAGE = "https://github.com/Coobiw/IP-IQA"
_SIDE = 512
_OUTPUTS = {"agiqa3k": 2, "agiqa1k": 1}
# The published names, in order of search -> part of our network, and the name in there
_PARTS = {
    "resnet50.": ("picture", ""),
    "attnpool.": ("picture", "attnpool."),
    "txt_attnpool.cross_attn.out_proj.": ("pool", "c_proj."),
    "txt_attnpool.cross_attn.": ("pool", ""),
    "txt_attnpool.": ("pool", ""),
    "txt_model.": ("text", "transformer."),
    "txt_pos": ("text", "positional_embedding"),
    "wte.": ("text", "token_embedding."),
    "ln_final.": ("text", "ln_final."),
    "text_projection": ("text", "text_projection"),
    "head.": ("head", ""),
    "": ("picture", ""),  # of no part: it will be named as one too many
}


def _dims(options: Mapping[str, str]) -> int:
    head, levels = options["head"], options["pool"] == "levels"
    if head == "no":
        return (2 * sum(STAGES) if levels else 0) + 2 * WIDTH
    if levels:
        raise UsageError(
            f"ipiqa[head={head},pool=levels]: the head takes the final vectors alone; leave out "
            "head or pool"
        )
    return _OUTPUTS[head]


def _build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Encode:
    import torch  # here: the table of encoders is read where torch is not

    from features import networks
    from features.encoders.clip_network import AttentionPool, PictureTower, Pooled

    n_dims = _dims(options)  # refuses what does not go together
    path = files["network"]
    parts = _split(load_state(path), path)
    tower = PictureTower(_SIDE // 32)
    fill(tower, parts["picture"], path)
    pool = AttentionPool(_SIDE // 32, query_width=WIDTH)
    fill(pool, parts["pool"], path)
    text_tower = _text_tower(parts["text"], path, files.get("clip"))
    with_head = options["head"] != "no"
    head = _head(parts["head"], path, n_dims).to(runtime.device) if with_head else None
    prompts = prompt_features(text_tower, "ipiqa", runtime)
    pooled = Pooled(tower, tower.attnpool, pool, levels=options["pool"] == "levels")
    see = networks.on_views(pooled, runtime=runtime, **NORMALISATION)
    view = resized, _SIDE, _SIDE, "bicubic"

    def encode(batch: Batch) -> torch.Tensor:
        vectors = see(batch.view(*view), prompts(batch.prompts))
        return head["out_proj"](head["dense"](vectors).tanh()) if head else vectors

    return networks.exact(encode, runtime, [view])


def _split(checkpoint: Mapping, path: Path) -> dict[str, dict]:
    """Return the tensors of every part: picture, pool, text, head.

    Saved by the official training: {"model": {KEY: tensor}}.
    """
    state = checkpoint.get("model", checkpoint) if isinstance(checkpoint, Mapping) else {}
    state = state if isinstance(state, Mapping) else {}
    plain = {str(key).removeprefix("module."): value for key, value in state.items()}
    if "txt_attnpool.positional_embedding" not in plain:
        raise InputError(
            f"{path} is not an IP-IQA file: expected tensors named txt_attnpool.*, found "
            f"{len(plain)} others; {_PAGE} has the training that writes it"
        )
    parts: dict[str, dict] = {part: {} for part, _ in _PARTS.values()}
    for key, value in plain.items():
        prefix = next(prefix for prefix in _PARTS if key.startswith(prefix))
        part, name = _PARTS[prefix]
        parts[part][name + key.removeprefix(prefix)] = value
    return parts


def _text_tower(state: Mapping, path: Path, clip_path: Path | None):
    """Return the text tower, filled from the file, beneath it from CLIP's where that is given."""
    from features.encoders.clip_network import TextTower

    tower = TextTower()
    if clip_path:
        fill(tower, clip_state(load_state(clip_path), clip_path)[1], clip_path)
        state = tower.state_dict() | state
    missing = tower.state_dict().keys() - state.keys()
    if missing:
        raise InputError(
            f"{path} lacks {len(missing)} tensors of the text tower, which the official training "
            f"leaves out: ipiqa[text=clip] takes them from {RN50.filename}"
        )
    fill(tower, state, path)
    return tower


def _head(state: Mapping, path: Path, n_outputs: int):
    """Return the published head: two linear layers, a tanh between them."""
    from torch import nn

    weight = state.get("out_proj.weight")
    found = 0 if weight is None else len(weight)
    if found != n_outputs:
        other = next((name for name, n in _OUTPUTS.items() if n == found), "no")
        raise InputError(
            f"{path} has {found or 'no'} head outputs, {n_outputs} were asked for: use "
            f"ipiqa[head={other}]"
        )
    head = nn.ModuleDict(
        {"dense": nn.Linear(2 * WIDTH, 2 * WIDTH), "out_proj": nn.Linear(2 * WIDTH, n_outputs)}
    )
    fill(head, state, path)
    return head.eval()


IPIQA = Encoder(
    name="ipiqa",
    summary="IP-IQA: CLIP RN50 pooled by the picture and by its prompt",
    paper="https://arxiv.org/abs/2403.18714",
    licence="see the official page",
    version=1,
    views={
        "picture": "whole",
        "resize": "pillow bicubic to 512x512",
        "normalisation": {key: list(value) for key, value in NORMALISATION.items()},
        "prompt": "77 tokens, the rest cut",
    },
    n_dims=_dims,
    build=_build,
    min_side=lambda options: 1,
    weights=(
        WeightFile(
            "checkpoint_best.pth",
            f"{_PAGE} (its training writes it; no trained file is published)",
            ("ipiqa", ""),
            also=("ipiqa.pth",),
        ),
        dataclasses.replace(RN50, role="clip", when=("text", "clip")),
    ),
    options={
        "head": Option("no", ("no", *_OUTPUTS)),
        "pool": POOL,
        "text": Option("file", ("file", "clip")),
    },
    prompted=lambda options: True,
    seen=("AGIQA-1k", "AGIQA-3k", "DiffusionDB", *SEEN),
)
