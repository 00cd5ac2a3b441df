"""ImageReward (Xu et al., NeurIPS 2023): what people would think of a picture made for a prompt.

BLIP fine-tuned on human rankings of generated pictures. The embedding is the 768 numbers that the
reward is computed from, and the reward itself as the last one, in standard deviations of the
published model's rewards; higher is better.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.encoders.base import Batch, Encode, Encoder
from features.encoders.clip import NORMALISATION
from features.encoders.wordpiece import WordPiece, read_vocabulary
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.views import resized_centre
from features.weights import WeightFile, fill, load_state

if TYPE_CHECKING:
    from features.encoders.imagereward_network import ImageReward

_PAGE = "https://huggingface.co/THUDM/ImageReward"
_VOCABULARY_PAGE = "https://huggingface.co/google-bert/bert-base-uncased"
_SIDE = 224
_TOKENS = 35
# What the file holds beside the network: BLIP's projections for its own training, and a count.
_NO_NETWORK = ("blip.vision_proj.", "blip.text_proj.", "blip.text_encoder.embeddings.position_ids")


def _build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Encode:
    tokenize = WordPiece(read_vocabulary(files["vocabulary"]))  # quick, so it fails first
    return _encoding(_load(files["network"]), tokenize, runtime)


def _load(path: Path) -> "ImageReward":
    import torch  # here and below: the table of encoders is read where torch is not

    from features.encoders.imagereward_network import ImageReward

    state = _plain(load_state(path), path)
    with torch.device("meta"):  # no numbers are drawn that the file replaces at once
        network = ImageReward()
    network = network.to_empty(device="cpu")
    fill(network, state, path)
    return network.eval()


def _encoding(network: "ImageReward", tokenize: WordPiece, runtime: Runtime) -> Encode:
    import torch

    from features import networks

    see = networks.on_views(network, runtime=runtime, **NORMALISATION)
    view = resized_centre, _SIDE, _SIDE, "bicubic"

    def encode(batch: Batch) -> torch.Tensor:
        if len(batch.prompts) != len(batch):
            raise UsageError(
                f"imagereward needs a prompt for each picture: {len(batch)} pictures and "
                f"{len(batch.prompts)} prompts were given"
            )
        tokens = zip(*(tokenize(prompt, _TOKENS) for prompt in batch.prompts), strict=True)
        ids, mask = (np.stack(part) for part in tokens)
        return see(batch.view(*view), ids, mask)

    return networks.exact(encode, runtime, [view])


def _plain(checkpoint: Mapping, path: Path) -> dict:
    """Return the tensors of the network; the published file has them under the network's keys."""
    state = checkpoint if isinstance(checkpoint, Mapping) else {}
    plain = {key: value for key, value in state.items() if not str(key).startswith(_NO_NETWORK)}
    if not any(str(key).startswith("blip.") for key in plain):
        raise InputError(
            f"{path} is not ImageReward's file: expected tensors named blip.*, found {len(plain)} "
            f"others; get it from {_PAGE}"
        )
    return plain


IMAGEREWARD = Encoder(
    name="imagereward",
    summary="ImageReward (BLIP): picture with prompt, and the reward",
    paper="https://arxiv.org/abs/2304.05977",
    licence="Apache-2.0",
    version=1,
    views={
        "picture": "middle square",
        "resize": "pillow bicubic, short side 224, crop 224",
        "normalisation": {key: list(value) for key, value in NORMALISATION.items()},
        "prompt": "35 tokens, the rest cut",
    },
    n_dims=lambda options: 769,
    build=_build,
    min_side=lambda options: 1,
    weights=(
        WeightFile(
            "ImageReward.pt",
            _PAGE,
            ("", "ImageReward", "imagereward"),
            url=f"{_PAGE}/resolve/main/ImageReward.pt",
            sha256="d71dc8d4912bc633c06ab8ef1ef6a81e8199d4369f14b47b29baf1d19de561f6",
            licence="Apache-2.0",
        ),
        WeightFile(
            "vocab.txt",
            _VOCABULARY_PAGE,
            ("bert-base-uncased", "", "ImageReward", "imagereward"),
            role="vocabulary",
            also=("bert-base-uncased-vocab.txt",),
            url=f"{_VOCABULARY_PAGE}/resolve/main/vocab.txt",
            # No digest: other line ends are the same tokens, and `read_vocabulary` knows the rest.
            licence="Apache-2.0",
        ),
    ),
    prompted=lambda options: True,
    seen=(
        *("ImageRewardDB", "DiffusionDB", "COCO", "Visual Genome", "Conceptual Captions"),
        *("SBU Captions", "LAION-400M", "ImageNet"),
    ),
)
