"""CLIP's ResNet and its text transformer, under the key names of the published files.

The ResNet differs from torchvision's: three convolutions in the stem, average pooling before each
1x1 convolution that would stride, and attention instead of the final mean. Radford et al., ICML
2021 (arXiv 2103.00020).
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

from features.networks import mean_and_std


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int, causal: bool = False
) -> torch.Tensor:
    """Return (n, queries, width): for every query, the values of the keys that are like it.

    Written out, so that it is plain float32 matrix products on every device.

    Parameters
    ----------
    query : (n, queries, width)
    key, value : (n, tokens, width)
    causal : a token sees itself and those before it
    """
    # (n, tokens, width) -> (n, heads, tokens, width / heads)
    query, key, value = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    likeness = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
    if causal:
        later = torch.ones(likeness.shape[2:], dtype=torch.bool, device=query.device).triu(1)
        likeness = likeness.masked_fill(later, -torch.inf)
    return (likeness.softmax(3) @ value).transpose(1, 2).flatten(2)


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut; a stride of 2 is an average of 2x2 pixels."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.shrink = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample = None
        if stride > 1 or inputs != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, 4 * width, h / stride, w / stride)."""
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        y = self.bn3(self.conv3(self.shrink(y)))
        return (y + (self.downsample(self.shrink(x)) if self.downsample else x)).relu_()


class AttentionPool(nn.Module):
    """A weighted mean over the places of a map, the weights given by one query.

    Parameters
    ----------
    side : of the square map
    query_width : of the query; without one, the plain mean of the map asks
    """

    def __init__(self, side: int, query_width: int = 2048) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(side * side + 1, 2048))
        self.q_proj = nn.Linear(query_width, 2048)
        self.k_proj = nn.Linear(2048, 2048)
        self.v_proj = nn.Linear(2048, 2048)
        self.c_proj = nn.Linear(2048, 1024)

    def forward(self, maps: torch.Tensor, query: torch.Tensor | None = None) -> torch.Tensor:
        """Return (n, 1024) of maps (n, 2048, side, side) and a query (n, query_width)."""
        places = maps.flatten(2).transpose(1, 2)
        places = torch.cat([places.mean(1, keepdim=True), places], 1) + self.positional_embedding
        query = places[:, :1] if query is None else query[:, None]
        pooled = attend(self.q_proj(query), self.k_proj(places), self.v_proj(places), heads=32)
        return self.c_proj(pooled[:, 0])


class PictureTower(nn.Module):
    """CLIP's RN50. `side` is that of the last map, a 32nd of the picture's."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(64)
        inputs = 64
        for index, blocks in enumerate((3, 4, 6, 3)):
            width = 64 << index
            stage = [Bottleneck(inputs, width, stride=2 if index else 1)]
            stage += [Bottleneck(4 * width, width, stride=1) for _ in range(blocks - 1)]
            self.add_module(f"layer{index + 1}", nn.Sequential(*stage))
            inputs = 4 * width
        self.attnpool = AttentionPool(side)

    def stages(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Return the five maps of (n, 3, h, w): the stem's, pooled, then those of the layers."""
        x = pictures
        for conv, norm in (
            (self.conv1, self.bn1),
            (self.conv2, self.bn2),
            (self.conv3, self.bn3),
        ):
            x = norm(conv(x)).relu_()
        maps = [nn.functional.avg_pool2d(x, 2)]
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps.append(layer(maps[-1]))
        return maps


class Pooled(nn.Module):
    """A picture tower with its pools: pictures -> vectors side by side.

    Parameters
    ----------
    pools : a module, or several, that make a vector (n, width) of the last map; the last one of
        several takes what comes beside the pictures, too
    levels : mean and standard deviation over space of every stage come first
    """

    def __init__(self, tower: PictureTower, *pools: nn.Module, levels: bool) -> None:
        super().__init__()
        self.tower = tower
        self.pools = nn.ModuleList(pools)
        self.levels = levels

    def forward(self, pictures: torch.Tensor, *queries: torch.Tensor) -> torch.Tensor:
        """Return (n, d) of normalised (n, 3, h, w)."""
        maps = self.tower.stages(pictures)
        stages = [mean_and_std(one) for one in maps] if self.levels else []
        first, *others = self.pools
        pooled = [first(maps[-1]), *(pool(maps[-1], *queries) for pool in others)]
        return torch.cat([*stages, *pooled], dim=1)


class SelfAttention(nn.Module):
    """Attention of every token to itself and those before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, tokens, width)."""
        query, key, value = nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(
            3, dim=2
        )
        return self.out_proj(attend(query, key, value, self.heads, causal=True))


class TextBlock(nn.Module):
    """Attention and MLP, each on normalised tokens and added to what came."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": QuickGELU()}
        layers["c_proj"] = nn.Linear(4 * width, width)
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the shape that came."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class QuickGELU(nn.Module):
    """The approximation of GELU that CLIP was trained with; the exact one gives other features."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x * sigmoid(1.702 x)."""
        return x * torch.sigmoid(1.702 * x)


class TextTower(nn.Module):
    """CLIP's text transformer beside RN50: 12 blocks, 512 wide, 8 heads."""

    def __init__(self) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(49408, 512)
        self.positional_embedding = nn.Parameter(torch.zeros(77, 512))
        blocks = nn.ModuleList(TextBlock(512, 8) for _ in range(12))
        self.transformer = nn.ModuleDict({"resblocks": blocks})
        self.ln_final = nn.LayerNorm(512)
        self.text_projection = nn.Parameter(torch.zeros(512, 1024))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (1, 1024) of one text's tokens (1, 77): what its end has seen.

        The end is the token with the highest number. No token sees a later one, so that the padding
        behind the end need not be computed.
        """
        tokens = tokens[:, : int(tokens.argmax()) + 1]
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        for block in self.transformer["resblocks"]:
            x = block(x)
        return self.ln_final(x[:, -1]) @ self.text_projection


def of_prompts(
    encode: Callable[[str], torch.Tensor],
) -> Callable[[Sequence[str]], torch.Tensor]:
    """Return the function of several prompts that stacks `encode` of each.

    Every text is encoded alone, so that its feature depends on no other; and once, as long as it is
    among the last few thousand: databases have several pictures of a prompt.

    Parameters
    ----------
    encode : one text -> (1, width)
    """
    known = functools.lru_cache(maxsize=4096)(encode)
    return lambda prompts: torch.cat([known(prompt) for prompt in prompts])


def beside_prompt(picture: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
    """Return (n, 2 * width + 1): picture, prompt, and the cosine between them."""
    cosine = nn.functional.cosine_similarity(picture, prompt, dim=1)
    return torch.cat([picture, prompt, cosine[:, None]], dim=1)
