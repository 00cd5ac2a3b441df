"""PromptIQA's network, under the key names of its published file.

A picture passes a ViT; three modules of attention over the tokens of four depths give three
opinions, a fourth joins them, and convolutions make them one vector of 128. The order of the
reshapes is the published one: the weights were trained with it.
"""

import torch
from torch import nn

from features.encoders.vit import Block, VisionTransformer

DEPTHS = (3, 6, 9, 12)  # of the 12 blocks of the ViT
WIDTH = 768
GRID = 28  # patches of 8 pixels on a side of 224
VECTOR = 128


class _Mixing(nn.Module):
    """One-headed attention among the rows of (n, rows, width), added to what came."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_q = nn.Linear(width, width)
        self.c_k = nn.Linear(width, width)
        self.c_v = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, rows, width)."""
        scores = self.c_q(x) @ self.c_k(x).transpose(1, 2) * x.shape[2] ** -0.5
        mixed = scores.softmax(dim=2) @ self.c_v(x)
        # Transposed but shaped as if it were not: so the published code has it.
        return mixed.transpose(1, 2).reshape(x.shape) + x


class _Places(nn.Module):
    """Attention among the places of (n, channels, grid, grid), added in a learnt share."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qConv = nn.Conv2d(channels, channels // 8, 1)
        self.kConv = nn.Conv2d(channels, channels // 8, 1)
        self.vConv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return (n, channels, grid, grid)."""
        q, k, v = (conv(maps).flatten(2) for conv in (self.qConv, self.kConv, self.vConv))
        attention = (q.transpose(1, 2) @ k).softmax(dim=2)
        return self.gamma * (v @ attention.transpose(1, 2)).view(maps.shape) + maps


class _Opinion(nn.Module):
    """The published "multi-view attention learning": several maps of one picture become one."""

    def __init__(self, n_maps: int) -> None:
        super().__init__()
        self.channel_attention = _Mixing(WIDTH * n_maps)
        self.feature_attention = _Mixing(GRID**2 * n_maps)
        self.attention_module = nn.ModuleList(_Places(WIDTH) for _ in range(n_maps))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Return (n, 768, 784) of a list of (n, 768, 28, 28)."""
        n_maps = len(maps)
        placed = [module(m) for module, m in zip(self.attention_module, maps, strict=True)]
        joined = torch.cat(placed, dim=1).flatten(2)  # (n, n_maps * 768, 784)
        # The rows of this view hold n_maps neighbouring channels, not the same channel n_maps
        # times: the published split, once more.
        by_feature = self.feature_attention(joined.reshape(-1, WIDTH, n_maps * GRID**2))
        by_channel = self.channel_attention(joined.transpose(1, 2)).transpose(1, 2)
        both = (by_feature.reshape(joined.shape) + by_channel) / 2
        return both.unflatten(1, (n_maps, WIDTH)).mean(dim=1)


def _small_blocks() -> nn.Sequential:
    return nn.Sequential(*(_block(VECTOR, 4) for _ in range(3)))


def _block(width: int, heads: int) -> Block:
    # what timm 0.5.4, which the published code pins, gives unasked: torch's own eps, no bias
    return Block(width, heads, qkv_bias=False, eps=1e-5)


def _convolution(width_in: int, width_out: int, kernel: int, pool: int) -> list[nn.Module]:
    return [
        nn.Conv2d(width_in, width_out, kernel),
        nn.BatchNorm2d(width_out),
        nn.ReLU(),
        nn.AvgPool2d(pool),
    ]


class PromptIQA(nn.Module):
    """Picture -> vector; vector and score -> pair; vector and pairs -> score."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = VisionTransformer(8 * GRID, 8, WIDTH, 12, 12, normed=False)
        self.MALs = nn.ModuleList(_Opinion(len(DEPTHS)) for _ in range(3))
        self.fusion_mal = _Opinion(3)
        self.block = _block(WIDTH, 12)
        self.cnn = nn.Sequential(
            *_convolution(WIDTH, 256, 5, 2),
            *_convolution(256, VECTOR, 3, 2),
            *_convolution(VECTOR, VECTOR, 3, 3),
        )
        self.i_p_fusion = _small_blocks()
        self.mlp = nn.Sequential(nn.Linear(VECTOR, 64), nn.GELU(), nn.Linear(64, VECTOR))
        self.prompt_fusion = _small_blocks()
        self.blocks = nn.Sequential(*(Block(VECTOR, 4) for _ in range(8)))
        self.norm = nn.LayerNorm(VECTOR)
        # the published module has a dropout between, hence the numbers of its keys
        self.score_block = nn.Sequential(
            nn.Linear(VECTOR, 64), nn.ReLU(), nn.Identity(), nn.Linear(64, 1), nn.Sigmoid()
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the (n, 128) vectors of normalised (n, 3, 224, 224) pictures.

        They pass one by one: a vector is the same to the bit whatever came with it, and the maps
        of a single picture already keep a processor busy.
        """
        return torch.cat([self._vector(picture) for picture in pictures.split(1)])

    def _vector(self, picture: torch.Tensor) -> torch.Tensor:
        maps = [_as_map(tokens[:, 1:].transpose(1, 2)) for tokens in self.vit(picture, DEPTHS)]
        opinion = self.fusion_mal([_as_map(module(maps)) for module in self.MALs])
        joined = self.block(opinion.transpose(1, 2)).transpose(1, 2)
        return self.cnn(_as_map(joined)).flatten(1)

    def pairs(self, vectors: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return a vector for each pair: (k, 128) of (k, 128) picture vectors, (k,) scores."""
        repeated = scores[:, None].expand(-1, VECTOR)
        return self.mlp(self.i_p_fusion(torch.stack([vectors, repeated], dim=1)).mean(dim=1))

    def scores(self, pairs: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Return the (n,) scores that (k, 128) pairs give to (n, 128) picture vectors."""
        prompt = self.prompt_fusion(pairs[None])
        return torch.cat([self._score(prompt, vector) for vector in vectors])  # one by one, too

    def _score(self, prompt: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        tokens = self.blocks(torch.cat([vector.view(1, 1, -1), prompt], dim=1))
        return self.score_block(self.norm(tokens[:, 0])).view(1)


def _as_map(channels: torch.Tensor) -> torch.Tensor:
    """(n, channels, 784) -> (n, channels, 28, 28)."""
    return channels.unflatten(2, (GRID, GRID))
