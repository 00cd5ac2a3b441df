"""UIQA's network: three Swin-T side by side, and its head; modules named as in the published file.

Input of each: normalised (n, 3, 480, 480) float32.
"""

from collections.abc import Sequence

import torch
from torchvision.models import SwinTransformer, swin_t

from features.networks import mean_and_std

_WIDTH, _HIDDEN = 768, 128


class UIQA(torch.nn.Module):
    """A Swin-T for each branch, and where asked for the published head."""

    def __init__(self, branches: Sequence[str], head: bool) -> None:
        super().__init__()
        for branch in branches:
            tower = swin_t(weights=None)
            tower.head = torch.nn.Identity()
            self.add_module(branch, tower)
        if head:  # no activation between the two, as published
            self.quality = torch.nn.Sequential(
                torch.nn.Linear(_WIDTH * len(branches), _HIDDEN), torch.nn.Linear(_HIDDEN, 1)
            )


class Branch(torch.nn.Module):
    """One of the Swin-T, as what it says of a view."""

    def __init__(self, tower: SwinTransformer, levels: bool) -> None:
        super().__init__()
        self.tower = tower
        self.levels = levels

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        """Return (n, 768), after the mean and standard deviation of each stage where asked for."""
        parts, maps = [], view
        for index, layer in enumerate(self.tower.features):
            maps = layer(maps)
            # even layers divide into patches and merge them; odd ones are stages
            if self.levels and index % 2:
                parts.append(mean_and_std(maps.permute(0, 3, 1, 2)))
        tower = self.tower
        parts.append(tower.flatten(tower.avgpool(tower.permute(tower.norm(maps)))))
        return torch.cat(parts, dim=1)
