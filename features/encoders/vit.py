"""A vision transformer with timm's key names; ImageReward and PromptIQA are built from it.

Tokens lie as (n, 1 + rows * columns, width): the class token, then the patches row by row.
"""

from collections.abc import Collection

import torch
from torch import nn


class Attention(nn.Module):
    """Multi-head attention of (n, tokens, width) to itself."""

    def __init__(self, width: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, tokens, width)."""
        # (n, tokens, 3 * width) -> 3 of (n, heads, tokens, width / heads)
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers around the exact (erf) GELU, four times as wide between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the shape that came."""
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each on normalised tokens and added to what came."""

    def __init__(self, width: int, heads: int, qkv_bias: bool = True, eps: float = 1e-6) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = Attention(width, heads, qkv_bias)
        self.norm2 = nn.LayerNorm(width, eps)
        self.mlp = Mlp(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, tokens, width)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """ViT on square pictures of one size.

    Parameters
    ----------
    side, patch : of the picture and of a patch, in pixels
    normed : whether the tokens that come out pass a last layer norm
    """

    def __init__(
        self, side: int, patch: int, width: int, depth: int, heads: int, normed: bool
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (side // patch) ** 2, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, stride=patch)})
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, 1e-6) if normed else nn.Identity()

    def forward(self, pictures: torch.Tensor, after: Collection[int]) -> list[torch.Tensor]:
        """Return the tokens after each of those blocks, which count from 1.

        Parameters
        ----------
        pictures : (n, 3, side, side), normalised
        """
        # the convolution's (n, width, rows, columns) as tokens
        patches = self.patch_embed["proj"](pictures).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        x = x + self.pos_embed
        tokens = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in after:
                tokens.append(self.norm(x))
        return tokens
