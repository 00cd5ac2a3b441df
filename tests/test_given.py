"""Splits that are given, by name and by number; what a padding of -1 would do, and does not."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from test_fitting import data

from features.errors import InputError
from pipeline.fitting import fit_run, fit_runs
from pipeline.given import read_splits
from pipeline.results import result_table
from pipeline.settings import How, Where

N = 60


def cached(**changes):
    """The usual table, whose label file has the pictures in another order than their names."""
    table = data(N).database.table
    table = table.assign(image="pictures/" + table["name"], row=(7 * np.arange(N) + 3) % N)
    return dataclasses.replace(data(N).database, table=table, **changes)


def by_row(rows, database) -> set[str]:
    """The pictures of some rows of the label file."""
    return set(database.table["name"][database.table["row"].isin(rows)])


def test_a_runs_own_splits_give_its_numbers_again(tmp_path):
    """splits.csv of a run, given back, is the same folds with the same predictions."""
    folder, result = fit_run(data(), "nss", tmp_path / "a", How(trials=4, folds=3))
    given = read_splits(folder / "splits.csv", cached())
    assert given.warnings == ()
    assert [fold.name for fold in given.folds] == ["fold-0", "fold-1", "fold-2", "final"]
    how = How(trials=4, folds=3, protocol="given")
    [(_, again)] = fit_runs([data()], "nss", tmp_path / "b", how, Where(), given.folds)
    assert [f["srcc"] for f in again["folds"]] == [f["srcc"] for f in result["folds"]]
    assert again["protocol"] == "given" and "3 splits that were given" in result_table([again])
    other = given.folds[:1] + given.folds[-1:]
    how = dataclasses.replace(how, folds=1)
    [(elsewhere, _)] = fit_runs([data()], "nss", tmp_path / "b", how, Where(), other)
    assert elsewhere.name != folder.name


def test_names_may_be_paths_or_last_names(tmp_path):
    """Names, paths on this disk, and last names of their own; val tunes; others are in no part."""
    table = cached().table.copy()
    table["name"] = "x/" + table["name"]
    database = dataclasses.replace(cached(), table=table)
    lines = ["name,official", "p000.png,Training", "x/p001.png,train", "pictures/p002.png,val"]
    lines += ["p003.png,TEST", "p004.png,", "gone.png,train"]
    path = tmp_path / "s.csv"
    path.write_text("\n".join(lines))
    given = read_splits(path, database)
    fold, final = given.folds
    assert fold.train == {"x/p000.png", "x/p001.png", "x/p002.png"}
    assert fold.test == {"x/p003.png"}
    assert fold.inner == ((frozenset({"x/p000.png", "x/p001.png"}), frozenset({"x/p002.png"})),)
    assert len(final.train) == N
    assert given.warnings == (
        "s.csv: 1 names are no pictures of own on this disk, the first is gone.png",
    )


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_numbers_are_rows_of_the_label_file_and_padding_is_dropped(tmp_path, kind):
    """Two splits of unequal length, padded with -1 as published; -1 is not the last picture."""
    arrays = {
        "train": np.array([[0, 1, 2, 3, 4], [5, 6, 7, -1, -1]]),
        "val": np.array([[10, 11], [12, -1]]),
        "test": np.array([[20, 21, -1], [22, 23, 24]]),
    }
    path = tmp_path / ("s.npz" if kind == "npz" else "s")
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        path.mkdir()
        for part, array in arrays.items():
            np.save(path / f"{part}.npy", array)
    database = cached()
    given = read_splits(path, database)
    assert given.warnings == (f"{path.name}: it names 16 of 60 rows: is it the split of own?",)
    one, two, _ = given.folds
    assert one.test == by_row([20, 21], database) and two.test == by_row([22, 23, 24], database)
    assert one.train == by_row([0, 1, 2, 3, 4, 10, 11], database)
    assert two.inner == (
        (frozenset(by_row([5, 6, 7], database)), frozenset(by_row([12], database))),
    )
    last = database.table["name"][database.table["row"] == N - 1].iloc[0]
    assert not any(last in fold.train | fold.test for fold in (one, two))


def test_train_that_meets_test_is_said_and_marked(tmp_path):
    """Row 5 stands in both parts: a warning, and a mark on the numbers."""
    path = tmp_path / "s.npz"
    np.savez(path, train=np.arange(40), test=np.r_[5, 40:60])
    database = cached()
    given = read_splits(path, database)
    name = database.table["name"][database.table["row"] == 5].iloc[0]
    assert given.warnings == (
        f"s.npz: split-0: 1 pictures are in train and in test, the first is {name}",
    )
    how = How(trials=3, folds=1, protocol="given")
    [(folder, result)] = fit_runs([data()], "nss", tmp_path, how, Where(), given.folds)
    assert "LEAK" in result_table([result])
    assert result["groups_on_both_sides"] > 0
    # written as it is, and read back so
    written = pd.read_csv(folder / "splits.csv", keep_default_na=False).set_index("name")
    assert written["split-0"][name] == "train+test"
    again = read_splits(folder / "splits.csv", database)
    assert again.folds[0].train == given.folds[0].train
    assert again.folds[0].test == given.folds[0].test


def test_rows_that_are_not_on_this_disk_are_counted(tmp_path):
    """A missing picture keeps its row number, so that the others keep theirs."""
    whole = cached()
    table = whole.table[whole.table["row"] != 2]
    database = dataclasses.replace(whole, table=table, missing=["gone.png"])
    path = tmp_path / "s.npz"
    np.savez(path, train=np.arange(40), test=np.arange(40, 60))
    given = read_splits(path, database)
    assert given.warnings == ("s.npz: split-0: 1 pictures are not on this disk",)
    assert given.folds[0].train == by_row(range(40), database)


NO_TEST = "name,a\n" + "".join(f"p{i:03d}.png,train\n" for i in range(60))


def saved(**arrays):
    """Write arrays."""
    return lambda path: np.savez(path, **arrays)


def text(content):
    """Write text."""
    return lambda path: path.write_text(content)


BAD = {
    "no names": ("s.csv", text("image,a\nx,train\n"), "expected the columns name"),
    "no splits": ("s.csv", text("name,group\np000.png,a\n"), "a column for each"),
    "strangers": ("s.csv", text("name,a\nx,train\ny,test\n"), "none of its 2"),
    "words": ("s.csv", text("name,a\np000.png,yes\n"), "expected train.*'yes'"),
    "no test": ("s.csv", text(NO_TEST), "no picture.*its test"),
    "absent": ("s.csv", lambda path: None, "there is no file"),
    "page": ("s.csv", text("<html>"), "web page"),
    "too far": ("s.npz", saved(train=[0], test=[60]), "row 60.*rows 0 to 59"),
    "negative": ("s.npz", saved(train=[-2], test=[6]), "row -2"),
    "one part": ("s.npz", saved(train=[0]), "expected arrays train and test"),
    "floats": ("s.npz", saved(train=[0.5], test=[1]), "row numbers"),
    "text": ("s.npz", saved(train=["a"], test=[1]), "row numbers"),
    "uneven": ("s.npz", saved(train=[[0], [1]], test=[2]), "different numbers"),
    "pickle": ("s.npz", saved(train=np.array([{}], object), test=[1]), "cannot be read as NumPy"),
    "no archive": ("s.npz", text("x"), "cannot be read as NumPy arrays"),
    "no zip": (
        "s.npz",
        lambda path: path.write_bytes(b"PK\x03\x04half"),
        "cannot be read as NumPy",
    ),
    "no split": ("s.npz", saved(train=np.empty((0, 3)), test=np.empty((0, 3))), "holds no split"),
    "one part twice": ("s.npz", saved(train=[0], training=[1], test=[2]), "train, training"),
    "final": ("s.csv", text("name,final\np000.png,train\n"), "'final' cannot name a split"),
    "path": ("s.csv", text("name,../../x\np000.png,train\n"), "'../../x' cannot name a split"),
    "tiny": ("s.csv", text("name,a\np000.png,train\np001.png,test\n"), "a: its training part"),
    "empty folder": ("s", lambda path: path.mkdir(), "expected arrays train and test.*none"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_splits_are_one_line(tmp_path, case):
    """What was expected, what came."""
    name, write, message = BAD[case]
    write(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_splits(tmp_path / name, cached())


def test_what_makes_one_doubt_is_said(tmp_path):
    """Validation pictures that train; numbers of a smaller database."""
    path = tmp_path / "s.npz"
    np.savez(path, train=np.arange(40), val=[3, *range(40, 51)], test=np.arange(51, 60))
    (line,) = read_splits(path, cached()).warnings
    assert "1 pictures are in train and in val" in line
    np.savez(path, train=np.arange(30), test=np.arange(30, 45))
    (line,) = read_splits(path, cached()).warnings
    assert line == "s.npz: it names 45 of 60 rows: is it the split of own?"


def test_an_old_table_without_rows_is_said(tmp_path):
    """Row numbers came with a later version of the table."""
    np.savez(tmp_path / "s.npz", train=[0], test=[1])
    database = dataclasses.replace(cached(), table=pd.DataFrame(cached().table).drop(columns="row"))
    with pytest.raises(InputError, match="extract again"):
        read_splits(tmp_path / "s.npz", database)
