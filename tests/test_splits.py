"""Folds by picture name: nested, group-disjoint, and independent of order and of features."""

import io

import numpy as np
import pandas as pd
import pytest

from pipeline.splits import as_table, draw_folds, rows_of

NAMES = [f"dir/p{index:03d}.png" for index in range(90)]


@pytest.fixture(scope="module")
def table():
    """Ninety pictures of ten uneven groups."""
    rng = np.random.default_rng(0)
    groups = [f"ref{number}" for number in np.sort(rng.integers(0, 13, 90) ** 2 // 12)]
    return pd.DataFrame({"name": NAMES, "mos": rng.normal(size=90), "group": groups})


@pytest.fixture(scope="module")
def folds(table):
    """The folds of that table."""
    return draw_folds(table)


def groups_of(table: pd.DataFrame, names: frozenset[str]) -> set[str]:
    """The groups of some pictures."""
    return set(table.set_index("name").loc[sorted(names), "group"])


def test_ten_folds_and_final(folds):
    """There are ten folds of seeds 0 to 9, and a last one whose training part is everything."""
    assert [fold.name for fold in folds] == [*(f"fold-{seed}" for seed in range(10)), "final"]
    assert [fold.seed for fold in folds[:10]] == list(range(10))
    assert folds[-1].train == frozenset(NAMES)
    assert folds[-1].test == frozenset()
    assert len({fold.test for fold in folds}) == 11


def test_outer_folds_are_disjoint(table, folds):
    """Each fold holds every picture once and no group on both sides."""
    for fold in folds:
        assert fold.train | fold.test == set(NAMES)
        assert not fold.train & fold.test
        assert not groups_of(table, fold.train) & groups_of(table, fold.test)


def test_inner_folds_are_nested(table, folds):
    """Inner folds lie within the training part, use it once, and share no group."""
    for fold in folds:
        assert len(fold.inner) == 5
        valid = [name for _, part in fold.inner for name in part]
        assert sorted(valid) == sorted(fold.train)
        for train, part in fold.inner:
            assert train | part == fold.train
            assert not train & part
            assert not groups_of(table, train) & groups_of(table, part)


def test_order_of_rows_changes_nothing(table, folds):
    """A shuffled table with another index gives the same folds."""
    for seed in range(3):
        mixed = table.sample(frac=1, random_state=seed)
        assert draw_folds(mixed) == folds
        assert draw_folds(mixed.reset_index(drop=True)) == folds


def test_scores_change_nothing(table, folds):
    """The folds depend on names and groups alone."""
    assert draw_folds(table[["group", "name"]]) == folds
    assert draw_folds(table.assign(mos=0)) == folds


def test_picture_without_embedding_only_leaves(folds):
    """Without some embeddings each fold's rows are those of before minus these pictures."""
    missing = {NAMES[3], NAMES[50], NAMES[89]}
    left = [name for name in NAMES if name not in missing]
    for fold in folds:
        parts = [fold.train, fold.test, *(part for pair in fold.inner for part in pair)]
        for part in parts:
            kept = [left[row] for row in rows_of(left, part)]
            assert kept == [NAMES[row] for row in rows_of(NAMES, part) if NAMES[row] in left]
            assert set(kept) == part - missing


def test_rows_follow_the_order_of_names():
    """Rows come in the order of the names asked, and none chosen gives usable empty indices."""
    assert rows_of(["c", "a", "b"], frozenset("bc")).tolist() == [0, 2]
    nothing = rows_of(["c", "a"], frozenset("x"))
    assert nothing.dtype.kind == "i"
    assert np.arange(2)[nothing].size == 0


def test_table_round_trip(table, folds):
    """The written splits give every fold back by name, with the group beside it."""
    mixed = table.sample(frac=1, random_state=0)
    text = as_table(mixed, folds).to_csv(index=False)
    back = pd.read_csv(io.StringIO(text))
    assert list(back.columns) == ["name", "group", *(f"fold-{seed}" for seed in range(10))]
    assert list(back["name"]) == sorted(NAMES)
    assert dict(zip(back["name"], back["group"], strict=True)) == dict(
        zip(table["name"], table["group"], strict=True)
    )
    for fold in folds[:10]:
        assert frozenset(back["name"][back[fold.name] == "test"]) == fold.test
        assert frozenset(back["name"][back[fold.name] == "train"]) == fold.train
