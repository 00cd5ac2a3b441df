"""What is to be embedded: pictures, cut into blocks, in order of name.

A block is the unit of everything: its pictures are grouped by shape into batches, and it is written
whole or not at all. So the batches are a function of the plan alone, and a resumed run repeats them
to the bit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from features.augment import Change
from features.sources import Source

BLOCK_ROWS = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a plan, or a distorted version of one; a prompt where encoders take one.

    Attributes
    ----------
    path : a file, or another source of `features.sources`
    """

    name: str
    path: Source
    prompt: str = ""
    change: Change | None = None

    def notes(self, prompted: bool) -> dict[str, str]:
        """Return what its row says beyond the picture file."""
        notes = {"prompt": self.prompt} if prompted else {}
        if self.change:
            notes["original"] = self.change.original
            notes["distortion"] = self.change.distortion
            notes["level"] = str(self.change.level)
        return notes


@dataclass(frozen=True)
class Block:
    """A few pictures, and what is to be done with them.

    Attributes
    ----------
    lacking : encoder name -> the names that it still lacks; all of them where it is not given
    refused : picture name -> why it is not opened; its row has that reason
    """

    pictures: tuple[Picture, ...]
    lacking: Mapping[str, frozenset[str]] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)

    def wants(self, encoder: str, name: str) -> bool:
        """Tell whether an encoder lacks a picture."""
        return self.lacking is None or name in self.lacking.get(encoder, ())


def blocks(pictures: Sequence[Picture]) -> Iterator[tuple[Picture, ...]]:
    """Cut a plan into blocks, in order of name."""
    ordered = sorted(pictures, key=lambda picture: picture.name)
    for start in range(0, len(ordered), BLOCK_ROWS):
        yield tuple(ordered[start : start + BLOCK_ROWS])
