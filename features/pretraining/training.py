"""One step of momentum contrast after another: a function of the recipe and of the step's number.

Everything that is drawn in a step follows from the seed and the step, so that a run that goes on
from a checkpoint gives the numbers of one that was never stopped.
"""

import contextlib
import copy
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from features.errors import InputError
from features.pretraining.lars import LARS
from features.pretraining.moco import Queue, contrast, follow, info_nce
from features.pretraining.network import Contrastive
from features.pretraining.ranks import ALONE, Ranks
from features.pretraining.recipe import Recipe

OPTIMISERS = {
    "sgd": lambda params, lr, decay: torch.optim.SGD(params, lr, 0.9, weight_decay=decay),
    "lars": lambda params, lr, decay: LARS(params, lr, weight_decay=decay),
}


@dataclass(frozen=True)
class Step:
    """What a step gave.

    Attributes
    ----------
    accuracy : share of the queries that are nearer to their own key than to any in the queue
    seconds : forward (keys and queries), backward (with the sum over processes, and the update)
    """

    number: int
    loss: float
    accuracy: float
    lr: float
    seconds: Mapping[str, float]


class Diverged(InputError):
    """The loss is no number any more."""


class Trainer:
    """Networks, queue and optimiser of one process."""

    def __init__(self, recipe: Recipe, device: str = "cpu", ranks: Ranks = ALONE) -> None:
        if (recipe.batch // recipe.group) % ranks.size:
            raise InputError(
                f"{ranks.size} processes cannot share {recipe.batch // recipe.group} groups of "
                f"{recipe.group} pictures: choose --batch and --group so that each has as many"
            )
        self.recipe, self.device, self.ranks = recipe, torch.device(device), ranks
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.query = Contrastive(recipe.arch, recipe.mode, recipe.dim)
            self.queue = Queue(recipe.queue, recipe.dim)
        self.query.to(self.device, memory_format=torch.channels_last)
        self.queue.to(self.device)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        make = OPTIMISERS[recipe.optimiser]
        self.optimiser = make(self.query.parameters(), recipe.lr, recipe.weight_decay)

    def step(self, number: int, crops: torch.Tensor) -> Step:
        """Take a step.

        Parameters
        ----------
        number : of the step, from 0
        crops : (pictures, 2, n_pairs, side, side, 3) uint8 of this process's share of the batch;
            queries, and their keys

        Raises
        ------
        Diverged
            When the loss is not finite; what is trained has not moved.
        """
        recipe, seconds = self.recipe, {}
        self.query.train(), self.key.train()
        torch.manual_seed(recipe.seed * 1_000_003 + number)  # for networks with dropout
        lr = recipe.learning_rate(number)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        queries, keys = crops.unbind(1)
        with self._timed(seconds, "forward"), self._computing():
            follow(self.key.parameters(), self.query.parameters(), recipe.momentum)
            others = self._keys(keys.flatten(0, 1), number)
        loss, right = self._learn(queries, others, seconds)
        totals = torch.tensor([loss, right], device=self.device)
        self.ranks.add([totals])
        loss, right = totals.tolist()
        if not math.isfinite(loss):
            self.optimiser.zero_grad(set_to_none=True)
            raise Diverged(
                f"the loss of step {number + 1} is {loss}: the last checkpoint is whole; start "
                "again under another name with a smaller --lr or with --precision fp32"
            )
        with self._timed(seconds, "backward"):
            self.ranks.add(p.grad for p in self.query.parameters() if p.grad is not None)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            self.queue.put(others)
        return Step(number, loss, right, lr, seconds)

    def _keys(self, keys: torch.Tensor, number: int) -> torch.Tensor:
        """Return the embeddings of the keys of all processes, computed in groups drawn anew."""
        recipe = self.recipe
        # NCCL gathers what lies on the devices
        every = self.ranks.gathered(keys.to(self.device)) if self.ranks.size > 1 else keys
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + number)
        order = torch.randperm(len(every), generator=generator)
        mine = order[self.ranks.share(len(every))]
        with torch.no_grad():
            parts = [
                self.key(every[places].to(self.device))
                for places in mine.split(recipe.group * recipe.n_pairs)
            ]
        embeddings = self.ranks.gathered(torch.cat(parts))
        return embeddings[order.argsort().to(self.device)]

    def _learn(
        self, queries: torch.Tensor, keys: torch.Tensor, seconds: dict
    ) -> tuple[float, float]:
        """Add up the gradients of every group; return this process's part of loss and accuracy."""
        recipe = self.recipe
        size = recipe.group * recipe.n_pairs
        own = keys[self.ranks.share(len(keys))].split(size)
        loss, right = 0.0, 0.0
        for group, theirs in zip(queries.flatten(0, 1).split(size), own, strict=True):
            with self._timed(seconds, "forward"):
                with self._computing():
                    embeddings = self.query(group.to(self.device))
                logits = contrast(embeddings, theirs, self.queue, recipe.temperature)
                part = info_nce(logits) * (len(group) / len(keys))
            with self._timed(seconds, "backward"):
                part.backward()
            loss += part.item()
            best = (logits.argmax(dim=1) == 0).float().mean().item()
            right += best * len(group) / len(keys)
        return loss, right

    def _computing(self) -> contextlib.AbstractContextManager:
        short = self.recipe.precision == "bf16"
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16) if short else contextlib.nullcontext()

    @contextlib.contextmanager
    def _timed(self, seconds: dict, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started

    def state(self) -> dict:
        """Return all that the next step depends on, with the batch norms' running moments joined.

        Each process has seen other groups; their mean is what the encoder goes out with.
        """
        for network in (self.query, self.key):
            moments = [b for b in network.buffers() if b.is_floating_point()]
            self.ranks.add(moments)
            for one in moments if self.ranks.size > 1 else ():
                one /= self.ranks.size
        return {
            "query": self.query.state_dict(),
            "key": self.key.state_dict(),
            "queue": self.queue.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def take(self, state: Mapping) -> None:
        """Go on from a state."""
        for name in ("query", "key", "queue"):
            getattr(self, name).load_state_dict(state[name])
        self.optimiser.load_state_dict(state["optimiser"])
