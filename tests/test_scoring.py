"""Blocks to scores: in whatever order they are done, in the order of the plan on stdout."""

import numpy as np
import pytest

from features.cache.shards import Row
from features.engine import Done
from features.plan import Block, Picture, blocks
from features.sources import FileFacts
from pipeline.scoring import Scorer


def embedded(block):
    """Each picture's number is its name's; the multiples of seven fail."""
    rows = [
        Row(p.name, FileFacts(1, 2), np.float32([p.name]) if int(p.name) % 7 else "unreadable")
        for p in block.pictures
    ]
    return Done({"one": rows, "two": rows}, {"compute": 1.0}, 10, len(rows))


def scorer(order, flags=True):
    """A scorer that embeds three blocks at once and is done with them in some order."""

    def embed(plan):
        plan = iter(plan)
        while some := [block for _, block in zip(range(3), plan, strict=False)]:
            yield from (embedded(some[k]) for k in order if k < len(some))

    def judge(X):
        return [(x, x - 1, x + 1, False if flags else None) for x in X.sum(axis=1).tolist()]

    return Scorer(("one", "two"), embed, judge, {}, {}, flags=flags)


PICTURES = [Picture(f"{i:03d}", None) for i in range(100, 170)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_stdout_has_the_order_of_names(order):
    """Whichever worker is first; and no score is lost, or another picture's."""
    found = [
        one for done in scorer(order).in_turn(map(Block, blocks(PICTURES))) for one in done.scores
    ]
    assert [one.picture for one in found] == [one.name for one in PICTURES]
    for one in found:
        number = int(one.picture)
        if number % 7:
            assert (one.score, one.low, one.status) == (2 * number, 2 * number - 1, "ok")
        else:
            assert np.isnan(one.score) and one.status == "unreadable"


def test_order_is_kept_without_waiting_for_all():
    """What is next in turn is given at once."""
    seen = []

    def plan():
        for some in blocks(PICTURES):
            seen.append(some)
            yield Block(some)

    next(scorer((0, 1, 2)).in_turn(plan()))
    assert len(seen) == 3


@pytest.mark.parametrize(("flags", "outside"), [(True, False), (False, None)])
def test_a_block_without_any_embedding(flags, outside):
    """The judge is not asked."""
    (done,) = scorer((0,), flags).score([Block((Picture("7", None), Picture("14", None)))])
    assert [(one.status, one.outside) for one in done.scores] == [("unreadable", outside)] * 2
    assert (done.pixels, done.files) == (10, 2)
