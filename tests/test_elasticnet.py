"""Elastic net and its tuner against scikit-learn in float64, and against duality computed here.

The duality gap is at most 1e-9 of the scores' variance, so that predictions of training rows are
within 5e-5 of their standard deviation of the exact ones; scikit-learn's, to compare with, have a
gap of 1e-10. New rows like them: 1e-4 of the predictions' spread (largest minus smallest).
"""

import pickle

import numpy as np
import pytest
from problems import constant, duplicated, offset, one_column, problem, repeated_columns
from scipy.stats import spearmanr
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regressors import active_set, correlations, elasticnet
from regressors.base import Training
from regressors.elasticnet import Columns, ElasticNet, ElasticNetTuner, Problem
from regressors.errors import NoHead
from regressors.folds import inner_folds
from regressors.heads import HEADS

CLOSE, GAP = 1e-4, 1e-9
# l1 as shares of the least that leaves nothing, l2 of the largest eigenvalue: all over the space
SHARES = [(0.3, 1e-3), (0.03, 1e-2), (0.003, 1e-1), (0.01, 1e-4)]
SHAPES = [(30, 80), (80, 30), (50, 50)]


def embeddings(n, p):
    """Float32, never negative and often zero, with few strong directions, as a network's are."""
    rng = np.random.default_rng(n + p)
    strengths = np.arange(1, p + 1) ** -0.7
    X = (rng.normal(size=(n, p)) * strengths) @ rng.normal(size=(p, p))
    X = np.maximum(X + 0.3 * X.std(), 0).astype(np.float32)
    return X, 50 + 10 * X[:, :5].sum(axis=1) / X.std() + rng.normal(0, 3, n)


PROBLEMS = [problem, constant, duplicated, repeated_columns, offset, embeddings, one_column]


def standardised(X):
    """In float64, by scikit-learn."""
    return StandardScaler().fit_transform(np.asarray(X, float))


def penalties(X, y, shares):
    """Shares of what these data can bear, as penalties."""
    Z = standardised(X)
    return {
        "l1": shares[0] * np.abs(Z.T @ (y - y.mean())).max() / len(y),
        "l2": shares[1] * np.linalg.norm(Z, 2) ** 2 / len(y),
    }


def reference(X, y, l1, l2):
    """What scikit-learn fits."""
    model = linear_model.ElasticNet(
        alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), tol=1e-10, max_iter=10**6
    )
    return make_pipeline(StandardScaler(), model).fit(np.asarray(X, float), y)


def relative_gap(X, y, coef, l1, l2):
    """The primal objective less the dual one, over the scores' variance."""
    Z, y, n = standardised(X), y - y.mean(), len(y)
    residuals = y - Z @ coef
    primal = residuals @ residuals / 2 / n + l1 * np.abs(coef).sum() + l2 / 2 * coef @ coef
    beyond = np.maximum(np.abs(Z.T @ residuals) / n - l1, 0)
    dual = residuals @ y / n - residuals @ residuals / 2 / n - beyond @ beyond / 2 / l2
    return (primal - dual) / y.var()


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch):
    """Large data are kept in float32, and many of their columns are not solved directly."""
    if request.param == "large":
        monkeypatch.setattr(elasticnet, "SMALL", 0)
        monkeypatch.setattr(correlations, "DIRECT", 5)
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", PROBLEMS)
@pytest.mark.parametrize("shares", SHARES)
def test_predictions_equal_scikit_learn(make, shape, shares, size):
    """With more rows or more columns, training rows and others; the gap is as promised."""
    X, y = make(*shape)
    params = penalties(X, y, shares)
    model, expected = ElasticNet(**params).fit(X, y), reference(X, y, **params)
    rng = np.random.default_rng(9)
    X_new = X[rng.integers(0, len(X), 20)] + np.float32(0.1) * X.std(axis=0) * rng.normal(
        size=(20, X.shape[1])
    )
    for rows in (X, X_new):
        wanted = expected.predict(np.asarray(rows, float))
        np.testing.assert_allclose(model.predict(rows), wanted, 0, CLOSE * np.ptp(wanted))
    assert -1e-12 < relative_gap(X, y, model.coef_, **params) <= GAP
    again = Problem(Columns(X, np.arange(len(y)), often=True), y).coefficients(**params)
    assert -1e-12 < relative_gap(X, y, again, **params) <= GAP


@pytest.mark.parametrize("shape", SHAPES)
def test_optimality(shape):
    """Columns left out correlate by at most l1; a column and its copies share their coefficient."""
    X, y = repeated_columns(*shape)
    params = penalties(X, y, (0.1, 1e-2))
    coef = ElasticNet(**params).fit(X, y).coef_
    assert 0 < np.sum(coef != 0) < len(coef)
    Z = standardised(X)
    z = Z.T @ (y - y.mean() - Z @ coef) / len(y)
    slack = 1e-3 * params["l1"]
    assert np.all(np.abs(z[coef == 0]) <= params["l1"] + slack)
    active = coef != 0
    expected = params["l1"] * np.sign(coef) + params["l2"] * coef
    np.testing.assert_allclose(z[active], expected[active], 0, slack)
    half = shape[1] // 2
    np.testing.assert_allclose(coef[: half - 1], coef[half : 2 * half - 1], 0, 1e-4)
    assert coef[-1] == pytest.approx(-coef[0], abs=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("l1", [0.0, 1e-9])
def test_without_l1_it_is_ridge_regression(shape, l1):
    """Whose alpha is n times l2."""
    X, y = problem(*shape)
    ridge = make_pipeline(StandardScaler(), linear_model.Ridge(0.5 * len(y))).fit(X, y)
    found = ElasticNet(l1, 0.5).fit(X, y)
    np.testing.assert_allclose(found.coef_, ridge[-1].coef_, 0, 1e-6)
    np.testing.assert_allclose(found.predict(X), ridge.predict(X), 0, 1e-5)
    assert found.l1_ratio == pytest.approx(0, abs=1e-8)


def test_scores_on_another_scale():
    """Only l1 is in their unit, which may be a wild one."""
    X, y = problem(30, 80)
    params = penalties(X, y, (0.03, 1e-2))
    expected = ElasticNet(**params).fit(X, y)
    for factor in (1e-30, 1e30):
        found = ElasticNet(params["l1"] * factor, params["l2"]).fit(X, (y - 60) * factor)
        np.testing.assert_allclose(found.coef_ / factor, expected.coef_, 0, 1e-9)


def test_scikit_learn_contract():
    """Cloning copies the parameters and nothing fitted; fitting returns the model itself."""
    X, y = problem(30, 4)
    model = ElasticNet(l1=0.3, l2=0.1)
    assert model.get_params() == {"l1": 0.3, "l2": 0.1}
    assert (model.alpha, model.l1_ratio) == pytest.approx((0.4, 0.75))
    assert model.fit(X, y) is model
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(X)
    with pytest.raises(ValueError, match="expected 4 columns, got 3"):
        model.predict(X[:, :3])
    fresh = ElasticNet(0.1, 0.1).fit(X, y).predict(X)
    assert np.array_equal(model.set_params(l1=0.1).fit(X, y).predict(X), fresh)
    assert model.score(X, y) == pytest.approx(1 - np.var(y - fresh) / np.var(y), abs=1e-4)
    np.testing.assert_allclose(HEADS["linear"](model.arrays(), X), fresh, rtol=1e-12)


def test_bad_input_is_refused():
    """Penalties out of range, values that are not finite, lengths that differ, a single row."""
    X, y = problem(30, 4)
    for l1 in (-1.0, np.nan):
        with pytest.raises(ValueError, match="l1 must be at least 0"):
            ElasticNet(l1=l1).fit(X, y)
    for l2 in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="l2 must be above 0"):
            ElasticNet(l2=l2).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        ElasticNet().fit(np.where(X[3, 2] == X, np.nan, X), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ElasticNet().fit(X, y[:-1])
    with pytest.raises(ValueError, match="minimum of 2"):
        ElasticNet().fit(X[:1], y[:1])


def test_inputs_are_left_alone():
    """Neither fitting nor tuning writes to the caller's arrays."""
    X, y = problem(40, 20)
    before = X.copy(), y.copy()
    tuner = ElasticNetTuner(X, y, inner_folds(np.arange(40), 0))
    params = {name: np.sqrt(d.low * d.high) for name, d in tuner.space.items()}
    tuner.predictions(params)
    tuner.fitted(params)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.parametrize("make", [problem, embeddings, constant])
@pytest.mark.parametrize("shape", [(60, 150), (90, 20)])
@pytest.mark.parametrize("shares", SHARES)
def test_tuner_equals_refitting(make, shape, shares, size):
    """Out-of-fold predictions and the score are those of scikit-learn refitted on every fold."""
    X, y = make(*shape)
    X = X.astype(np.float32)
    # the training part is some rows of a larger matrix
    rows = np.random.default_rng(1).permutation(2 * len(y))[: len(y)]
    matrix = np.full((2 * len(y), X.shape[1]), np.nan, np.float32)
    matrix[rows] = X
    folds = inner_folds(np.arange(len(y)) // 3, 0)
    tuner, params = ElasticNetTuner(matrix, y, folds, rows), penalties(X, y, shares)
    expected, scores = np.zeros(len(y)), []
    for train, valid in folds:
        model = reference(X[train], y[train], **params)
        expected[valid] = model.predict(np.asarray(X[valid], float))
        scores.append(spearmanr(y[valid], expected[valid]).statistic)
    np.testing.assert_allclose(tuner.out_of_fold(params), expected, 0, CLOSE * np.ptp(expected))
    assert tuner.score(params) == pytest.approx(np.mean(scores), abs=0.01)
    whole = reference(X, y, **params).predict(np.asarray(X, float))
    fitted = tuner.fitted(params).predict(X)
    np.testing.assert_allclose(fitted, whole, 0, CLOSE * np.ptp(whole))


@pytest.mark.parametrize("shape", [(60, 150), (90, 20)])
def test_the_order_of_trials_changes_no_bit(shape, size):
    """A trial's predictions do not depend on those before it."""
    X, y = embeddings(*shape)
    folds = inner_folds(np.arange(len(y)), 0)
    rng, tuner = np.random.default_rng(0), ElasticNetTuner(X, y, folds)
    trials = [
        {
            name: np.exp(rng.uniform(np.log(d.low), np.log(d.high)))
            for name, d in tuner.space.items()
        }
        for _ in range(8)
    ]
    first = [np.concatenate(tuner.predictions(trial)) for trial in trials]
    other = ElasticNetTuner(X, y, folds)
    for trial, expected in reversed(list(zip(trials, first, strict=True))):
        np.testing.assert_array_equal(np.concatenate(other.predictions(trial)), expected)


def test_space():
    """From 1e-3 of the penalty that leaves nothing, and in shares of the largest eigenvalue."""
    X, y = problem(60, 20)
    tuner = ElasticNetTuner(X, y, inner_folds(np.arange(60), 0))
    largest = penalties(X, y, (1, 1))
    for name, (low, high) in {"l1": (1e-3, 1), "l2": (1e-5, 1)}.items():
        found = tuner.space[name]
        assert found.log
        assert (found.low, found.high) == pytest.approx(
            (low * largest[name], high * largest[name]), rel=0.06
        )
        assert found.high == float(f"{found.high:.1e}")
    assert tuner.natural == {("l1", "high")}
    with pytest.raises(NoHead, match="alike"):
        tuner.score({"l1": 2 * largest["l1"], "l2": 1.0})
    assert not tuner.fitted({"l1": 2 * largest["l1"], "l2": 1.0}).coef_.any()


def test_an_unused_tuner_is_light():
    """It is sent to the process that tunes it, and predicts there what it predicts here."""
    X, y = embeddings(60, 150)
    tuner = ElasticNetTuner(X, y, inner_folds(np.arange(60), 0))
    sent = pickle.dumps(tuner)
    assert len(sent) < X.nbytes + 20_000
    params = {name: np.sqrt(d.low * d.high) for name, d in tuner.space.items()}
    for ours, theirs in zip(
        tuner.predictions(params), pickle.loads(sent).predictions(params), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_targets_share_what_does_not_depend_on_scores():
    """Two targets of the same rows and folds have one set of correlations."""
    X, y = embeddings(60, 150)
    rows, folds = np.arange(60), inner_folds(np.arange(60), 0)
    trainings = [Training(rows, scores, folds, 60) for scores in (y, -y)]
    one, other = ElasticNetTuner.many(X, trainings)
    params = {name: np.sqrt(d.low * d.high) for name, d in one.space.items()}
    first, second = one.predictions(params), other.predictions(params)
    assert one.prepared is other.prepared
    np.testing.assert_allclose(np.concatenate(first), -np.concatenate(second), rtol=1e-6)


def test_no_convergence_leaves_the_trial_out(monkeypatch):
    """It is no head, and no number."""
    X, y = embeddings(60, 150)
    monkeypatch.setattr(active_set, "MAX_STEPS", 1)
    tuner = ElasticNetTuner(X, y, inner_folds(np.arange(60), 0))
    with pytest.raises(NoHead, match="did not converge: l2"):
        tuner.score({"l1": tuner.space["l1"].low * 5, "l2": tuner.space["l2"].low})
