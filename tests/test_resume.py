"""What a run still has to do: in columns, and the same as row by row."""

import os
import random

import numpy as np
import pytest
from conftest import write_pictures

from features.cache.folder import CacheFolder, ShardWriter
from features.cache.held import Held, digest_of
from features.cache.settings import STORED
from features.cache.shards import OK, Row, rows_of
from features.files import file_sha256
from features.plan import Picture
from features.resume import facts_of, pending, positions, summary
from features.sources import FileFacts

ONES = np.ones(3, np.float32)


@pytest.fixture
def plan(tmp_path):
    """Twelve tiny pictures."""
    names = write_pictures(tmp_path / "pictures", 12)
    return [Picture(name, tmp_path / "pictures" / name) for name in names]


def row_of(picture, result=ONES, **notes) -> Row:
    """The row that an extraction would have made of a picture as it is now."""
    state = picture.path.stat()
    facts = FileFacts(state.st_size, state.st_mtime_ns, file_sha256(picture.path))
    return Row(picture.name, facts, result, notes)


def held_of(plan, rows) -> Held:
    """The columns of some rows."""
    held = Held(positions(plan))
    held.add(rows)
    return held


def ask(plan, held, **options) -> set[str]:
    """What is pending of a plan."""
    return pending(plan, held, facts_of(plan), **options)


def test_what_is_there_is_left_alone(plan):
    """Nothing, everything, and all but one."""
    names = {picture.name for picture in plan}
    assert ask(plan, held_of(plan, [])) == names
    assert ask(plan, held_of(plan, map(row_of, plan))) == set()
    assert ask(plan, held_of(plan, map(row_of, plan[1:]))) == {plan[0].name}


CHANGES = {
    # how a file changes: what is done to it, whether its embedding is of other bytes
    "nothing": (lambda path: None, False),
    "touched": (lambda path: os.utime(path, ns=(1, 1)), False),
    "rewritten, same size": (lambda path: path.write_bytes(path.read_bytes()[::-1]), True),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x"), True),
    "gone": (lambda path: path.unlink(), False),
    "emptied": (lambda path: path.write_bytes(b""), True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_files(plan, change):
    """Other bytes are embedded again; a new time alone, or a file out of reach, is no reason."""
    held = held_of(plan, map(row_of, plan))
    act, again = CHANGES[change]
    act(plan[5].path)
    assert ask(plan, held) == ({plan[5].name} if again else set())


FAILURES = {
    # the reason, options -> whether it is tried again
    "retry": ("cannot be decoded", {"retry": True}, True),
    "no retry": ("cannot be decoded", {}, False),
    "same limit": ("9x9 is 1 megapixels, over the limit of 200", {}, False),
    "another limit": ("9x9 is 1 megapixels, over the limit of 200", {"max_megapixels": 300}, True),
    "can be opened now": ("cannot be opened: Permission denied", {}, True),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures(plan, case):
    """A failed row is left, but where its cause has gone."""
    reason, options, again = FAILURES[case]
    held = held_of(plan, [row_of(plan[0], reason), *map(row_of, plan[1:])])
    assert ask(plan, held, **options) == ({plan[0].name} if again else set())


def test_prompts(plan):
    """Another text is another embedding, where the encoder takes one."""
    told = [Picture(picture.name, picture.path, f"a text {picture.name}") for picture in plan]
    held = held_of(told, [row_of(picture, prompt=picture.prompt) for picture in told])
    assert ask(told, held, prompted=True) == set()
    assert ask(plan, held, prompted=True) == {picture.name for picture in plan}
    assert ask(plan, held) == {picture.name for picture in plan}  # made with a text, no text now
    other = [*told[:-1], Picture(told[-1].name, told[-1].path, "another")]
    assert ask(other, held, prompted=True) == {told[-1].name}
    bare = held_of(told, map(row_of, told))
    assert ask(told, bare) == set()  # an encoder without texts does not look at them
    assert digest_of("") == 0 != digest_of("a")


def test_a_name_twice(plan):
    """Two entries of one name are one picture of the cache."""
    held = held_of([*plan, plan[0]], map(row_of, plan))
    assert ask([*plan, plan[0]], held) == set()


def test_columns_are_the_rows(tmp_path):
    """Rows through shards, replaced and failed in any order, end as the last of each name."""
    rng = random.Random(0)
    settings = {"encoder": "nss", "n_dims": 3, "stored": STORED[0]}
    folder = CacheFolder.create(tmp_path, "db", settings)
    writer = ShardWriter(folder, {}, shard_rows=7)
    names = [f"p{index}" for index in range(30)]
    last = {}
    for index in range(200):
        result = rng.choice([ONES, f"reason {index}"])
        facts = FileFacts(index, 10**18 + index, f"{index:064x}")
        notes = {"prompt": f"text {index}"} if rng.random() < 0.5 else {}
        row = Row(rng.choice(names), facts, result, notes)
        last[row.name] = row
        writer.add([row])
    writer.close()
    index = {name: place for place, name in enumerate(names[:20])}  # the others are not asked for
    held = folder.recover(index)
    kept = {name: row for name, row in last.items() if name in index}
    assert len(held) == len(kept)
    for name, place in index.items():
        assert (name in held) == (name in kept)
        if name in kept:
            row = kept[name]
            assert held.reasons.get(place, OK) == row.status
            assert (held.size[place], held.mtime_ns[place]) == (row.facts.size, row.facts.mtime_ns)
            assert held.sha256[place].decode() == row.facts.sha256
            assert held.prompt[place] == digest_of(row.notes.get("prompt", ""))
    again = Held(index)
    empty = np.empty((0, 0), np.float32)
    for columns in folder.columns():
        vectors = np.zeros((len(columns.names), 3), np.float32)
        again.add(rows_of(columns, vectors if len(columns.names) else empty))
    for name in ("state", "size", "mtime_ns", "sha256", "prompt", "reasons"):
        np.testing.assert_array_equal(getattr(again, name), getattr(held, name))


def test_summary(plan, tmp_path):
    """How many there are, what failed, and which files are the same as an earlier one."""
    for copy in (3, 7, 8):
        plan[copy].path.write_bytes(plan[1].path.read_bytes())
    rows = [row_of(picture) for picture in plan[:-1]]
    rows[8] = row_of(plan[8], "failed, and no twin")
    shuffled = plan[::-1]
    found = summary(shuffled, held_of(shuffled, rows))
    assert found.n_cached == 11
    assert found.failures == {plan[8].name: "failed, and no twin"}
    assert found.same_bytes == {plan[3].name: plan[1].name, plan[7].name: plan[1].name}
    assert summary(plan, held_of(plan, rows), twins=False).same_bytes == {}
    assert summary(plan, held_of(plan, [])).n_cached == 0
