"""Layer-wise adaptive rate scaling, for large batches.

You, Gitman, Ginsburg, "Large Batch Training of Convolutional Networks", arXiv 1708.03888: each
weight's step is a fixed share, `trust`, of its own length. Biases and the weights of norms (one
axis) are left to plain momentum, without decay, as is usual in contrastive training.
"""

from collections.abc import Callable, Iterable

import torch


class LARS(torch.optim.Optimizer):
    """Stochastic gradient descent with momentum, scaled by layer.

    Parameters
    ----------
    lr : of the whole; what `trust` times it moves a weight by, relative to its length
    trust : the paper's eta
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        weight_decay: float = 1e-4,
        momentum: float = 0.9,
        trust: float = 0.001,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not 0 <= momentum < 1 or trust <= 0:
            raise ValueError(
                f"expected lr and weight_decay from 0, momentum from 0 below 1 and trust above 0, "
                f"got {lr}, {weight_decay}, {momentum}, {trust}"
            )
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "trust": trust,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> float | None:
        """Take one step along the gradients; parameters without one stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, parameter: torch.Tensor, group: dict) -> None:
        direction = parameter.grad
        if parameter.ndim > 1:
            direction = direction + group["weight_decay"] * parameter
            length, towards = parameter.norm(), direction.norm()
            scaled = group["trust"] * length / towards
            # a weight or a gradient of zero has no length to keep to
            direction = direction * torch.where((length > 0) & (towards > 0), scaled, 1.0)
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].mul_(group["momentum"]).add_(direction)
        parameter.sub_(group["lr"] * state["momentum"])
