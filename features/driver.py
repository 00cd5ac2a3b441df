"""The loop that hands blocks to workers, and what is done when a worker dies.

A pool holds the workers: this process, several processes, or a cluster. The loop gives each a
block, and beside it the one to decode ahead; answers come in any order. A worker may die: of a
decoder's fault, for want of memory, with its machine. No death loses a block, and one that was by
chance moves no bit: the same blocks are embedded again, whole.
"""

import collections
import itertools
import sys
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from features.errors import InputError
from features.mending import Died, Mending, begin
from features.plan import Block

# Blocks that lie at a worker, so that it never waits for us while we write a shard; beside them one
# more is set apart for it, which it may decode ahead. Those that wait are names, not pixels.
AT_WORKER = 2
# A worker that dies so often, one time after another, with no block to blame, will not live.
STARTS = 3
# So many pictures in a row that kill their workers are no longer the pictures' fault.
KILLERS = 24


class Pool(Protocol):
    """Workers that embed blocks; each answers in the order in which its blocks were given."""

    def workers(self) -> Collection[Hashable]:
        """Return those that take blocks; they may change with every wait."""

    def coming(self) -> bool:
        """Tell whether there may be others later."""

    def submit(self, worker: Hashable, block: Block, ahead: Block | None) -> None:
        """Give a worker a block, and tell which one it will get next. It never waits or raises."""

    def wait(self) -> list[tuple[Hashable, object]]:
        """Wait a while for answers: each is a `Done`, `Died`, or the exception that was raised.

        After `Died` nothing else comes from what that worker had been given.
        """

    def restart(self, worker: Hashable) -> None:
        """Put a fresh worker in the place of a dead one, where that is possible."""

    def close(self) -> None:
        """End all workers, whatever they do."""


@dataclass
class _Hand:
    """What a worker has: blocks given to it, the one set apart for it, or a block under trial."""

    given: collections.deque = field(default_factory=collections.deque)
    apart: Block | None = None
    trial: tuple[Mending, Block] | None = None

    @property
    def empty(self) -> bool:
        """Whether it has nothing at all."""
        return not self.given and self.apart is None and self.trial is None


def run(blocks: Iterable[Block], pool: Pool) -> Iterator:
    """Yield the `Done` of every block, in whatever order they come.

    `blocks` is consumed as workers get free. At the end the pool can be used again; when an
    exception ends this, or the caller does, it is closed.

    Raises
    ------
    InputError
        When workers cannot start or none is left; or what a worker raised.
    """
    try:
        yield from _Driver(iter(blocks), pool).run()
    except BaseException:
        pool.close()
        raise


class _Driver:
    def __init__(self, plan: Iterator[Block], pool: Pool) -> None:
        self.plan, self.pool = plan, pool
        self.waiting: collections.deque[Block] = collections.deque()  # next in turn
        self.trials: collections.deque[tuple[Mending, Block]] = collections.deque()
        self.hands: dict[Hashable, _Hand] = collections.defaultdict(_Hand)
        self.fruitless = collections.Counter()  # deaths of each worker since its last good answer
        self.killers = 0  # pictures in a row that killed

    def run(self) -> Iterator:
        """Yield what is done, until the plan is."""
        while True:
            self._look_ahead()
            self._hand_out()
            if not self.waiting and not self.trials and all(h.empty for h in self.hands.values()):
                return
            if not self.pool.workers() and not self.pool.coming():
                raise InputError(
                    f"no worker is left, and {self._left()} blocks are not done: what is written "
                    "stays; give the same command again to go on"
                )
            for worker, answer in self.pool.wait():
                if isinstance(answer, BaseException):
                    raise answer
                if isinstance(answer, Died):
                    yield from self._died(worker, answer)
                else:
                    yield from self._answered(worker, answer)

    def _look_ahead(self) -> None:
        """Take as much of the plan as workers could need at once."""
        lacking = (AT_WORKER + 1) * max(1, len(self.pool.workers())) - len(self.waiting)
        self.waiting.extend(itertools.islice(self.plan, max(0, lacking)))

    def _hand_out(self) -> None:
        """Give every worker its first block before any gets its second: short plans are shared."""
        for depth in range(1, AT_WORKER + 1):
            for worker in self.pool.workers():
                hand = self.hands[worker]
                if hand.empty and self.trials:
                    hand.trial = self.trials.popleft()
                    self.pool.submit(worker, hand.trial[1], None)
                elif hand.trial is None and len(hand.given) < depth:
                    self._give(worker, hand)

    def _give(self, worker: Hashable, hand: _Hand) -> None:
        block, hand.apart = hand.apart, None
        if block is None:
            if not self.waiting:
                return
            block = self.waiting.popleft()
        hand.given.append(block)
        # near the end of a plan nothing is set apart that a worker without a block could take
        free = sum(self.hands[other].empty for other in self.pool.workers())
        if len(self.waiting) > free:
            hand.apart = self.waiting.popleft()
        self.pool.submit(worker, block, hand.apart)

    def _answered(self, worker: Hashable, done: object) -> Iterator:
        hand = self.hands[worker]
        self.fruitless[worker] = 0
        if hand.trial is None:
            hand.given.popleft()
            self.killers = 0
            yield done
        else:
            trial, hand.trial = hand.trial, None
            yield from self._try_on(trial[0], done)

    def _died(self, worker: Hashable, death: Died) -> Iterator:
        hand = self.hands.pop(worker, _Hand())  # it may have had none yet
        if death.started and (hand.trial or hand.given):
            self.fruitless[worker] = 0
        else:
            self.fruitless[worker] += 1
            if self.fruitless[worker] >= STARTS:
                raise InputError(
                    f"a worker died {STARTS} times before it could embed anything "
                    f"({death.reason}): see what it wrote above; often memory is short, or a "
                    "library is broken. What is written stays"
                )
        print(f"a worker died ({death.reason}): what it had is tried again", file=sys.stderr)
        blocks = [*hand.given, *([hand.apart] if hand.apart else [])]
        if hand.trial and not death.started:
            self.trials.appendleft(hand.trial)
        elif hand.trial:
            yield from self._try_on(hand.trial[0], death)
        elif death.started:
            # the first was embedded, the second decoded; the third had not been looked at
            self.trials.extend(begin(block) for block in blocks[:2])
            blocks = blocks[2:]
        self.waiting.extendleft(reversed(blocks))
        self.pool.restart(worker)

    def _try_on(self, mending: Mending, answer: object) -> Iterator:
        """Go on with a block that was there when a worker died."""
        try:
            block = mending.send(answer)
        except StopIteration as end:
            done, tried, killed = end.value
            self.killers = self.killers + killed if killed and killed == tried else 0
            yield done
            if self.killers >= KILLERS:
                raise InputError(
                    f"{self.killers} pictures in a row killed the process that read them: this is "
                    "hardly the pictures' fault; see what it wrote above. What is written stays; "
                    "give the same command again to go on"
                ) from None
        else:
            # a mending goes on before others are begun: its worker is fresh
            self.trials.appendleft((mending, block))

    def _left(self) -> int:
        hands = sum(len(h.given) + (h.apart is not None) for h in self.hands.values())
        trials = len(self.trials) + sum(hand.trial is not None for hand in self.hands.values())
        return hands + trials + len(self.waiting) + sum(1 for _ in self.plan)
