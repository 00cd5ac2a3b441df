"""Torch networks on batches of pictures: devices, exact float32, scales, tiles.

Layout: channels-last in memory, (n, 3, height, width) as torch sees it, float32 in 0..1 before
normalisation.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from features.encoders.base import Batch, Encode
from features.errors import UsageError
from features.tiles import WHOLE_PIXELS, tiles
from features.views import scaled


def device_of(gpu: str | None) -> str:
    """Return torch's name of the device: `None` is the CPU, otherwise a CUDA index such as "0".

    Raises
    ------
    UsageError
        When the GPU asked for is not there; never a quiet move to the CPU.
    """
    if gpu is None:
        return "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not gpu.isdecimal() or int(gpu) >= count:
        there = f"GPUs 0 to {count - 1} are" if count else "no GPU is"
        raise UsageError(
            f"--gpu {gpu}: {there} available to torch here; without --gpu the CPU works"
        )
    return f"cuda:{gpu}"


@contextlib.contextmanager
def on_device(array: np.ndarray, gpu: str) -> Iterator[torch.Tensor]:
    """Yield a copy of an array on a GPU, whose float32 is float32 for as long as this is open."""
    device = device_of(gpu)
    with exact_float32():
        yield torch.from_numpy(np.ascontiguousarray(array)).to(device)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Keep float32 float32: no TF32, no algorithm chosen by timing, as long as this is open."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    # Newer torch names the precision of each kind of operation; older torch has one switch.
    if hasattr(cudnn, "conv") and hasattr(cudnn.conv, "fp32_precision"):
        switches = [(cudnn.conv, "fp32_precision", "ieee"), (matmul, "fp32_precision", "ieee")]
    else:
        switches = [(cudnn, "allow_tf32", False), (matmul, "allow_tf32", False)]
    switches += [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    before = [getattr(owner, name) for owner, name, _ in switches]
    try:
        for owner, name, value in switches:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


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
    """

    stages: Callable[[torch.Tensor], Iterable[torch.Tensor]]
    strides: tuple[int, ...]
    radius: int | None = None
    head: Callable[[torch.Tensor], torch.Tensor] = lambda vectors: vectors


def at_scales(
    network: Network,
    scales: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
    device: str,
    levels: bool = False,
) -> Encode:
    """Return the encoding function that joins what a network says of a picture at every scale.

    Parameters
    ----------
    mean, std : of the normalisation, for pixels in 0..1
    levels : see `pooled`
    """
    prepare = functools.partial(normalised, mean=mean, std=std, device=device)

    def encode(batch: Batch) -> torch.Tensor:
        views = (batch.pictures if s == 1 else batch.view(scaled, s) for s in scales)
        return torch.cat([pooled(network, view, prepare, levels) for view in views], dim=1)

    return exact(encode)


def pooled(
    network: Network,
    view: np.ndarray,
    prepare: Callable[[np.ndarray], torch.Tensor],
    levels: bool = False,
    most: int = WHOLE_PIXELS,
) -> torch.Tensor:
    """Return the (n, d) embeddings of a view, however large it is.

    Parameters
    ----------
    view : (n, h, w, 3) uint8
    prepare : such a view, or a tile of it -> what the stages take
    levels : mean and standard deviation over space of every stage come before the final vector
    most : pixels of a view that is taken whole; a larger one goes through in tiles of no more

    Raises
    ------
    ValueError
        When the view is larger and the network cannot be tiled.
    """
    height, width = view.shape[1:3]
    if height * width <= most:
        *stages, final = _whole(network, prepare(view), levels)
    elif network.radius is None:
        raise ValueError(f"{width}x{height} is too large for a network that cannot be tiled")
    else:
        each = [_tiled(network, picture, prepare, levels, most) for picture in view]
        *stages, final = (torch.stack(parts) for parts in zip(*each, strict=True))
    return torch.cat([*stages, network.head(final)], dim=1)


def _whole(network: Network, batch: torch.Tensor, levels: bool) -> Iterator[torch.Tensor]:
    last = len(network.strides) - 1
    for index, maps in enumerate(network.stages(batch)):
        if index == last:
            yield maps.mean((2, 3))
        elif levels:
            yield mean_and_std(maps)


def _tiled(
    network: Network,
    picture: np.ndarray,
    prepare: Callable[[np.ndarray], torch.Tensor],
    levels: bool,
    most: int,
) -> list[torch.Tensor]:
    """Return what `_whole` gives, of one picture, one tile after another."""
    last = len(network.strides) - 1
    moments: dict[int, Moments] = {}
    for rows, columns in tiles(*picture.shape[:2], network.radius, network.strides[-1], most):
        # cut before it becomes float: only ever one tile has more than a byte a number
        tile = prepare(picture[None, rows.start : rows.stop, columns.start : columns.stop])
        for index, (maps, stride) in enumerate(
            zip(network.stages(tile), network.strides, strict=True)
        ):
            if levels or index == last:
                core = Moments.of(maps[0, :, rows.cells(stride), columns.cells(stride)])
                moments[index] = moments[index] + core if index in moments else core
    *stages, final = moments.values()
    return [*(torch.cat([m.mean, m.std]).float() for m in stages), final.mean.float()]


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


def exact(encode: Callable[[Batch], torch.Tensor]) -> Encode:
    """Return an encoding function: `encode` without gradients, in exact float32, as an array."""

    def exactly(batch: Batch) -> np.ndarray:
        with torch.inference_mode(), exact_float32():
            return encode(batch).float().cpu().numpy()

    return exactly


def normalised(
    view: np.ndarray, mean: Sequence[float], std: Sequence[float], device: str
) -> torch.Tensor:
    """Return (n, height, width, 3) uint8 as (n, 3, height, width) float32, (x / 255 - mean) / std.

    It lies in memory channels-last, as it came; permute only renames the axes.
    """
    view = np.require(view, requirements="CW")  # a tile is cut out; torch wants to be able to write
    batch = torch.from_numpy(view).to(device).permute(0, 3, 1, 2).float().div_(255)
    mean_, std_ = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (mean, std))
    return batch.sub_(mean_).div_(std_)


def mean_and_std(maps: torch.Tensor) -> torch.Tensor:
    """Return mean and standard deviation over space of (n, c, h, w): (n, 2c), means first."""
    flat = maps.flatten(2)
    return torch.cat([flat.mean(2), flat.std(2, correction=0)], dim=1)


class UnitLength(torch.nn.Module):
    """Scales every row of (n, d) to length 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with rows of length 1."""
        return torch.nn.functional.normalize(x, dim=1)
