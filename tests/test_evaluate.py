"""Across databases: the sign rule, shared content, what SciPy says, and one line for a mistake."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import write_csv, write_pictures
from test_commands import call
from test_fitting import data

from features.errors import InputError
from pipeline.crossing import cross, cross_table
from pipeline.databases.overlaps import OVERLAPS, shared_content
from pipeline.databases.table import Target
from pipeline.fitting import fit_run
from pipeline.settings import How


def another(turned: bool = False, name: str = "other"):
    """Other pictures with the same signal; `turned`, lower is better."""
    plain = data(90)
    rng = np.random.default_rng(8)
    X = rng.normal(size=plain.X.shape).astype(np.float32)
    y = 3 + (-1 if turned else 1) * (X[:, 0] + 0.3 * rng.normal(size=len(X)))
    targets = {"mos": Target(1, 5, higher_is_better=not turned)}
    table = plain.database.table.assign(mos=y)
    cached = dataclasses.replace(plain.database, name=name, table=table, targets=targets)
    return plain._replace(X=X, y=y, database=cached)


@pytest.mark.parametrize("turned", [False, True])
def test_numbers_and_signs(tmp_path, turned):
    """The numbers are SciPy's on what was written; the sign follows the two directions."""
    train, test = data(), another(turned)
    run, result = fit_run(train, "nss", tmp_path, How(trials=5))
    found = cross(run, result, train, test, "nss")
    written = pd.read_csv(run / "cross" / "other-mos.csv")
    expected = scipy.stats.spearmanr(written["mos"], written["prediction"]).statistic
    assert found["srcc"] == pytest.approx(expected, abs=1e-12)
    assert np.sign(found["srcc"]) == found["expected_sign"] == (-1 if turned else 1)
    assert abs(found["srcc"]) > 0.8
    low, high = found["srcc_interval"]
    assert low < found["srcc"] < high
    assert found["plcc_logistic"] > 0.8  # the mapping takes the sign with it
    text = cross_table([found])
    assert ("as expected" in text) == turned and "wrong sign" not in text
    assert json.loads((run / "cross" / "other-mos.json").read_text()) == json.loads(
        json.dumps(found)
    )
    assert (run / "cross" / "other-mos.png").stat().st_size > 5000


def test_interval_is_a_bootstrap_over_groups(tmp_path):
    """Brute force: draw groups, repeat their rows, SciPy's correlation."""
    train, test = data(), another()
    run, result = fit_run(train, "nss", tmp_path, How(trials=3))
    found = cross(run, result, train, test, "nss")
    written = pd.read_csv(run / "cross" / "other-mos.csv")
    rng, names = np.random.default_rng(3), sorted(set(written["group"]))
    rows = {name: written[written["group"] == name] for name in names}
    draws = [
        scipy.stats.spearmanr(drawn["mos"], drawn["prediction"]).statistic
        for drawn in (
            pd.concat([rows[name] for name in rng.choice(names, len(names))]) for _ in range(800)
        )
    ]
    np.testing.assert_allclose(
        found["srcc_interval"], np.quantile(draws, [0.025, 0.975]), atol=0.02
    )


def test_a_wrong_sign_is_said(tmp_path):
    """A head that ranks upside down is not made positive."""
    train, test = data(), another()
    test = test._replace(y=-test.y)
    run, result = fit_run(train, "nss", tmp_path, How(trials=3))
    found = cross(run, result, train, test, "nss")
    assert found["srcc"] < -0.8
    assert "wrong sign" in cross_table([found])


def test_shared_content_and_seen_databases_are_said(tmp_path):
    """By any of a database's names, in both directions."""
    assert shared_content(("live",), ("tid2013",)) == shared_content(("TID-2013",), ("LIVE",))
    assert shared_content(("koniq",), ("clive",)) == []
    assert len(shared_content(("mine", "flive"), ("ava",))) == 1
    assert all(len(shared_content((a,), (b,))) == 1 for a, b, _ in OVERLAPS)
    train, test = data(), another(name="tid2013")
    train = train._replace(database=dataclasses.replace(train.database, name="live"))
    run, result = fit_run(train, "nss", tmp_path, How(trials=3))
    assert "SHARED CONTENT: LIVE and TID2013" in cross_table(
        [cross(run, result, train, test, "nss")]
    )


def test_other_settings_are_refused(tmp_path):
    """Embeddings made otherwise are not what the head was fitted on."""
    train, test = data(), another()._replace(keys={"nss": "other"})
    run, result = fit_run(train, "nss", tmp_path, How(trials=3))
    with pytest.raises(InputError, match=r"nss was extracted with other settings .* .key kkk"):
        cross(run, result, train, test, "nss")


def test_command(capsys, tmp_path):
    """From two CSVs to a table and to JSON; the run is made once; mistakes are one line."""
    paths = [write_csv(tmp_path / name, 40, groups=20) for name in ("one", "two")]
    write_pictures(tmp_path / "two", 41)
    (tmp_path / "two" / "p040.png").replace(tmp_path / "two" / "p000.png")  # another picture
    for path in paths:
        code, _, err = call(capsys, "extract", "--db", path, "--features", "nss")
        assert code == 0, err
    arguments = ("--train", paths[0], "--test", paths[1], "--trials", 3)
    code, out, err = call(capsys, "evaluate", *arguments, "--json")
    (found,) = json.loads(out)
    assert code == 0 and found["features"] == "nss" and found["n_pictures"] == 40
    assert found["n_same_files"] == 39
    code, out, err = call(capsys, "evaluate", *arguments)
    assert code == 0 and f"{found['srcc']:.4f}" in out and "inside" in out
    assert "SHARED CONTENT: 39 of 40 tested pictures are the very same files" in out
    code, out, err = call(capsys, "evaluate", "--train", paths[0], "--test", paths[0])
    assert code == 2 and "both" in err
    code, out, err = call(capsys, "evaluate", *arguments, "--regressor", "rigde")
    assert code == 2 and "ridge" in err
    code, out, err = call(capsys, "evaluate", *arguments, "--test-target", "beauty")
    assert code == 1 and "has no target 'beauty'" in err
