"""Data as users have them: a clear error or a right result, for every regressor."""

import dataclasses

import numpy as np
import optuna
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fitting import data

from pipeline.fitting import fit_run
from pipeline.settings import How
from regressors.base import Training
from regressors.errors import DataError
from regressors.folds import inner_folds, outer_fold
from regressors.heads import HEADS
from regressors.nested import Plan, evaluate, fit_tuned, tuners
from regressors.table import REGRESSORS

FATAL = ("nan", "infinity", "constant scores", "alike embeddings", "one group", "few rows")
HARMLESS = ("constant column", "duplicated rows", "one column", "offset column", "outlier")


@st.composite
def problems(draw):
    """Embeddings with a linear signal, scores of any scale, groups, and what is wrong with them."""
    kinds = draw(st.sets(st.sampled_from((*FATAL, *HARMLESS)), max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 9)) if "few rows" in kinds else draw(st.integers(60, 90))
    p = 1 if "one column" in kinds else draw(st.integers(2, 12))
    scale, shift = 10.0 ** draw(st.integers(-6, 6)), draw(st.sampled_from((0.0, 1.0, -30.0)))
    X = rng.normal(size=(n, p)).astype(np.float32)
    y = scale * (shift + X[:, 0] + 0.2 * rng.normal(size=n))
    groups = np.zeros(n, int) if "one group" in kinds else np.arange(n) // 2
    if "duplicated rows" in kinds:
        half = (n + 1) // 2
        X, y = np.repeat(X[:half], 2, axis=0)[:n], np.repeat(y[:half], 2)[:n]
    changes = {
        "nan": lambda: X.__setitem__((rng.integers(n), rng.integers(p)), np.nan),
        "infinity": lambda: X.__setitem__((rng.integers(n), rng.integers(p)), -np.inf),
        "constant scores": lambda: y.__setitem__(slice(None), y[0]),
        "alike embeddings": lambda: X.__setitem__(slice(None), X[0].copy()),
        "constant column": lambda: X.__setitem__((slice(None), p - 1 or -p), np.float32(0.1)),
        "offset column": lambda: X.__setitem__((slice(None), 0), X[:, 0] + np.float32(100)),
        "outlier": lambda: X.__setitem__((0, p - 1), X[0, p - 1] * 1000),
    }
    for kind in sorted(kinds):
        if kind != "constant column" or p > 1:
            changes.get(kind, lambda: None)()
    return X, y, groups, kinds


@pytest.mark.parametrize("name", REGRESSORS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(problem=problems())
def test_a_clear_error_or_a_right_result(name, problem):
    """What cannot be fitted is one line; everything else ranks unseen pictures by their signal."""
    X, y, groups, kinds = problem
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        train, test = outer_fold(groups, 0)
        inner = inner_folds(groups[train], 0)
        (tuner,) = tuners(REGRESSORS[name], X, [Training(train, y[train], inner, len(train))])
        study = optuna.create_study(study_name="fold-0", direction="maximize")
        tuned = fit_tuned(tuner, study, Plan(8))
        predictions, numbers = evaluate(tuned, y[train], X[test], y[test])
    except DataError as error:
        assert kinds & set(FATAL), error
        assert 10 < len(str(error)) < 300 and "\n" not in str(error)
        return
    assert not kinds & {"nan", "infinity", "constant scores", "one group", "few rows"}
    assert np.isfinite(predictions).all()
    found = HEADS[tuned.head](tuned.model.arrays(), X[test])
    np.testing.assert_allclose(found, predictions, rtol=1e-6, atol=1e-6 * np.std(y))
    expected = scipy.stats.spearmanr(y[test], predictions).statistic
    assert numbers["srcc"] == pytest.approx(expected, abs=1e-9)
    if not kinds & {"outlier", "alike embeddings"}:
        assert numbers["srcc"] > 0.6


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scale_of_the_scores_moves_no_number(name, scale):
    """Scores of another scale and origin give the same ranks, and errors in proportion."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 6)).astype(np.float32)
    y = X @ rng.normal(size=6) + 0.3 * rng.normal(size=80)
    found = []
    for scores in (y, scale * (y + 2)):
        inner = inner_folds(np.arange(80), 0)
        (tuner,) = tuners(REGRESSORS[name], X, [Training(np.arange(80), scores, inner, 80)])
        # the same place in either space
        params = {key: float(np.sqrt(space.low * space.high)) for key, space in tuner.space.items()}
        found.append(tuner.out_of_fold(params))
    # spaces are rounded to two digits, so that the two places differ a little
    np.testing.assert_allclose(found[1] / scale - 2, found[0], atol=0.05 * np.std(y))


@pytest.mark.parametrize("name", REGRESSORS)
def test_runs_of_bad_data_are_one_line(tmp_path, name):
    """The same through a whole run: nothing is written that looks like a result."""
    plain = data()
    cases = {
        "20 groups cannot": plain._replace(),
        "all .* scores are 3": plain._replace(y=np.full(60, 3.0)),
        "not finite|NaN": plain._replace(X=np.where(plain.X[5, 5] == plain.X, np.nan, plain.X)),
        "groups are too few": plain._replace(
            database=dataclasses.replace(
                plain.database, table=plain.database.table.assign(group="one")
            )
        ),
    }
    for message, bad in cases.items():
        protocol = "kfold" if message.startswith("20") else "nested"
        with pytest.raises(DataError, match=message):
            fit_run(bad, "nss", tmp_path, How(name, trials=2, protocol=protocol, folds=30))
    assert not list(tmp_path.glob("**/result.json"))
