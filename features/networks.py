"""Torch networks on batches of pictures: devices, exact float32, scales.

Layout: channels-last in memory, (n, 3, height, width) as torch sees it, float32 in 0..1 before
normalisation.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from features.encoders.base import Batch, Encode
from features.errors import UsageError
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


def at_scales(
    forward: Callable[[torch.Tensor], torch.Tensor],
    scales: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
    device: str,
) -> Encode:
    """Return the encoding function that joins `forward` of a picture at every scale.

    Parameters
    ----------
    forward : normalised (n, 3, h, w) float32 -> (n, d) float32
    mean, std : of the normalisation, for pixels in 0..1
    """

    def encode(batch: Batch) -> torch.Tensor:
        views = (batch.view(scaled, scale) for scale in scales)
        return torch.cat([forward(normalised(view, mean, std, device)) for view in views], dim=1)

    return exact(encode)


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
