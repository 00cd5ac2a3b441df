"""What is done with a block that was there when a worker died.

It is tried again on a worker of its own, nothing decoded ahead: most deaths are by chance, and
then nothing has changed. If it kills again, so may one of its pictures: each is tried alone, and
who kills twice then is refused. The others are embedded in one piece after all, as they would be
had that picture failed politely.
"""

import collections
from collections.abc import Generator
from dataclasses import dataclass, replace

from features.errors import InputError
from features.plan import Block


@dataclass(frozen=True)
class Died:
    """The answer of a worker that gives none.

    Attributes
    ----------
    reason : what it died of, such as `signal 11`
    started : whether it was ready for blocks; else no block is to blame
    """

    reason: str
    started: bool = True


# yields what to try next on a worker of its own, is sent what came of it, returns the block's Done
Mending = Generator[Block, object, object]


def begin(block: Block) -> tuple[Mending, Block]:
    """Return the mending of a block, and what is to be tried first."""
    mending = _mend(block)
    return mending, next(mending)


def _mend(block: Block) -> Mending:
    """Try a block again whose worker died; find the picture that kills, should it die again.

    Returns the `Done`, how many pictures were tried alone, and how many of them killed.
    """
    answer = yield block
    if not isinstance(answer, Died):
        return answer, 0, 0
    refused, alone = dict(block.refused), []
    suspects = [picture for picture in block.pictures if _read(block, picture.name)]
    for picture in suspects:
        answer = yield from _twice(replace(block, pictures=(picture,)))
        if isinstance(answer, Died):
            refused[picture.name] = f"the process that read it died ({answer.reason}), twice"
        else:
            alone.append(answer)
    counts = len(suspects), len(suspects) - len(alone)
    # in one piece, so that the others meet in the batches in which they always do
    answer = yield from _twice(replace(block, refused=refused))
    if not isinstance(answer, Died):
        return answer, *counts
    others = tuple(p for p in block.pictures if p not in suspects or p.name in refused)
    if others:
        answer = yield replace(block, pictures=others, refused=refused)
        if isinstance(answer, Died):
            raise InputError(
                f"a worker died ({answer.reason}) on pictures that it did not open, such as "
                f"{others[0].name}: see what it wrote above. What is written stays"
            )
        alone.append(answer)
    return _joined(block, alone), *counts


def _twice(block: Block) -> Mending:
    """Return the answer to a block; where that is a death, which may be by chance, the second."""
    answer = yield block
    return (yield block) if isinstance(answer, Died) else answer


def _read(block: Block, name: str) -> bool:
    """Tell whether a block opens a picture."""
    wanted = block.lacking is None or any(name in names for names in block.lacking.values())
    return wanted and name not in block.refused


def _joined(block: Block, parts: list) -> object:
    """Make one `Done` of those of its pictures; rows in the order of the block."""
    order = {picture.name: index for index, picture in enumerate(block.pictures)}
    rows, seconds = collections.defaultdict(list), collections.Counter()
    for part in parts:
        for encoder, more in part.rows.items():
            rows[encoder] += more
        seconds.update(part.seconds)
    ordered = {name: sorted(more, key=lambda row: order[row.name]) for name, more in rows.items()}
    return replace(
        parts[0],
        rows=ordered,
        seconds=dict(seconds),
        pixels=sum(part.pixels for part in parts),
        files=sum(part.files for part in parts),
    )
