"""Torch networks on batches of pictures: normalisation, scales, pooling, tiles.

Layout: channels-last in memory, (n, 3, height, width) as torch sees it, float32 in 0..1 before
normalisation.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from features.encoders.base import WHOLE, Batch, Encode, View
from features.runtime import Runtime
from features.tiles import tiles
from features.torch_engine import computing
from features.views import scaled


@dataclass(frozen=True)
class Network:
    """A network as the maps of its stages.

    Attributes
    ----------
    stages : normalised (n, 3, h, w) -> the maps (n, c, h', w') of one stage after another; the last
        ones are those that the final vector is the mean of
    strides : pixels a cell of every stage; each divides the last
    radius : how many pixels beyond its cell any number of the last maps depends on. None where it
        sees the whole view at once, as attention and squeeze-and-excite do: no tile is exact then
    head : what is done to the final vectors (n, c)
    module : holds the tensors that `stages` uses
    """

    stages: Callable[[torch.Tensor], Iterable[torch.Tensor]]
    strides: tuple[int, ...]
    radius: int | None = None
    head: Callable[[torch.Tensor], torch.Tensor] = lambda vectors: vectors
    module: torch.nn.Module | None = None


def at_scales(
    network: Network,
    scales: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
    runtime: Runtime,
    levels: bool = False,
) -> Encode:
    """Return the encoding function that joins what a network says of a picture at every scale.

    Parameters
    ----------
    mean, std : of the normalisation, for pixels in 0..1
    levels : see `Pooling`
    """
    pooled = Pooling(network, Normalise(mean, std), levels, runtime)

    def encode(batch: Batch) -> torch.Tensor:
        views = (batch.pictures if s == 1 else batch.view(scaled, s) for s in scales)
        return torch.cat([pooled(view) for view in views], dim=1)

    return exact(encode, runtime, [WHOLE if s == 1 else (scaled, s) for s in scales])


class Pooling:
    """What a network says of a view, however large it is.

    Parameters
    ----------
    prepare : (n, h, w, 3) uint8, such a view or a tile of it -> what the stages take
    levels : mean and standard deviation over space of every stage come before the final vector
    most : pixels of a view that is taken whole; a larger one goes through in tiles of no more
    """

    def __init__(
        self,
        network: Network,
        prepare: Callable,
        levels: bool = False,
        runtime: Runtime = Runtime(),
        most: int | None = None,
    ) -> None:
        self.network = network
        self.levels = levels
        self.most = runtime.pixels if most is None else most
        self._whole = runtime.placed(_Whole(network, prepare, levels), spatial=True)
        self._maps = runtime.placed(_Maps(network, prepare), spatial=True)

    def __call__(self, view: np.ndarray) -> torch.Tensor:
        """Return the (n, d) embeddings of (n, h, w, 3) uint8.

        Raises
        ------
        ValueError
            When the view is larger than `most` and the network cannot be tiled.
        """
        height, width = view.shape[1:3]
        if height * width <= self.most:
            return self._whole(view)
        if self.network.radius is None:
            raise ValueError(f"{width}x{height} is too large for a network that cannot be tiled")
        each = [self._tiled(picture) for picture in view]
        *stages, final = (torch.stack(parts) for parts in zip(*each, strict=True))
        return torch.cat([*stages, self.network.head(final)], dim=1)

    def _tiled(self, picture: np.ndarray) -> list[torch.Tensor]:
        """Return the parts of the embedding of one picture, one tile after another."""
        network, last = self.network, len(self.network.strides) - 1
        moments: dict[int, Moments] = {}
        for rows, columns in tiles(
            *picture.shape[:2], network.radius, network.strides[-1], self.most
        ):
            # cut before it becomes float: only ever one tile has more than a byte a number
            tile = picture[None, rows.start : rows.stop, columns.start : columns.stop]
            for index, (maps, stride) in enumerate(
                zip(self._maps(tile), network.strides, strict=True)
            ):
                if self.levels or index == last:
                    core = Moments.of(maps[0, :, rows.cells(stride), columns.cells(stride)])
                    moments[index] = moments[index] + core if index in moments else core
        *stages, final = moments.values()
        return [*(torch.cat([m.mean, m.std]).float() for m in stages), final.mean.float()]


class _OfNetwork(torch.nn.Module):
    """Holds a network's tensors where an engine looks for them."""

    def __init__(self, network: Network, prepare: Callable) -> None:
        super().__init__()
        self.tensors = network.module
        self.network = network
        self.prepare = prepare


class _Whole(_OfNetwork):
    def __init__(self, network: Network, prepare: Callable, levels: bool) -> None:
        super().__init__(network, prepare)
        self.levels = levels
        self.head = network.head  # registered, where it is a module

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        """Return the (n, d) embeddings."""
        parts, last = [], len(self.network.strides) - 1
        for index, maps in enumerate(self.network.stages(self.prepare(view))):
            if index == last:
                parts.append(self.head(long(maps).mean((2, 3))))
            elif self.levels:
                parts.append(mean_and_std(maps))
        return torch.cat(parts, dim=1)


class _Maps(_OfNetwork):
    def forward(self, view: torch.Tensor) -> Iterable[torch.Tensor]:
        """Return the maps of every stage; one at a time, where they need not be kept."""
        maps = self.network.stages(self.prepare(view))
        return tuple(maps) if torch.jit.is_tracing() else maps


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each channel, over some places of its map.

    Parts are joined in float64 by their means and deviations (Chan, Golub, LeVeque 1983), so that
    no two large sums are ever subtracted.
    """

    count: int
    mean: torch.Tensor
    squares: torch.Tensor

    @classmethod
    def of(cls, maps: torch.Tensor) -> "Moments":
        """Return the moments of (c, h, w)."""
        variance, mean = torch.var_mean(maps, dim=(1, 2), correction=0)
        count = maps[0].numel()
        return cls(count, mean.double(), variance.double() * count)

    def __add__(self, other: "Moments") -> "Moments":
        count = self.count + other.count
        difference = other.mean - self.mean
        return Moments(
            count,
            self.mean + difference * (other.count / count),
            self.squares + other.squares + difference**2 * (self.count * other.count / count),
        )

    @property
    def std(self) -> torch.Tensor:
        """The standard deviation of each channel."""
        return (self.squares / self.count).sqrt()


def exact(
    encode: Callable[[Batch], torch.Tensor], runtime: Runtime, views: Sequence[View] = ()
) -> Encode:
    """Return an encoding function: `encode` without gradients, in its precision, as an array.

    Parameters
    ----------
    views : what `encode` asks a batch for, (function, *arguments) each: they are made while other
        pictures are computed, and the pictures themselves are let go of. Without them, `encode` has
        the whole pictures
    """

    def exactly(batch: Batch) -> np.ndarray:
        with computing(runtime):
            return encode(batch).float().cpu().numpy()

    exactly.views = tuple(views) or (WHOLE,)
    return exactly


def on_views(
    module: torch.nn.Module,
    mean: Sequence[float],
    std: Sequence[float],
    runtime: Runtime,
    spatial: bool = False,
) -> Callable:
    """Return the function (n, h, w, 3) views, further inputs -> what `module` gives for them.

    Parameters
    ----------
    module : takes normalised (n, 3, h, w) float32, and the further inputs
    mean, std : of the normalisation, for pixels in 0..1
    spatial : views may have any height and width
    """
    return runtime.placed(_OnViews(module, Normalise(mean, std)), spatial)


class _OnViews(torch.nn.Module):
    def __init__(self, module: torch.nn.Module, prepare: torch.nn.Module) -> None:
        super().__init__()
        self.module = module
        self.prepare = prepare

    def forward(self, view: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Return what the module gives."""
        return self.module(self.prepare(view), *others)


class Normalise(torch.nn.Module):
    """(n, height, width, 3) of 0..255 as (n, 3, height, width) float32, (x / 255 - mean) / std.

    It lies in memory channels-last, as it came; permute only renames the axes.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        """Return the normalised pictures."""
        return (view.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std


def long(maps: torch.Tensor) -> torch.Tensor:
    """Return numbers of half the length as float32, before many of them are added."""
    return maps.float() if maps.dtype in (torch.bfloat16, torch.float16) else maps


def mean_and_std(maps: torch.Tensor) -> torch.Tensor:
    """Return mean and standard deviation over space of (n, c, h, w): (n, 2c), means first."""
    maps, space = long(maps), (2, 3)
    return torch.cat([maps.mean(space), maps.std(space, correction=0)], dim=1)


class UnitLength(torch.nn.Module):
    """Scales every row of (n, d) to length 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with rows of length 1."""
        return torch.nn.functional.normalize(x, dim=1)
