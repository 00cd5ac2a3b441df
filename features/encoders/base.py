"""What an encoder is: a frozen record, and a function from a batch of pictures to embeddings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.errors import UsageError
from features.runtime import Runtime
from features.weights import WeightFile

# What is made of each picture before a network sees it: a function, and its further arguments.
View = tuple[Callable[..., np.ndarray], *tuple[object, ...]]


def whole(picture: np.ndarray) -> np.ndarray:
    """Return the picture itself."""
    return picture


WHOLE: View = (whole,)


class Batch:
    """Pictures whose views are of one shape, and what belongs to them.

    Attributes
    ----------
    prompts : one text for each picture; empty where no encoder asked for them
    """

    def __init__(
        self,
        pictures: Sequence[np.ndarray] | np.ndarray,
        prompts: Sequence[str] = (),
        made: Sequence[Mapping[View, np.ndarray]] = (),
    ) -> None:
        """Take (height, width, 3) uint8 RGB pictures, or the views that were made of each."""
        self.prompts = tuple(prompts)
        self._made = made or [{WHOLE: picture} for picture in pictures]
        self._views: dict[View, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._made)

    @property
    def pictures(self) -> np.ndarray:
        """The pictures, (n, height, width, 3) uint8 RGB, not to be written to."""
        return self.view(whole)

    def view(self, function: Callable[..., np.ndarray], *arguments: object) -> np.ndarray:
        """Return `function(picture, *arguments)` of every picture, stacked; made once."""
        key = (function, *arguments)
        if key not in self._views:
            each = [
                made[key] if key in made else key[0](made[WHOLE], *key[1:]) for made in self._made
            ]
            # a single one, which may be large, is not copied
            self._views[key] = np.stack(each) if len(each) > 1 else each[0][None]
        return self._views[key]


# A batch -> (n, n_dims) float32. `views` may name, as an attribute, what it asks the batch for.
Encode = Callable[[Batch], np.ndarray]


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
    build : (options, role of a weight file -> its path, what computes) -> the encoding function
    min_side : the smallest width and height, in pixels, that it can take, given its options
    max_pixels : the most pixels of a picture that it can take in some 4 GB of memory; None where
        its views are of one size or go through in tiles
    weights : the files it may need; which ones, the options decide (see `files`)
    prompted : options -> whether every picture needs a text
    few_shot : as `build`, for networks that score by a few rated pictures: the function that it
        returns takes k pictures and their (k,) scores in 0..1 and gives the function that scores
        (n, height, width, 3) pictures as (n,)
    seen : databases and collections that its weights were trained on
    network : whether there is a network; without one, engine and precision are none of its business
    engine : what `auto` takes on the CPU in fp32, where that is not OpenVINO
    """

    name: str
    summary: str
    paper: str
    licence: str
    version: int
    views: Mapping[str, object]
    n_dims: Callable[[Mapping[str, str]], int]
    build: Callable[[Mapping[str, str], Mapping[str, Path], Runtime], Encode]
    min_side: Callable[[Mapping[str, str]], int]
    weights: tuple[WeightFile, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    few_shot: Callable[[Mapping[str, str], Mapping[str, Path], Runtime], Callable] | None = None
    prompted: Callable[[Mapping[str, str]], bool] = lambda options: False
    seen: tuple[str, ...] = ()
    max_pixels: int | None = None
    network: bool = True
    engine: str = ""

    def files(self, options: Mapping[str, str]) -> tuple[WeightFile, ...]:
        """Return the weight files that these options need."""
        return tuple(file for file in self.weights if file.when is None or _holds(options, file))


def _holds(options: Mapping[str, str], file: WeightFile) -> bool:
    option, value = file.when
    return options[option] == value
