"""What an encoder is: a frozen record, and a function from pictures of one shape to embeddings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.errors import UsageError
from features.weights import WeightFile

# (n, height, width, 3) uint8 RGB -> (n, n_dims) float32
Encode = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Option:
    """One option of an encoder: its default, and either its choices or `scales` (as 1:0.5)."""

    default: str
    choices: tuple[str, ...] = ()

    def canonical(self, value: str, where: str) -> str:
        """Return the one spelling of `value`.

        Raises
        ------
        UsageError
            When the value is none of the choices, or not a list of scales in .01..1.
        """
        if self.choices:
            if value not in self.choices:
                raise UsageError(f"{where}: expected one of {', '.join(self.choices)}")
            return value
        try:
            scales = parse_scales(value)
        except ValueError:
            scales = ()
        if not scales or not all(0.01 <= scale <= 1 for scale in scales):
            raise UsageError(f"{where}: expected scales from 0.01 to 1, such as 1:0.5:0.25")
        return ":".join(f"{scale:g}" for scale in scales)


SCALES = Option("1:0.5")  # full and half size, as Re-IQA takes them
FLAG = ("no", "yes")


def parse_scales(value: str) -> tuple[float, ...]:
    """Return `1:0.5` as (1.0, 0.5)."""
    return tuple(float(part) for part in value.split(":"))


@dataclass(frozen=True)
class Encoder:
    """One line of the table. Nothing here imports torch: a cache is read without it.

    Attributes
    ----------
    version : raised whenever our code for it changes a number; part of the cache key
    views : all that is done to the pixels before the network, in words; part of the key
    n_dims : options -> length of one picture's embedding
    build : (options, weight path or None, device or None) -> the encoding function
    min_side : the smallest width and height, in pixels, that it can take, given its options
    seen : databases and collections that its weights were trained on
    """

    name: str
    summary: str
    paper: str
    licence: str
    version: int
    views: Mapping[str, object]
    n_dims: Callable[[Mapping[str, str]], int]
    build: Callable[[Mapping[str, str], Path | None, str | None], Encode]
    min_side: Callable[[Mapping[str, str]], int]
    weights: WeightFile | None = None
    options: Mapping[str, Option] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32",)
