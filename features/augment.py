"""Augmentation: distorted versions of a picture, for training parts only.

AugmentIQ's way: each training picture joined by some versions of itself under types drawn from the
bank, at levels 0 to 3, with its own score. The types of a picture are a seeded order of the whole
bank, so that more versions only add to fewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.distortions import DISTORTIONS, distort
from features.errors import UsageError
from features.files import digest

LEVELS = (0, 1, 2, 3)
VERSION = 2  # raised when a draw or a distortion gives other pixels


@dataclass(frozen=True)
class Change:
    """One distortion of one picture: type, level, and the seed of all that it draws."""

    original: str
    distortion: str
    level: int
    seed: int

    @property
    def name(self) -> str:
        """The row's name: it begins with the picture's own."""
        return f"{self.original}@{self.distortion}-{self.level}"

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return the distorted (height, width, 3) uint8 picture."""
        return distort(picture, self.distortion, self.level, np.random.default_rng(self.seed))


def changes(original: str, n: int, seed: int = 0) -> list[Change]:
    """Return the first `n` changes of a picture: a function of its name and the seed alone.

    Raises
    ------
    UsageError
        When there are fewer types than that.
    """
    if not 0 < n <= len(DISTORTIONS):
        raise UsageError(f"--augment {n}: expected 1 to {len(DISTORTIONS)}, one for each type")
    rng = np.random.default_rng(int(digest([seed, original])[:16], 16))
    types = rng.permutation(sorted(DISTORTIONS))
    levels = rng.choice(LEVELS, len(types))
    seeds = rng.integers(2**63, size=len(types))
    drawn = zip(types[:n], levels, seeds, strict=False)
    return [Change(original, str(kind), int(level), int(s)) for kind, level, s in drawn]


def settings_of_augmented(settings: dict, seed: int) -> dict:
    """Return the settings, for the cache key, of versions of the pictures with these settings."""
    bank = {"levels": list(LEVELS), "types": sorted(DISTORTIONS), "version": VERSION}
    return settings | {"augment": bank | {"seed": seed}}


def augmented(pictures: Sequence, n: int, seed: int = 0) -> list:
    """Return `n` plan entries for each entry of a plan (`features.engine.Picture`)."""
    return [
        replace(picture, name=change.name, change=change)
        for picture in pictures
        for change in changes(picture.name, n, seed)
    ]
