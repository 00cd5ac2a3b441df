"""Torch as the engine: devices, exact float32, the shorter precisions."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from features.errors import UsageError

if TYPE_CHECKING:
    from features.runtime import Runtime

_SHORT = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
def exact_float32(tf32: bool = False) -> Iterator[None]:
    """Keep float32 float32: no TF32, no algorithm chosen by timing, as long as this is open.

    Parameters
    ----------
    tf32 : allow it after all, where it is what was asked for
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    # Newer torch names the precision of each kind of operation; older torch has one switch.
    if hasattr(cudnn, "conv") and hasattr(cudnn.conv, "fp32_precision"):
        value = "tf32" if tf32 else "ieee"
        switches = [(cudnn.conv, "fp32_precision", value), (matmul, "fp32_precision", value)]
    else:
        switches = [(cudnn, "allow_tf32", tf32), (matmul, "allow_tf32", tf32)]
    switches += [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    before = [getattr(owner, name) for owner, name, _ in switches]
    try:
        for owner, name, value in switches:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


@contextlib.contextmanager
def computing(runtime: "Runtime") -> Iterator[None]:
    """Compute without gradients and in the precision of a runtime, as long as this is open."""
    short = _SHORT.get(runtime.precision) if runtime.engine == "torch" else None
    kind = "cpu" if runtime.gpu is None else "cuda"
    cast = torch.autocast(kind, short) if short else contextlib.nullcontext()
    on_gpu = runtime.gpu is not None
    exact = exact_float32(runtime.precision == "tf32") if on_gpu else contextlib.nullcontext()
    with torch.inference_mode(), exact, cast:
        yield


def placed(module: torch.nn.Module, runtime: "Runtime") -> Callable:
    """Return the function that computes `module` on the runtime's device; see `Runtime.placed`."""
    device = runtime.device
    module = module.eval().to(device, memory_format=torch.channels_last)
    if device == "cpu":
        return lambda *inputs: module(*map(tensor, inputs))
    # from pinned memory the copy runs beside what the device still computes
    return lambda *inputs: module(*(_sent(tensor(one), device) for one in inputs))


def _sent(one: torch.Tensor, device: str) -> torch.Tensor:
    if one.is_cuda:
        return one
    return one.pin_memory().to(device, non_blocking=True)


def tensor(array: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Return an array as a tensor on the CPU; a tensor as it is."""
    if isinstance(array, torch.Tensor):
        return array
    # torch wants to be able to write, and a tile is cut out of its picture
    return torch.from_numpy(np.require(array, requirements="CW"))
