"""The loop over blocks, with a pool whose workers die when they are told to."""

import collections
from pathlib import Path

import fake_worker
import pytest
from fake_worker import plan, rows_of

from features import driver
from features.engine import Done
from features.errors import InputError
from features.mending import Died, begin
from features.plan import Block

DEATH = Died("signal 11, SIGSEGV")


class Scripted:
    """A pool in this process: workers answer in order; `fate` says of what a block dies.

    `fate(block, ahead)` returns None, a `Died`, or an exception.
    """

    def __init__(self, folder, n=1, fate=lambda block, ahead: None, lose=()):
        self.worker = fake_worker.Worker(fake_worker.Recipe(folder))
        self.given = {index: collections.deque() for index in range(n)}
        self.fate, self.lose = fate, set(lose)
        self.seen, self.restarts, self.closed = [], 0, False
        self.most = 0

    def workers(self):
        return list(self.given)

    def coming(self):
        return False

    def submit(self, worker, block, ahead):
        self.given[worker].append((block, ahead))
        hand = {p.name for one in self.given[worker] for b in one if b for p in b.pictures}
        self.most = max(self.most, len(hand))

    def wait(self):
        assert any(self.given.values()), "nothing to wait for: the loop would hang"
        worker = max(self.given, key=lambda index: len(self.given[index]))
        block, ahead = self.given[worker].popleft()
        self.seen.append((worker, block, ahead))
        fate = self.fate(block, ahead)
        if isinstance(fate, Died):
            self.given[worker].clear()
        return [(worker, fate or self.worker.embed(block, ahead))]

    def restart(self, worker):
        self.restarts += 1
        if worker in self.lose:
            del self.given[worker]

    def close(self):
        self.closed = True


def kills(*names, times=10**6, reads=lambda block, ahead: (block, ahead)):
    """A fate: who reads one of these pictures dies, so many times."""
    left = [times]

    def fate(block, ahead):
        read = {
            p.name for b in reads(block, ahead) if b for p in b.pictures if p.name not in b.refused
        }
        if read & set(names) and left[0]:
            left[0] -= 1
            return DEATH
        return None

    return fate


@pytest.fixture
def undisturbed(tmp_path):
    """What comes of a plan when nothing happens."""

    def undisturbed(blocks):
        worker = fake_worker.Worker(fake_worker.Recipe(tmp_path))
        return rows_of(worker.embed(block) for block in blocks)

    return undisturbed


@pytest.mark.parametrize("n_workers", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 8, 9, 100])
def test_every_block_once(tmp_path, undisturbed, n, n_workers):
    pool = Scripted(tmp_path, n_workers)
    assert rows_of(driver.run(plan(n), pool)) == undisturbed(plan(n))
    assert not pool.closed  # it can be used again
    assert rows_of(driver.run(plan(n), pool)) == undisturbed(plan(n))


def test_the_block_announced_is_the_next_one(tmp_path):
    """What a worker decodes ahead is what it gets."""
    pool = Scripted(tmp_path, 2)
    list(driver.run(plan(200), pool))
    for worker in (0, 1):
        mine = [(block, ahead) for index, block, ahead in pool.seen if index == worker]
        announced = [ahead for _, ahead in mine[:-1]]
        assert announced[:10] == [block for block, _ in mine[1:]][:10]
        assert all(a is None or a == b for a, (b, _) in zip(announced, mine[1:], strict=True))


def test_short_plans_are_shared(tmp_path):
    """Two blocks for two workers: each gets one."""
    pool = Scripted(tmp_path, 2)
    list(driver.run(plan(16), pool))
    assert {worker for worker, *_ in pool.seen} == {0, 1}


def test_the_plan_is_consumed_as_needed(tmp_path):
    """A plan may be longer than memory."""
    taken = []
    endless = (taken.append(1) or Block(plan(8)[0].pictures) for _ in iter(int, 1))
    pool = Scripted(tmp_path, 2)
    done = driver.run(endless, pool)
    for _ in range(10):
        next(done)
    assert len(taken) <= 10 + 2 * 2 * (driver.AT_WORKER + 1)
    done.close()
    assert pool.closed


@pytest.mark.parametrize("n_workers", [1, 3])
def test_a_death_by_chance_moves_nothing(tmp_path, undisturbed, n_workers):
    """Everything is embedded as without it, in the very same batches."""
    pool = Scripted(tmp_path, n_workers, kills("020", times=1))
    assert rows_of(driver.run(plan(100), pool)) == undisturbed(plan(100))
    assert pool.restarts == 1


@pytest.mark.parametrize("name", ["000", "020", "099"])
@pytest.mark.parametrize("n_workers", [1, 3])
def test_a_picture_that_kills(tmp_path, undisturbed, name, n_workers):
    """It becomes a row with the reason; the others are as if it had failed politely."""
    pool = Scripted(tmp_path, n_workers, kills(name))
    reason = "the process that read it died (signal 11, SIGSEGV), twice"
    polite = [
        Block(b.pictures, refused={name: reason} if name in {p.name for p in b.pictures} else {})
        for b in plan(100)
    ]
    assert rows_of(driver.run(plan(100), pool)) == undisturbed(polite)
    assert undisturbed(polite)[name] == reason


def test_two_in_one_block(tmp_path):
    """Both are found."""
    results = rows_of(driver.run(plan(24), Scripted(tmp_path, 1, kills("009", "012"))))
    assert {name for name, result in results.items() if isinstance(result, str)} == {"009", "012"}


def test_only_what_is_read_is_blamed(tmp_path):
    """A picture that no encoder lacks is not tried, and one refused before keeps its reason."""
    pictures = plan(8)[0].pictures
    block = Block(pictures, {"fake": frozenset({"001", "002", "003"})}, {"003": "seen before"})
    pool = Scripted(tmp_path, 1, kills("001"))
    list(driver.run([block], pool))
    tried = [b.pictures[0].name for _, b, _ in pool.seen if len(b.pictures) == 1]
    assert tried == ["001", "001", "002"]
    assert set(pool.seen[-1][1].refused) == {"001", "003"}


def test_a_block_that_is_too_much(tmp_path, undisturbed):
    """Each alone is fine, together they kill: then each alone it is, in the order of the block."""

    def fate(block, ahead):
        read = [p for p in block.pictures if p.name not in block.refused]
        return (
            Died("signal 9, SIGKILL") if len(read) > 1 and "010" in {p.name for p in read} else None
        )

    done = list(driver.run(plan(24), Scripted(tmp_path, 1, fate)))
    alone = undisturbed([Block((p,)) for p in plan(24)[1].pictures])
    assert rows_of(done) == undisturbed(plan(24)) | alone
    (joined,) = (one for one in done if "010" in {row.name for row in one.rows["fake"]})
    assert [row.name for row in joined.rows["fake"]] == [f"{i:03}" for i in range(8, 16)]
    assert (joined.pixels, joined.files, joined.seconds) == (80, 8, {"compute": 8.0})


def test_too_much_and_one_that_kills(tmp_path):
    """The refused ones come with those that were taken alone."""

    def fate(block, ahead):
        read = {p.name for p in block.pictures if p.name not in block.refused}
        return DEATH if read & {"010"} or (len(read) > 1 and read & {"011"}) else None

    results = rows_of(driver.run(plan(24), Scripted(tmp_path, 1, fate)))
    assert len(results) == 24
    assert [name for name, result in results.items() if isinstance(result, str)] == ["010"]


def test_a_death_by_chance_while_a_picture_is_tried_alone():
    """Only who kills twice alone is refused: the machine may kill whom it likes."""
    block = plan(8)[0]
    mending, tried = begin(block)
    died, done = Died("signal 9"), Done({}, {}, 0, 0)
    tried = mending.send(died)  # the block again
    assert [p.name for p in tried.pictures] == ["000"]
    assert mending.send(died) == tried
    for picture in block.pictures[1:]:
        assert mending.send(done).pictures == (picture,)
    assert mending.send(done) == block
    with pytest.raises(StopIteration) as end:
        mending.send(done)
    assert end.value.value == (done, 8, 0)


def test_the_third_in_hand_is_not_blamed(tmp_path):
    """A death costs the block in hand and the one decoded ahead a trial, and no other."""
    pool = Scripted(tmp_path, 1, kills("000", times=1))
    list(driver.run(plan(80), pool))
    alone = [block.pictures[0].name for _, block, ahead in pool.seen[1:3] if ahead is None]
    assert alone == ["000", "008"]
    assert all(ahead is not None for _, _, ahead in pool.seen[3:8])


def test_everything_kills(tmp_path):
    """That is no picture's fault, and no reason to try a million of them."""
    pool = Scripted(tmp_path, 2, lambda block, ahead: DEATH if len(block.refused) < 8 else None)
    rows = []
    with pytest.raises(InputError, match=r"24 pictures in a row killed .* give the same command"):
        for done in driver.run(plan(10_000), pool):
            rows += done.rows["fake"]
    assert len(rows) == 24
    assert pool.closed


def test_workers_that_cannot_start(tmp_path):
    """Three deaths before any block: one clear error."""
    pool = Scripted(tmp_path, 1, lambda block, ahead: Died("exit code 1", started=False))
    with pytest.raises(InputError, match=r"died 3 times before .* \(exit code 1\)"):
        list(driver.run(plan(100), pool))
    assert pool.restarts == driver.STARTS - 1


def test_a_start_that_fails_once_blames_no_block(tmp_path, undisturbed):
    """In the middle of a mending, too."""
    fates = iter([DEATH, Died("x", False), DEATH, Died("x", False), None])
    pool = Scripted(tmp_path, 1, lambda block, ahead: next(fates, None))
    assert rows_of(driver.run(plan(40), pool)) == undisturbed(plan(40))


@pytest.mark.parametrize("n", [24, 200])
def test_a_worker_that_does_not_come_back(tmp_path, undisturbed, n):
    """Its blocks go to the others."""
    pool = Scripted(tmp_path, 3, kills("012", times=1), lose={0, 1, 2})
    assert rows_of(driver.run(plan(n), pool)) == undisturbed(plan(n))
    assert len(pool.given) == 2


def test_no_worker_left(tmp_path):
    """What is not done is counted, over the whole plan."""
    pool = Scripted(tmp_path, 2, kills(*(f"{i:03}" for i in range(40, 800))), lose={0, 1})
    done = driver.run(iter(plan(800)), pool)
    blocks = []
    with pytest.raises(InputError, match="no worker is left, and .* blocks are not done") as error:
        blocks.extend(done)
    assert f"{100 - len(blocks)} blocks" in str(error.value)
    assert len(blocks) >= 3


def test_an_error_of_a_worker(tmp_path):
    """It is raised here, and the pool is closed."""

    def fate(block, ahead):
        return InputError("no such file") if block.pictures[0].name == "016" else None

    pool = Scripted(tmp_path, 1, fate)
    done = driver.run(plan(80), pool)
    assert len(rows_of([next(done), next(done)])) == 16
    with pytest.raises(InputError, match="no such file"):
        next(done)
    assert pool.closed


def test_ctrl_c(tmp_path):
    """What came before it is the caller's; the pool is closed."""
    pool = Scripted(tmp_path, 1, lambda block, ahead: KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        list(driver.run(plan(80), pool))
    assert pool.closed


def test_order_of_pictures_is_the_plans(tmp_path):
    """A block's rows come as the block has them, whatever happened."""
    for done in driver.run(plan(80), Scripted(tmp_path, 2, kills("033"))):
        names = [row.name for row in done.rows["fake"]]
        assert names == sorted(names)
    assert Path("000.png") == plan(8)[0].pictures[0].path
