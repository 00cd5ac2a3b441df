"""The network of a run: an encoder, and the head that only the contrast is trained through."""

import torch
from torch import nn

from features.encoders.trunks import NORMALISATION, trunk
from features.networks import Normalise, long


class Contrastive(nn.Module):
    """Encoder and MLP head of MoCo v2; its tensors have the published names, encoder.* and head.*.

    Parameters
    ----------
    arch : see `features.encoders.trunks`
    mode : decides the normalisation
    dim : numbers of an embedding that is contrasted
    """

    def __init__(self, arch: str, mode: str = "quality", dim: int = 128) -> None:
        super().__init__()
        found = trunk(arch)
        width = found.shape.final
        self.encoder = found.module
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))
        self._stages = found.stages
        normalise = Normalise(**NORMALISATION[mode])
        self._prepare = (normalise.mean, normalise.std)  # no part of the state

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return the (n, dim) embeddings, of length 1, of (n, side, side, 3) uint8 crops."""
        mean, std = (one.to(crops.device) for one in self._prepare)
        pixels = (crops.permute(0, 3, 1, 2).float() / 255 - mean) / std
        *_, maps = self._stages(pixels)
        vectors = self.head(long(maps).mean((2, 3)))
        return nn.functional.normalize(vectors.float(), dim=1)
