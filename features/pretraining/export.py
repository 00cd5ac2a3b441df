"""What a run gives: its encoder as safetensors, and in the layout that Re-IQA published."""

import dataclasses
import io
import json
from collections.abc import Mapping

import torch
from safetensors.torch import save

from features.encoders.pretrained import METADATA
from features.pretraining.network import Contrastive
from features.pretraining.recipe import Recipe


def encoder_bytes(
    network: Contrastive, recipe: Recipe, facts: Mapping[str, object], half: bool = False
) -> bytes:
    """Return the encoder without its head as safetensors; recipe and facts are its metadata.

    Parameters
    ----------
    half : store float16; running variances below its range keep float32
    """
    tensors = {name: _stored(tensor, half) for name, tensor in network.encoder.state_dict().items()}
    told = {"recipe": dataclasses.asdict(recipe)} | dict(facts)
    # one entry: several are written in no certain order, and the file's SHA-256 is its key
    return save(tensors, {METADATA: json.dumps(told)})


def _stored(tensor: torch.Tensor, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous(memory_format=torch.contiguous_format)
    if not half or not tensor.is_floating_point():
        return tensor
    short = tensor.half()
    # a small number in float16 has few digits, and batch norm divides by roots of these
    precise = torch.allclose(short.float(), tensor, rtol=1e-3, atol=0)
    return short if tensor.ndim > 1 or precise else tensor


def published_bytes(network: Contrastive) -> bytes:
    """Return encoder and head as Re-IQA's files have them: module.encoder.*, module.head.*."""
    state = {
        f"module.{name}": tensor.detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    file = io.BytesIO()
    torch.save({"model": state}, file)
    return file.getvalue()
