"""The batches of a run: what step takes which picture, and what is cut from it.

A step's crops follow from the seed and the step's number alone: not from how many processes or
workers make them, nor from where a run was stopped.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from features.errors import InputError
from features.pretraining import crops, views
from features.pretraining.pictures import Pictures
from features.pretraining.ranks import ALONE, Ranks
from features.pretraining.recipe import Recipe
from features.sources import Source
from features.workers import MALLOC


@dataclass(frozen=True)
class Batch:
    """One process's share of a step.

    Attributes
    ----------
    crops : (pictures, 2, n_pairs, side, side, 3) uint8, queries and keys
    failed : number of a picture -> why it could not be read
    enlarged : numbers of the pictures that were too small for their crops
    """

    crops: torch.Tensor
    failed: dict[int, str]
    enlarged: frozenset[int] = frozenset()


class Slots(Dataset):
    """Item `step * batch + slot` is what one place of a step's batch holds."""

    def __init__(self, recipe: Recipe, pictures: Pictures) -> None:
        self.recipe, self.pictures = recipe, pictures

    def __getitem__(self, item: int) -> tuple[np.ndarray, dict[int, str], set[int]]:
        """Return (2, n_pairs, side, side, 3) uint8, what could not be read, what was enlarged.

        The picture whose turn it is, or, where it cannot be read, the next one that can.
        """
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 1, item])
        side = int(rng.choice(recipe.sides)) if recipe.sides else 0
        for turn in range(item, item + len(self.pictures)):
            epoch, place = divmod(turn, len(self.pictures))
            number = int(order(recipe.seed, epoch, len(self.pictures))[place])
            picture = self.pictures.read(number, side)
            if picture is not None:
                found = MAKERS[recipe.mode](picture, rng, recipe)
                return found, self.pictures.failed, self.pictures.enlarged
        raise InputError(f"none of the {len(self.pictures)} pictures can be read")


def _quality(picture: np.ndarray, rng: np.random.Generator, recipe: Recipe) -> np.ndarray:
    return crops.pairs(picture, rng, recipe.crops)


def _content(picture: np.ndarray, rng: np.random.Generator, recipe: Recipe) -> np.ndarray:
    return views.pair(picture, rng, recipe.crop)[:, None]


MAKERS = {"quality": _quality, "content": _content}


@functools.lru_cache(maxsize=4)
def order(seed: int, epoch: int, n: int) -> np.ndarray:
    """Return the order in which an epoch takes `n` pictures."""
    return np.random.default_rng([seed, 0, epoch]).permutation(n)


def batches(
    recipe: Recipe, sources: Sequence[Source], start: int, ranks: Ranks = ALONE, workers: int = 0
) -> Iterator[Batch]:
    """Yield this process's share of every step from `start` to the last.

    Parameters
    ----------
    workers : processes that make them ahead; 0 makes them here

    Raises
    ------
    InputError
        When no picture can be read, or a worker dies.
    """
    for name, value in MALLOC.items() if workers else ():
        os.environ.setdefault(name, value)  # for processes that start from now on
    # both sides of a picture at half size must hold a crop
    least = 2 * recipe.crop if recipe.mode == "quality" else 0
    slots = range(recipe.batch)[ranks.share(recipe.batch)]
    steps = [[step * recipe.batch + slot for slot in slots] for step in range(start, recipe.steps)]
    loader = DataLoader(
        Slots(recipe, Pictures(sources, least)),
        batch_sampler=steps,
        num_workers=workers,
        collate_fn=_joined,
        worker_init_fn=_alone,
        prefetch_factor=2 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            f"a process that reads pictures died ({error}): a picture that crashes its decoder, or "
            "not enough memory; try --workers 0 to see which picture"
        ) from error


def _joined(slots: Sequence[tuple[np.ndarray, dict[int, str], set[int]]]) -> Batch:
    made, failed, enlarged = zip(*slots, strict=True)
    reasons = {number: why for each in failed for number, why in each.items()}
    return Batch(torch.from_numpy(np.stack(made)), reasons, frozenset().union(*enlarged))


def _alone(worker: int) -> None:
    """One thread a worker: there are as many workers as processors."""
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)
