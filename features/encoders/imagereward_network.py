"""ImageReward's network, under the key names of its published file.

BLIP: a ViT-L/16 sees the picture; a BERT-base reads the prompt, and each of its layers attends from
the prompt's tokens to the picture's.
"""

import torch
from torch import nn

from features.encoders.vit import VisionTransformer

PICTURE_WIDTH, TEXT_WIDTH = 1024, 768
N_TOKENS = 30524  # those of bert-base-uncased, and BLIP's own [DEC] and [ENC]
HEADS = 12
# of the rewards that the published model gave in training
MEAN, STD = 0.16717362830052426, 1.0333394966054072


class _AddNorm(nn.Module):
    """A linear layer, added to what came before, normalised."""

    def __init__(self, width_in: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, TEXT_WIDTH)
        self.LayerNorm = nn.LayerNorm(TEXT_WIDTH, 1e-12)

    def forward(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """Return (n, tokens, 768) of (n, tokens, width) and (n, tokens, 768)."""
        return self.LayerNorm(self.dense(x) + before)


class _Heads(nn.Module):
    """Multi-head attention from (n, tokens, 768) to (n, others, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(TEXT_WIDTH, TEXT_WIDTH)
        self.key = nn.Linear(width, TEXT_WIDTH)
        self.value = nn.Linear(width, TEXT_WIDTH)

    def forward(
        self, x: torch.Tensor, others: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return (n, tokens, 768); the bool mask is True at the others that are seen."""
        parts = (self.query(x), self.key(others), self.value(others))
        # (n, tokens, 768) -> (n, heads, tokens, 64)
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in parts)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, mask)
        return mixed.transpose(1, 2).flatten(2)


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.self = _Heads(width)
        self.output = _AddNorm(TEXT_WIDTH)

    def forward(
        self, x: torch.Tensor, others: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return (n, tokens, 768)."""
        return self.output(self.self(x, others, mask), x)


class _Layer(nn.Module):
    """The prompt attends to itself, then to the picture; then an MLP with the exact GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = _Attention(TEXT_WIDTH)
        self.crossattention = _Attention(PICTURE_WIDTH)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(TEXT_WIDTH, 4 * TEXT_WIDTH)})
        self.output = _AddNorm(4 * TEXT_WIDTH)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        """Return (n, tokens, 768)."""
        x = self.crossattention(self.attention(x, x, mask), picture)
        return self.output(nn.functional.gelu(self.intermediate["dense"](x)), x)


class _Embeddings(nn.Module):
    """Word and place; BLIP's BERT has no token types."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(N_TOKENS, TEXT_WIDTH)
        self.position_embeddings = nn.Embedding(512, TEXT_WIDTH)
        self.LayerNorm = nn.LayerNorm(TEXT_WIDTH, 1e-12)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return (n, tokens, 768) of (n, tokens) numbers."""
        places = self.position_embeddings.weight[: ids.shape[1]]
        return self.LayerNorm(self.word_embeddings(ids) + places)


class _TextEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = _Embeddings()
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer() for _ in range(12))})

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        """Return (n, tokens, 768), each of which has seen prompt and picture."""
        x = self.embeddings(ids)
        for layer in self.encoder["layer"]:
            x = layer(x, mask[:, None, None, :], picture)
        return x


def _reward_layers() -> nn.Sequential:
    # the published module has dropouts between, hence the numbers of its keys
    widths = {0: (TEXT_WIDTH, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}
    return nn.Sequential(
        *(nn.Linear(*widths[n]) if n in widths else nn.Identity() for n in range(8))
    )


class ImageReward(nn.Module):
    """Picture and prompt -> feature and reward."""

    def __init__(self) -> None:
        super().__init__()
        picture = VisionTransformer(224, 16, PICTURE_WIDTH, 24, 16, normed=True)
        self.blip = nn.ModuleDict({"visual_encoder": picture, "text_encoder": _TextEncoder()})
        self.mlp = nn.ModuleDict({"layers": _reward_layers()})

    def picture(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the (n, 197, 1024) tokens of normalised (n, 3, 224, 224) pictures."""
        (tokens,) = self.blip["visual_encoder"](pictures, after=(24,))
        return tokens

    def forward(
        self, pictures: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return (n, 769): the feature of 768, which is the first token's, then the reward.

        Parameters
        ----------
        pictures : normalised (n, 3, 224, 224)
        ids : (n, tokens) numbers of the prompts' tokens
        mask : (n, tokens) bool, False where there is only padding
        """
        feature = self.blip["text_encoder"](ids, mask, self.picture(pictures))[:, 0]
        reward = (self.mlp["layers"](feature) - MEAN) / STD
        return torch.cat([feature, reward], dim=1)
