"""What computes an embedding: the engine, the device, the precision.

Engines: `torch` on the CPU or on a CUDA device, and `openvino` on the CPU, which is several times
as fast there with the same numbers (to 1e-5 of the largest). Precisions: `fp32` is exact float32 on
each of them; `tf32`, `bf16` and `fp16` multiply shorter numbers, and are asked for by name.
"""

import importlib.util
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import joblib

from features.errors import InputError, UsageError

if TYPE_CHECKING:
    import torch

ENGINES = ("openvino", "torch")  # in the order in which `auto` likes them on the CPU
# (engine, on a GPU) -> what it offers
PRECISIONS = {
    ("torch", True): ("fp32", "tf32", "bf16", "fp16"),
    ("torch", False): ("fp32", "bf16"),
    ("openvino", False): ("fp32", "bf16"),
}
ALL_PRECISIONS = PRECISIONS["torch", True]
# Megapixels of a view that a network takes at once. ResNet-50 takes 215 and EfficientNet-Lite0 240
# bytes a pixel in float32 (measured): with torch itself, just under 4 GB.
BUDGET = 12.0
LEAST_BUDGET = 1.0  # a tile with the widest halo still fits
# Pictures that would be alone in their batch are computed so many at once where the engine can,
# each in a lane, a part of the processor: making ready for a new shape is work for one thread, and
# takes longer than a small picture itself. No more than a block has pictures.
LANES = 8
LANE_PIXELS = 1_500_000  # the most that a lane takes; more goes through all of the processor
IN_LANE: ContextVar[bool] = ContextVar("in_lane", default=False)


@dataclass(frozen=True)
class Runtime:
    """An engine on a device in a precision.

    Attributes
    ----------
    gpu : index of a CUDA device, such as "0"; None for the CPU
    budget : megapixels that are computed at once, where that can be chosen: a larger batch is cut,
        a larger view goes through in tiles
    """

    engine: str = "torch"
    gpu: str | None = None
    precision: str = "fp32"
    budget: float = BUDGET

    @property
    def pixels(self) -> int:
        """The budget in pixels."""
        return round(self.budget * 1e6)

    def check(self) -> "Runtime":
        """Return this, when it can be had.

        Raises
        ------
        UsageError
            When engine, device and precision do not go together, or the GPU is not there.
        InputError
            When OpenVINO is not installed.
        """
        if self.engine not in ENGINES:
            raise UsageError(f"--engine {self.engine}: expected auto, {' or '.join(ENGINES)}")
        offered = PRECISIONS.get((self.engine, self.gpu is not None))
        if offered is None:
            raise UsageError(f"--engine {self.engine} has no GPU: leave out --gpu or --engine")
        if self.precision not in offered:
            where = "a GPU" if self.gpu is not None else "the CPU"
            raise UsageError(
                f"--precision {self.precision}: {self.engine} on {where} offers "
                f"{', '.join(offered)}"
            )
        if not LEAST_BUDGET <= self.budget <= BUDGET:
            raise UsageError(
                f"--budget {self.budget:g}: expected {LEAST_BUDGET:g} to {BUDGET:g} megapixels"
            )
        if self.engine == "openvino" and not has_openvino():
            raise InputError(
                "--engine openvino needs OpenVINO, which is not installed: pip install "
                "'meanopinion[cpu]', or leave out --engine"
            )
        if self.gpu is not None:
            from features.torch_engine import device_of  # torch, which a cached run spares

            device_of(self.gpu)
        return self

    @property
    def lanes(self) -> int:
        """How many pictures are computed at once where each has a shape of its own."""
        if self.engine != "openvino":
            return 1
        return max(1, min(LANES, joblib.cpu_count(), self.pixels // LANE_PIXELS))

    @property
    def device(self) -> str:
        """Torch's name of the device, for what no engine compiles, such as a text's network."""
        from features.torch_engine import device_of

        return device_of(self.gpu)

    def placed(self, module: "torch.nn.Module", spatial: bool = False) -> Callable:
        """Return a function that computes `module`: arrays or tensors in, tensors out.

        Parameters
        ----------
        module : takes and returns tensors; their first axis is the batch
        spatial : heights and widths of the first input vary, too
        """
        if self.engine == "openvino":
            from features.openvino_engine import Compiled

            return Compiled(module, self.precision, self.lanes if spatial else 0)
        from features.torch_engine import placed

        return placed(module, self)


def has_openvino() -> bool:
    """Tell whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def engines(on_gpu: bool) -> tuple[str, ...]:
    """Return the engines that there are, the fastest first."""
    if on_gpu:
        return ("torch",)
    return ENGINES if has_openvino() else ("torch",)
