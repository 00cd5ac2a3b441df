"""Protocols: what each lets the test part say, and how it is marked."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from test_fitting import data

from pipeline.fitting import fit_run, fit_runs, n_trials
from pipeline.protocols import PROTOCOLS, official_fold
from pipeline.results import result_table
from pipeline.settings import How, Where
from pipeline.splits import draw_folds
from regressors.errors import DataError
from regressors.table import REGRESSORS


def with_split(values, n: int = 60):
    """The usual data, with a column `split`."""
    plain = data(n)
    table = plain.database.table.assign(split=values)
    return plain._replace(database=dataclasses.replace(plain.database, table=table))


SIDES = np.repeat(["train", "val", "test"], [36, 12, 12])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_makes_a_run(tmp_path, name):
    """Each gives predictions of every test row and a head; the optimistic ones are marked."""
    how = How(trials=4, protocol=name, folds=4)
    given = draw_folds(data().database.table, 4) if name == "given" else None
    [(folder, result)] = fit_runs([with_split(SIDES)], "nss", tmp_path, how, Where(), given)
    assert len(result["folds"]) == (1 if name == "official" else 4)
    predictions = pd.read_csv(folder / "predictions.csv")
    assert len(predictions) == sum(fold["n_test"] for fold in result["folds"])
    assert np.isfinite(predictions["prediction"]).all()
    assert (folder / "head.safetensors").is_file()
    table = result_table([result])
    optimistic = bool(PROTOCOLS[name].optimistic)
    assert ("OPTIMISTIC" in table) == optimistic
    assert (f"ridge {name}!" in table) == optimistic
    # what an unnamed run means is never an optimistic one
    assert (folder.parent / "latest").exists() != optimistic
    again = []
    where = Where(on_trial=again.append)
    assert fit_runs([with_split(SIDES)], "nss", tmp_path, how, where, given) == [(folder, result)]
    assert again == []


@pytest.mark.parametrize("name", PROTOCOLS)
def test_progress_knows_the_number_of_trials(tmp_path, name):
    """As many trials are told as were promised."""
    told = []
    how = How(trials=3, protocol=name, folds=3)
    given = draw_folds(data().database.table, 3) if name == "given" else None
    where = Where(on_trial=told.append)
    fit_runs([with_split(SIDES)], "nss", tmp_path, how, where, given)
    assert sum(told) == n_trials(how)


def test_official_tunes_on_the_validation_part_and_tests_once(tmp_path):
    """The test part is the database's; its scores choose nothing."""
    plain = with_split(SIDES)
    fold, final = official_fold(plain.database.table, 10)
    names = np.array(plain.names)
    assert fold.test == set(names[SIDES == "test"])
    assert fold.inner == ((frozenset(names[SIDES == "train"]), frozenset(names[SIDES == "val"])),)
    assert fold.train == set(names[SIDES != "test"])
    assert len(final.train) == 60 and not final.test
    _, result = fit_run(plain, "nss", tmp_path, How(trials=6, protocol="official"))
    turned = plain.y.copy()
    turned[SIDES == "test"] = turned[SIDES == "test"][::-1]
    table = plain.database.table.assign(mos=turned)
    other = plain._replace(y=turned, database=dataclasses.replace(plain.database, table=table))
    _, again = fit_run(other, "nss", tmp_path, How(trials=6, protocol="official"))
    assert result["folds"][0]["params"] == again["folds"][0]["params"]
    assert result["folds"][0]["srcc"] != again["folds"][0]["srcc"]
    assert result["n_groups"] == 4  # of the test part


def test_official_without_validation_part_tunes_on_inner_folds():
    """Five inner folds of the training part, grouped."""
    fold, _ = official_fold(
        with_split(np.repeat(["Training", "TEST"], [48, 12])).database.table, 10
    )
    assert len(fold.inner) == 5
    assert frozenset().union(*(valid for _, valid in fold.inner)) == fold.train


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("", "has no split"),
        ("tarin", r"60 have another, the first is p000.png \('tarin'\)"),
        (["train", ""] * 30, "in train, and in test or val"),
        ("train", "in train, and in test or val"),
    ],
)
def test_official_needs_a_split(values, message):
    """A database without one, or with other words, is one line."""
    with pytest.raises(DataError, match=message):
        official_fold(with_split(values).database.table, 10)


def test_pictures_in_no_part_leave_the_official_split(tmp_path):
    """They are in no part and in no count; only the final head takes them in."""
    values = SIDES.copy()
    values[:3] = ""
    folder, result = fit_run(
        with_split(values), "nss", tmp_path, How(trials=3, protocol="official")
    )
    assert result["folds"][0]["n_train"] == 45 and result["folds"][0]["n_test"] == 12
    splits = pd.read_csv(folder / "splits.csv", keep_default_na=False)
    assert splits["official"].tolist() == values.tolist()


def test_a_validation_part_is_the_test_part_where_there_is_no_other():
    """As of a challenge that keeps its test scores; the training part then has inner folds."""
    table = with_split(np.repeat(["train", "val"], [48, 12])).database.table
    fold, _ = official_fold(table, 10)
    assert fold.test == set(table["name"][48:]) and fold.train == set(table["name"][:48])
    assert len(fold.inner) == 5


def test_a_group_on_both_sides_of_the_official_split_is_said(tmp_path):
    """Twenty groups of three pictures, one of each in every part."""
    _, result = fit_run(
        with_split(["train", "val", "test"] * 20),
        "nss",
        tmp_path,
        How(trials=3, protocol="official"),
    )
    assert result["groups_on_both_sides"] == 20
    assert "LEAK: 20 groups" in result_table([result])
    _, result = fit_run(with_split(SIDES), "nss", tmp_path, How(trials=3, protocol="official"))
    assert result["groups_on_both_sides"] == 0
    splits = pd.read_csv(next(tmp_path.glob("**/latest/splits.csv")))
    assert splits["official"].tolist() == SIDES.tolist()


def test_kfold_tests_every_picture_once(tmp_path):
    """Group-disjoint parts that cover everything."""
    folder, _ = fit_run(data(), "nss", tmp_path, How(trials=2, protocol="kfold", folds=5))
    predictions = pd.read_csv(folder / "predictions.csv")
    assert sorted(predictions["name"]) == sorted(data().names)
    assert (predictions.groupby("group")["fold"].nunique() == 1).all()
    with pytest.raises(DataError, match="--folds 2 or more"):
        fit_run(data(), "nss", tmp_path, How(trials=2, protocol="kfold", folds=1))
    with pytest.raises(DataError, match="20 groups cannot make 21 parts"):
        fit_run(data(), "nss", tmp_path, How(trials=2, protocol="kfold", folds=21))


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_best_on_test_flatters_and_shared_alpha_shares(tmp_path, regressor):
    """On noise, choosing on the test part gives more than nested; sharing gives one choice."""
    noise = data(90, signal_strength=0.0)
    noise = noise._replace(y=np.random.default_rng(0).normal(size=90))
    found = {}
    for name in ("nested", "best-on-test", "shared-alpha"):
        how = How(regressor, trials=12, protocol=name, folds=4)
        _, found[name] = fit_run(noise, "nss", tmp_path, how)
    srcc = {name: result["median"]["srcc"] for name, result in found.items()}
    assert srcc["best-on-test"] >= srcc["nested"]
    shared = [fold["params"] for fold in found["shared-alpha"]["folds"]]
    assert all(params == shared[0] for params in shared)
    assert found["best-on-test"]["median"]["plcc_logistic_train"] is None
