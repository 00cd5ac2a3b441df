"""CLIP RN50 (Radford et al., ICML 2021): picture, prompt, and how well they go together.

The 1024 numbers of the picture and the 1024 of its prompt are what the published `encode_image` and
`encode_text` return, not scaled to length 1; the last number is the cosine between them.
`prompt=no` leaves the picture's, and needs no text.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from features.encoders.base import Batch, Encode, Encoder, Option
from features.errors import InputError
from features.runtime import Runtime
from features.views import resized_centre
from features.weights import WeightFile, fill, load_state

NORMALISATION = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
WIDTH = 1024
STAGES = (64, 256, 512, 1024, 2048)  # channels of the stem and of the four layers
PROMPT = Option("yes", ("yes", "no"))
POOL = Option("last", ("last", "levels"))
SEEN = ("WebImageText", "YFCC100M")
_SIDE = 224
# What the official archive holds beside the network, and the scale of the training loss.
_NO_NETWORK = ("input_resolution", "context_length", "vocab_size", "logit_scale", "logit_bias")

# The folder of the official address is the file's SHA-256.
_SHA256 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"
RN50 = WeightFile(
    "RN50.pt",
    "https://github.com/openai/CLIP",
    ("", "clip"),
    url=f"https://openaipublic.azureedge.net/clip/models/{_SHA256}/RN50.pt",
    sha256=_SHA256,
    licence="MIT",
)


def open_clip_for(name: str):
    """Return the package open_clip, which has the tokenizer, and the networks of the family.

    Raises
    ------
    InputError
        Naming the encoder that asks, and the extra that brings the package.
    """
    try:
        import open_clip
    except ImportError as error:
        raise InputError(
            f"{name} needs open_clip, which is not installed: pip install 'meanopinion[clip]'"
        ) from error
    return open_clip


def clip_state(checkpoint: Mapping, path: Path) -> tuple[dict, dict]:
    """Return the tensors of the picture tower, and those of the text tower.

    The names are those of the official archive, of its state dict, and of open_clip's files.

    Raises
    ------
    InputError
        When the file is another network.
    """
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else {}
    state = state if isinstance(state, Mapping) else {}
    plain = {str(key).removeprefix("module."): value for key, value in state.items()}
    if "visual.attnpool.positional_embedding" not in plain:
        raise InputError(
            f"{path} is not CLIP's RN50: expected tensors named visual.attnpool.*, found "
            f"{len(plain)} others; get it from {RN50.page}"
        )
    towers: tuple[dict, dict] = ({}, {})
    for key, value in plain.items():
        if key not in _NO_NETWORK:
            towers[not key.startswith("visual.")][key.removeprefix("visual.")] = value
    return towers


def prompt_features(tower, name: str, runtime: Runtime) -> Callable[[Sequence[str]], object]:
    """Return prompts -> (n, 1024) float32 of a `clip_network.TextTower`.

    Parameters
    ----------
    name : of the encoder, for the error when the tokenizer is missing
    """
    from features.encoders.clip_network import of_prompts

    # A longer text is cut, and its last token stays the end: the official truncate=True.
    tokenizer = open_clip_for(name).SimpleTokenizer(context_length=77)
    device = runtime.device
    tower = tower.eval().to(device)
    return of_prompts(lambda prompt: tower(tokenizer([prompt]).to(device)))


def _parts(levels: bool) -> list[int]:
    """Return the widths of the stages' part, where there is one, and of the last vector."""
    return [2 * sum(STAGES), WIDTH] if levels else [WIDTH]


def _dims(options: Mapping[str, str]) -> int:
    stages = 2 * sum(STAGES) if options["pool"] == "levels" else 0
    return stages + (2 * WIDTH + 1 if options["prompt"] == "yes" else WIDTH)


def _build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Encode:
    import torch  # here: the table of encoders is read where torch is not

    from features import networks
    from features.encoders.clip_network import PictureTower, Pooled, TextTower, beside_prompt

    path = files["network"]
    pictures, texts = clip_state(load_state(path), path)
    tower = PictureTower(_SIDE // 32)
    fill(tower, pictures, path)
    prompts = None
    if options["prompt"] == "yes":
        text_tower = TextTower()
        fill(text_tower, texts, path)
        prompts = prompt_features(text_tower, "clip", runtime)

    levels = options["pool"] == "levels"
    see = networks.on_views(
        Pooled(tower, tower.attnpool, levels=levels), runtime=runtime, **NORMALISATION
    )
    view = resized_centre, _SIDE, _SIDE, "bicubic"

    def encode(batch: Batch) -> torch.Tensor:
        *stages, last = see(batch.view(*view)).split(_parts(levels), dim=1)
        if prompts:
            last = beside_prompt(last, prompts(batch.prompts))
        return torch.cat([*stages, last], dim=1)

    return networks.exact(encode, runtime, [view])


CLIP = Encoder(
    name="clip",
    summary="CLIP RN50: picture, prompt and their cosine",
    paper="https://arxiv.org/abs/2103.00020",
    licence="MIT",
    version=1,
    views={
        "picture": "middle square",
        "resize": "pillow bicubic, short side 224, crop 224",
        "normalisation": {key: list(value) for key, value in NORMALISATION.items()},
        "prompt": "77 tokens, the rest cut",
    },
    n_dims=_dims,
    build=_build,
    min_side=lambda options: 1,
    weights=(RN50,),
    options={"prompt": PROMPT, "pool": POOL},
    prompted=lambda options: options["prompt"] == "yes",
    seen=SEEN,
)
