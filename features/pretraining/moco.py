"""Momentum contrast: the queue, the logits, the loss, the momentum encoder.

He, Fan, Wu, Xie, Girshick, "Momentum Contrast for Unsupervised Visual Representation Learning",
CVPR 2020 (equations 1 and 2, algorithm 1), with the head and the temperature of MoCo v2 (Chen, Fan,
Girshick, He, arXiv 2003.04297). Every embedding is a row of length 1.
"""

from collections.abc import Iterable

import torch
from torch import nn

TEMPERATURE = 0.2


class Queue(nn.Module):
    """The keys of the last batches, which are the negatives; its buffers are part of a checkpoint.

    Parameters
    ----------
    size : keys that it holds; the oldest make way
    dim : numbers a key
    generator : draws the keys that it begins with
    """

    def __init__(self, size: int, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        keys = torch.randn(size, dim, generator=generator)
        self.register_buffer("keys", nn.functional.normalize(keys, dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def put(self, keys: torch.Tensor) -> None:
        """Let (n, dim) keys take the places of the oldest, n at most its size.

        Raises
        ------
        ValueError
            When there are more keys than places.
        """
        n, size = len(keys), len(self.keys)
        if n > size:
            raise ValueError(f"{n} keys do not fit into a queue of {size}")
        places = (self.position + torch.arange(n, device=self.keys.device)) % size
        self.keys[places] = keys.to(self.keys)
        self.position.copy_((self.position + n) % size)


def contrast(
    queries: torch.Tensor, keys: torch.Tensor, queue: Queue, temperature: float = TEMPERATURE
) -> torch.Tensor:
    """Return the (n, 1 + size) logits of (n, dim) queries: its own key, then those of the queue."""
    own = (queries * keys).sum(dim=1, keepdim=True)
    # a copy, for the queue moves on before the backward pass
    others = queries @ queue.keys.clone().T
    return torch.cat([own, others], dim=1) / temperature


def info_nce(logits: torch.Tensor) -> torch.Tensor:
    """Return the mean loss: the cross entropy of telling the first column from all others."""
    return nn.functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


@torch.no_grad()
def follow(
    slow: Iterable[torch.Tensor], fast: Iterable[torch.Tensor], momentum: float = 0.999
) -> None:
    """Move the key encoder's parameters towards the query encoder's (equation 2)."""
    slow = list(slow)
    torch._foreach_lerp_(slow, [one.detach() for one in fast], 1 - momentum)
