"""The processes of a run: one, or those that torchrun started, with gloo or NCCL between them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Ranks:
    """This process among `size`; `local` is its number on its own machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """Return this process's part of `n` things, of which each has as many."""
        each = n // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def gathered(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensors of all processes, one after another along their first axis."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace tensors of one type by their sums over the processes, as one message."""
        tensors = list(tensors)
        if self.size == 1 or not tensors:
            return
        joined = torch.cat([one.reshape(-1) for one in tensors])
        dist.all_reduce(joined)
        for one, total in zip(tensors, joined.split([t.numel() for t in tensors]), strict=True):
            one.copy_(total.view_as(one))

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


ALONE = Ranks()


def joined(device: str) -> Ranks:
    """Join the processes that torchrun started; without it, this process is alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # where NCCL works
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Ranks(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))


def left() -> None:
    """Leave the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()
