"""Banded ridge against scikit-learn on scaled columns, its own optimum, and ridge itself."""

import pickle

import numpy as np
import pytest
from sklearn import linear_model
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from regressors import grams
from regressors.banded import BandedRidge, BandedRidgeTuner, contributions
from regressors.errors import DataError
from regressors.folds import inner_folds
from regressors.heads import HEADS
from regressors.ridge import FLOOR, Ridge, RidgeTuner
from regressors.tuning import at_edge

SHAPES = [(60, 90), (90, 40)]  # the n x n form and the p x p form
PENALTIES = [(1.0, 1.0), (1e-2, 1e4), (1e5, 3.0), (30.0, 1e-3)]


def problem(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Float32 embeddings of unlike scale, far from zero, and scores on 0..100."""
    rng = np.random.default_rng(n + p)
    X = rng.normal(size=(n, p)) @ (rng.normal(size=(p, p)) / np.sqrt(p)) * rng.uniform(0.01, 50, p)
    y = 60 + 10 * X[:, 0] / X[:, 0].std() + rng.normal(0, 5, n)
    return (X + 30 * rng.normal(size=p)).astype(np.float32), y


def halves(p: int) -> dict[str, slice]:
    """Two feature sets of unlike size."""
    return {"quality": slice(0, p // 3), "content": slice(p // 3, p)}


def params_of(alphas) -> dict[str, float]:
    """The penalties as a study names them."""
    return {
        f"alpha:{name}": alpha for name, alpha in zip(("quality", "content"), alphas, strict=True)
    }


def reference(X, y, X_new, alphas) -> np.ndarray:
    """What scikit-learn predicts with penalty 1 on columns divided by the root of their penalty."""
    scaler, p = StandardScaler(), X.shape[1]
    divide = np.sqrt(np.repeat(alphas, (p // 3, p - p // 3)))
    Z = scaler.fit_transform(np.asarray(X, float)) / divide
    model = linear_model.Ridge(alpha=1.0, solver="svd").fit(Z, y)
    return model.predict(scaler.transform(np.asarray(X_new, float)) / divide)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alphas", PENALTIES)
def test_predictions_equal_scikit_learn_on_scaled_columns(shape, alphas):
    """For penalties that differ by many orders."""
    X, y = problem(*shape)
    model = BandedRidge(dict(zip(halves(shape[1]), alphas, strict=True)), halves(shape[1]))
    expected = reference(X[:50], y[:50], X[50:], alphas)
    found = model.fit(X[:50], y[:50]).predict(X[50:])
    np.testing.assert_allclose(found, expected, 0, 1e-8 * np.ptp(expected))
    np.testing.assert_allclose(HEADS["linear"](model.arrays(), X[50:]), found, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_zero(shape):
    """At the optimum X'r equals alpha w in every feature set."""
    X, y = problem(*shape)
    alphas = {"quality": 7.0, "content": 0.4}
    model = BandedRidge(alphas, halves(shape[1])).fit(X, y)
    Z = StandardScaler().fit_transform(X.astype(float))
    gradient = Z.T @ (y - model.predict(X))
    for name, own in halves(shape[1]).items():
        size = np.abs(Z.T @ (y - y.mean())).max()
        np.testing.assert_allclose(gradient[own], alphas[name] * model.coef_[own], 0, 1e-9 * size)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alpha", [1e-2, 30.0, 1e6])
def test_equal_penalties_are_ridge(shape, alpha):
    """One feature set, or two with the same penalty: the model and its tuner."""
    X, y = problem(*shape)
    expected = Ridge(alpha).fit(X, y).predict(X)
    bound = 1e-9 * np.ptp(expected)
    for blocks in (None, halves(shape[1])):
        found = BandedRidge(alpha, blocks).fit(X, y).predict(X)
        np.testing.assert_allclose(found, expected, 0, bound)
    folds = inner_folds(np.arange(len(y)) // 3, 0)
    expected = RidgeTuner(X, y, folds).out_of_fold({"alpha": alpha})
    for blocks in ({"all": slice(0, shape[1])}, halves(shape[1])):
        tuner = BandedRidgeTuner(X, y, folds, blocks=blocks)
        found = tuner.out_of_fold({f"alpha:{name}": alpha for name in blocks})
        np.testing.assert_allclose(found, expected, 0, 1e-9 * np.ptp(expected))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alphas", PENALTIES)
@pytest.mark.parametrize(("double", "bound"), [(2000, 1e-8), (10, 1e-4)])
def test_tuner_equals_refitting(shape, alphas, double, bound, monkeypatch):
    """Scikit-learn refitted on every fold; large matrices are stored as float32, so within 1e-4."""
    monkeypatch.setattr(grams, "DOUBLE", double)
    monkeypatch.setattr(grams, "_STRIPE", 7)
    X, y = problem(*shape)
    folds = inner_folds(np.arange(len(y)) // 3, 0)
    tuner = BandedRidgeTuner(X, y, folds, blocks=halves(shape[1]))
    params = params_of(alphas)
    if double == 10:  # float32 resolves the search space, no more
        space = tuner.space
        params = {name: np.clip(params[name], space[name].low, None) for name in params}
    expected = np.zeros(len(y))
    for train, valid in folds:
        expected[valid] = reference(X[train], y[train], X[valid], list(params.values()))
    found = tuner.out_of_fold(params)
    np.testing.assert_allclose(found, expected, 0, bound * np.ptp(expected))
    assert params.items() <= tuner.fitted(params).get_params().items()
    whole = reference(X, y, X, list(params.values()))
    np.testing.assert_allclose(tuner.fitted(params).predict(X), whole, 0, 1e-8 * np.ptp(whole))


def test_many_small_sets_take_the_smaller_form():
    """With n just below p, twenty n x n matrices would be larger than one of p x p."""
    X, y = problem(80, 90)
    folds = inner_folds(np.arange(80), 0)
    blocks = {f"set{i}": slice(i, 90, 45) for i in range(45)}
    tuner = BandedRidgeTuner(X, y, folds, blocks=blocks)
    assert not any(found.dual for found in tuner.prepared.grams)
    few = BandedRidgeTuner(X, y, folds, blocks=halves(90))
    assert all(found.dual for found in few.prepared.grams)
    found = tuner.out_of_fold(dict.fromkeys(tuner.space, 5.0))
    expected = few.out_of_fold(dict.fromkeys(few.space, 5.0))
    np.testing.assert_allclose(found, expected, 0, 1e-9 * np.ptp(expected))


@pytest.mark.parametrize("shape", [(60, 90), (90, 40), (400, 500)])
def test_the_space_is_relative_to_each_set(shape):
    """From the floor, which is that of ridge, to where a set is as good as absent."""
    X, y = problem(*shape)
    p = shape[1]
    tuner = BandedRidgeTuner(X, y, inner_folds(np.arange(len(y)), 0), blocks=halves(p))
    Z = StandardScaler().fit_transform(X.astype(float))
    for name, own in halves(p).items():
        distribution = tuner.space[f"alpha:{name}"]
        largest = np.linalg.norm(Z[:, own], 2) ** 2
        assert distribution.low == pytest.approx(FLOOR * largest, rel=0.051)
        assert distribution.high == pytest.approx(1e3 * largest, rel=0.051)
        assert distribution.log
    off = {"alpha:quality": 3.0, "alpha:content": tuner.space["alpha:content"].high}
    found = tuner.fitted(off).predict(X)
    alone = Ridge(3.0).fit(X[:, : p // 3], y).predict(X[:, : p // 3])
    assert np.abs(found - alone).max() < 0.01 * np.ptp(alone)
    assert at_edge(tuner, off) == {}
    low = {name: distribution.low for name, distribution in tuner.space.items()}
    assert set(at_edge(tuner, low).values()) == {"low"}


def test_a_set_that_never_varies_takes_any_penalty():
    """It changes no prediction."""
    X, y = problem(60, 30)
    X[:, :10] = 4.0
    folds = inner_folds(np.arange(60), 0)
    tuner = BandedRidgeTuner(X, y, folds, blocks=halves(30))
    first, second = (
        tuner.out_of_fold({"alpha:quality": alpha, "alpha:content": 9.0})
        for alpha in (tuner.space["alpha:quality"].low, tuner.space["alpha:quality"].high)
    )
    expected = RidgeTuner(X[:, 10:], y, folds).out_of_fold({"alpha": 9.0})
    for found in (first, second):
        np.testing.assert_allclose(found, expected, 0, 1e-9 * np.ptp(expected))


def test_trials_do_not_know_of_each_other():
    """To the bit, whatever was asked before, and for two targets that share the matrices."""
    X, y = problem(60, 90)
    folds = inner_folds(np.arange(60), 0)
    tuner = BandedRidgeTuner(X, y, folds, blocks=halves(90))
    first = tuner.out_of_fold(params_of((2.0, 1e3)))
    tuner.out_of_fold(params_of((1e4, 1.0)))
    assert np.array_equal(tuner.out_of_fold(params_of((2.0, 1e3))), first)
    other = BandedRidgeTuner(X, -y, folds, prepared=tuner.prepared)
    assert other.space == tuner.space
    np.testing.assert_allclose(other.out_of_fold(params_of((2.0, 1e3))), -first, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_memory_covers_what_is_kept(shape):
    """The matrices of two feature sets are no larger than the tuner says."""
    X, y = problem(*shape)
    tuner = BandedRidgeTuner(X, y, inner_folds(np.arange(len(y)), 0), blocks=halves(shape[1]))
    kept = len(pickle.dumps(tuner.prepared.grams))
    assert 0.3 * tuner.memory(*shape) < kept < tuner.memory(*shape)


def test_scikit_learn_contract():
    """Single penalties are parameters, too, and never change the mapping that was given."""
    X, y = problem(60, 30)
    alphas = {"quality": 2.0, "content": 3.0}
    model = BandedRidge(alphas, halves(30))
    assert model.get_params(deep=False) == {"alphas": alphas, "blocks": halves(30)}
    assert params_of((2.0, 3.0)).items() <= model.get_params().items()
    assert model.fit(X, y) is model
    copy = clone(model)
    assert copy.alphas == alphas and not hasattr(copy, "coef_")
    copy.set_params(**{"alpha:content": 30.0})
    assert copy.alphas == {"quality": 2.0, "content": 30.0}
    assert alphas == {"quality": 2.0, "content": 3.0} == model.alphas
    assert np.array_equal(
        clone(model).set_params(alphas=5.0).fit(X, y).coef_, Ridge(5.0).fit(X, y).coef_
    )
    with pytest.raises(ValueError, match="there is no alpha:colour; the feature sets are"):
        copy.set_params(**{"alpha:colour": 1.0})
    assert BandedRidge().get_params() == {"alphas": 1.0, "blocks": None, "alpha:all": 1.0}
    assert "alpha:" not in repr(model)


@pytest.mark.parametrize(
    ("alphas", "blocks", "match"),
    [
        ({"a": 1.0}, {"a": slice(0, 29)}, "column 29 of 30 is in 0 feature sets"),
        ({"a": 1.0, "b": 1.0}, {"a": slice(0, 20), "b": slice(19, 30)}, "column 19 of 30 is in 2"),
        ({"a": 1.0}, {"b": slice(0, 30)}, r"penalties are for \['a'\], columns for \['b'\]"),
        ({"a": 0.0}, {"a": slice(0, 30)}, "every alpha must be above 0 and finite"),
        ({"a": np.nan}, {"a": slice(0, 30)}, "every alpha must be above 0 and finite"),
        (np.inf, None, "every alpha must be above 0 and finite"),
    ],
)
def test_bad_sets_are_refused(alphas, blocks, match):
    """Columns in no set or in two, other names, penalties that are none."""
    with pytest.raises(ValueError, match=match):
        BandedRidge(alphas, blocks).fit(*problem(60, 30))


def test_contributions_find_the_informative_set():
    """The set that scores were made of contributes nearly all; shares sum to 1."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 30)) * rng.uniform(0.1, 10, 30) + 100
    y = 50 + ((X - X.mean(axis=0)) / X.std(axis=0))[:, :10] @ rng.normal(size=10)
    for model in (Ridge(10.0), BandedRidge({"quality": 10.0, "content": 1e3}, halves(30))):
        found = contributions(model.fit(X, y).arrays(), halves(30), X)
        assert sum(found.values()) == pytest.approx(1, abs=1e-12)
        assert found["quality"] > 0.98 and abs(found["content"]) < 0.02


def test_contributions_are_covariances():
    """Those of NumPy, also where two sets work against each other."""
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(200, 1))
    X = np.hstack([signal + 0.1 * rng.normal(size=(200, 10)), signal + rng.normal(size=(200, 20))])
    arrays = {
        "mean": X.mean(axis=0),
        "scale": X.std(axis=0),
        "coef": np.repeat([1.0, -0.1], [10, 20]),
        "intercept": np.array([50.0]),
    }
    found = contributions(arrays, halves(30), X)
    whole = HEADS["linear"](arrays, X)
    Z = (X - arrays["mean"]) / arrays["scale"]
    for name, own in halves(30).items():
        expected = np.cov(Z[:, own] @ arrays["coef"][own], whole)[0, 1] / whole.var(ddof=1)
        assert found[name] == pytest.approx(expected, rel=1e-10)
    assert found["content"] < 0 and sum(found.values()) == pytest.approx(1, abs=1e-12)


def test_a_flat_head_has_no_contributions():
    """Its predictions are all alike."""
    X, y = problem(60, 30)
    arrays = Ridge(1.0).fit(X, y).arrays() | {"coef": np.zeros(30)}
    with pytest.raises(DataError, match="no feature set contributes"):
        contributions(arrays, halves(30), X)
