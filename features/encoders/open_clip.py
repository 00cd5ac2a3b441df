"""Any network that open_clip has weights for: `clip:MODEL/PRETRAINED`, under open_clip's own names.

Picture, prompt and their cosine, as for `clip`: what `encode_image` and `encode_text` return, not
scaled to length 1. Size, resizing and normalisation are those that open_clip lists for the weights;
so is the activation, which open_clip's plain model names (`ViT-B-32`) leave to a second name
(`ViT-B-32-quickgelu`): here both give the network as it was trained.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from features.encoders.base import Batch, Encode, Encoder
from features.encoders.clip import PROMPT, SEEN, open_clip_for
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.views import resized, resized_centre
from features.weights import WeightFile, fill, load_state

_PAGE = "https://github.com/mlfoundations/open_clip"
_HUB = "https://huggingface.co"
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
# open_clip's name of the resizing -> the view, and what it is in words
_VIEWS = {
    "shortest": (resized_centre, "middle square", "short side {0}, crop {0}"),
    "squash": (resized, "whole", "{0}x{0}"),
}
# A part of the weights' name -> the collection that it stands for
_COLLECTIONS = {
    "openai": SEEN,
    "yfcc15m": ("YFCC15M",),
    "cc12m": ("CC12M",),
    "laion400m": ("LAION-400M",),
    "laion2b": ("LAION-2B",),
    "laion5b": ("LAION-5B",),
    "laion_aesthetic": ("LAION-Aesthetics",),
    "merged2b": ("LAION-2B", "COYO-700M"),
    "datacomp": ("DataComp",),
    "commonpool": ("CommonPool",),
    "metaclip": ("MetaCLIP",),
    "dfn": ("DFN",),
    "webli": ("WebLI",),
    "mscoco": ("COCO",),
}
# Beside the network: what official archives hold, and what the training loss used.
_NO_NETWORK = ("input_resolution", "context_length", "vocab_size")
_LOSS = ("logit_scale", "logit_bias")
_TEXT = ("positional_embedding", "token_embedding.", "transformer.", "ln_final.", "text_projection")


def open_clip_encoder(name: str) -> Encoder:
    """Return the encoder of open_clip's `MODEL/PRETRAINED`; nothing is built or fetched.

    Raises
    ------
    UsageError
        When open_clip has no such model, or no such weights for it; the nearest are named.
    InputError
        When open_clip is not installed.
    """
    full = f"clip:{name}"
    package = open_clip_for(full)
    model, _, tag = name.partition("/")
    tags = package.list_pretrained_tags_by_model(model)
    if not tags:
        raise _unknown("model named", model, (model for model, _ in package.list_pretrained()))
    if tag not in tags:
        raise _unknown(f"weights for {model} named", tag, tags)
    config, pretrained = package.get_model_config(model), package.get_pretrained_cfg(model, tag)
    width, size = config["embed_dim"], config["vision_cfg"].get("image_size", 224)
    if pretrained["resize_mode"] not in _VIEWS or not isinstance(size, int):
        raise InputError(f"{full} resizes pictures in a way that is not known here")
    # Networks that were trained with the faster activation have a second name.
    faster = tag in package.list_pretrained_tags_by_model(f"{model}-quickgelu")
    quick = bool(faster or config.get("quick_gelu"))
    _, picture, resize = _VIEWS[pretrained["resize_mode"]]
    normalisation = {key: tuple(pretrained[key]) for key in ("mean", "std")}
    file = _weight_file(model, tag, pretrained)
    seen = [name for part, names in _COLLECTIONS.items() if part in tag for name in names]
    return Encoder(
        name=full,
        summary=f"open_clip's {model} ({tag}): picture, prompt and their cosine",
        paper="https://arxiv.org/abs/2212.07143",
        licence=file.licence,
        version=1,
        views={
            "picture": picture,
            "resize": f"pillow {pretrained['interpolation']}, {resize.format(size)}",
            "normalisation": {key: list(value) for key, value in normalisation.items()},
            "activation": "quickgelu" if quick else "gelu",
        },
        n_dims=lambda options: 2 * width + 1 if options["prompt"] == "yes" else width,
        build=_build(full, model, quick, pretrained, normalisation, size),
        min_side=lambda options: 1,
        weights=(file,),
        options={"prompt": PROMPT},
        prompted=lambda options: options["prompt"] == "yes",
        seen=tuple(seen or [tag]),
    )


def _unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    known = {item.lower(): item for item in known}
    near = [known[item] for item in get_close_matches(name.lower(), known, n=3, cutoff=0)]
    return UsageError(
        f"open_clip has no {kind} {name!r}, the nearest are {', '.join(near)}: names are "
        "clip:MODEL/PRETRAINED, such as clip:ViT-B-32/laion2b_s34b_b79k, and "
        "open_clip.list_pretrained() has them all"
    )


def _weight_file(model: str, tag: str, pretrained: Mapping) -> WeightFile:
    """Return the file that open_clip itself would fetch, under a name that says which it is."""
    url = pretrained["url"]
    repository, _, hub_file = pretrained["hf_hub"].rpartition("/")
    page, names = (f"{_HUB}/{repository}" if repository else _PAGE), []
    if url:
        names.append(PurePosixPath(url).name)
    else:
        # A hub folder without a file's name has open_clip's default one; timm's have safetensors.
        default = ("pytorch_model.bin", "model.safetensors")[repository.startswith("timm/")]
        url = f"{_HUB}/{repository}/resolve/main/{hub_file or f'open_clip_{default}'}"
    suffix = PurePosixPath(url).suffix
    names += [f"{model}-{tag}{other}" for other in _SUFFIXES if other != suffix]
    return WeightFile(
        f"{model}-{tag}{suffix}",
        page,
        ("clip", ""),
        also=tuple(names),
        url=url,
        # OpenAI's addresses have the SHA-256 as a folder
        sha256=PurePosixPath(url).parent.name if "openaipublic" in url else "",
    )


def _build(
    name: str, model: str, quick: bool, pretrained: Mapping, normalisation: Mapping, size: int
) -> Callable[..., Encode]:
    def build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Encode:
        import torch  # here: open_clip and torch are slow to import

        from features import networks
        from features.encoders.clip_network import beside_prompt, of_prompts

        package, path = open_clip_for(name), files["network"]
        with _said(name), _quiet():
            # pretrained_hf: the text towers of transformers have their weights in our file too
            network = package.create_model(model, force_quick_gelu=quick, pretrained_hf=False)
        fill(network, _tidied(load_state(path), network.state_dict()), path)
        prompts, device = None, runtime.device
        if options["prompt"] == "yes":
            text = network.eval().to(device)
            with _said(name), _quiet():
                tokenizer = package.get_tokenizer(model)
            prompts = of_prompts(
                lambda prompt: text.encode_text(tokenizer([prompt]).to(device), normalize=False)
            )
        view = (_VIEWS[pretrained["resize_mode"]][0], size, size, pretrained["interpolation"])

        class Picture(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return network.encode_image(x, normalize=False)

        see = networks.on_views(Picture(), runtime=runtime, **normalisation)

        def encode(batch: Batch) -> torch.Tensor:
            picture = see(batch.view(*view))
            return beside_prompt(picture, prompts(batch.prompts)) if prompts else picture

        return networks.exact(encode, runtime, [view])

    return build


@contextlib.contextmanager
def _said(name: str) -> Iterator[None]:
    """Say what open_clip raises in one line: some models need more packages, or a tokenizer."""
    try:
        yield
    except Exception as error:  # from open_clip, timm, transformers or the hub's client
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"open_clip cannot make {name} here: {reason}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip from warning that the network has no weights: they come next."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _tidied(checkpoint: Mapping, expected: Mapping) -> dict:
    """Return a checkpoint's tensors under the names of the network."""
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else {}
    state = state if isinstance(state, Mapping) else {}
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    for key in [*_NO_NETWORK, *(key for key in state if key.endswith("position_ids"))]:
        if key not in expected:  # older transformers saved a plain 0, 1, 2, ...
            state.pop(key, None)
    if "text_projection" in state and "text_projection" not in expected:
        # from before open_clip moved some models' text tower into a module of its own
        state = {f"text.{k}" if k.startswith(_TEXT) else k: value for k, value in state.items()}
    return state | {key: expected[key] for key in _LOSS if key in expected}
