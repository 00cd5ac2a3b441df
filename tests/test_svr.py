"""Support vector regression against scikit-learn in float64, and against its own optimality.

libsvm stops where no pair of rows violates optimality by more than 1e-3 of the scores' spread
(theirs, to compare with: 1e-6). Predictions then differ by at most 1e-2 of that spread, and by 1e-4
where our tolerance is lowered to 1e-6, too: what float32 pairs allow.
"""

import pickle
import warnings
from functools import partial

import numpy as np
import problems
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn import svm
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import regressors.kernels
import regressors.svr
from regressors.errors import NoHead
from regressors.folds import inner_folds
from regressors.heads import HEADS
from regressors.svr import SVR, LinearSVR, LinearSVRTuner, SVRPrepared, SVRTuner

WITHIN, CLOSE = 1e-2, 1e-4
KINDS = {"rbf": (SVR, SVRTuner), "linear": (LinearSVR, LinearSVRTuner)}
# C and epsilon over the spread of the scores, gamma times the number of columns
SETTINGS = [(0.1, 0.1, 1e-3), (1.0, 1.0, 0.1), (30.0, 0.03, 0.5)]


def setting(kind: str, X, y, number: int) -> dict[str, float]:
    """The parameters of one of SETTINGS for these data."""
    (C, gamma, epsilon), p, spread = SETTINGS[number], X.shape[1], np.std(y)
    if kind == "rbf":
        return {"C": C * spread, "gamma": gamma / p, "epsilon": epsilon * spread}
    return {"C": C * spread / p, "epsilon": epsilon * spread}


def reference(kind: str, X, y, X_new, params) -> np.ndarray:
    """What scikit-learn predicts."""
    model = svm.SVR(kernel=kind, tol=1e-6 * np.std(y), **params)
    return make_pipeline(StandardScaler(), model).fit(np.float64(X), y).predict(np.float64(X_new))


def problem(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns of unlike scale, and scores on 0..100 that bend with the first."""
    rng = np.random.default_rng(n + p)
    X = rng.normal(size=(n, p)) @ (rng.normal(size=(p, p)) / np.sqrt(p)) * rng.uniform(0.01, 50, p)
    z = X[:, 0] / X[:, 0].std()
    return X + rng.normal(size=p), 60 + 10 * z + 3 * z**2 + rng.normal(0, 3, n)


def duplicated(n, p):
    """Every row stands there twice, with scores that differ."""
    X, y = problem(n // 2, p)
    return np.repeat(X, 2, axis=0), np.repeat(y, 2) + np.tile([0.0, 5.0], n // 2)


PROBLEMS = {problem: "problem", duplicated: "duplicated"} | {
    partial(spoilt, make=problem): spoilt.__name__
    for spoilt in (problems.constant, problems.offset, problems.one_column)
}


def tuned(kind, n=60, p=90):
    """A tuner, its data and its inner folds."""
    X, y = problem(n, p)
    X = X.astype(np.float32)
    folds = inner_folds(np.arange(n) // 3, 0)
    return KINDS[kind][1](X, y, folds), X, y, folds


@pytest.fixture(params=["float64", "float32"])
def precision(request, monkeypatch):
    """Small and large training parts: the latter in float32, of many blocks."""
    if request.param == "float32":
        monkeypatch.setattr(regressors.kernels, "EXACT", 0)
        monkeypatch.setattr(regressors.kernels, "BLOCK", 7)
        monkeypatch.setattr(regressors.kernels, "CELLS", 200)
    return request.param


@pytest.mark.parametrize("shape", [(40, 90), (90, 12)])
@pytest.mark.parametrize("make", PROBLEMS, ids=PROBLEMS.get)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_predictions_equal_scikit_learn(make, shape, kind, number, precision, monkeypatch):
    """With more rows or more columns, at the usual tolerance and at a low one."""
    X, y = make(*shape)
    rng = np.random.default_rng(9)
    X_new = X[rng.integers(0, len(X), 20)]
    X_new = X_new + (0.1 * X.std(axis=0) * rng.normal(size=X_new.shape)).astype(X.dtype)
    params = setting(kind, X, y, number)
    expected = reference(kind, X, y, X_new, params)
    monkeypatch.setattr(regressors.svr, "FINAL_STEPS", 10_000)  # which a low tolerance takes
    for tolerance, bound in ((regressors.svr.TOLERANCE, WITHIN), (1e-6, CLOSE)):
        monkeypatch.setattr(regressors.svr, "TOLERANCE", tolerance)
        model = KINDS[kind][0](**params).fit(X, y)
        found = model.predict(X_new)
        if PROBLEMS[make] == "one_column" and kind == "linear":
            # often a whole interval of intercepts is best: ours must lose no more than theirs
            theirs = y - reference(kind, X, y, X, params)
            losses = [
                np.maximum(np.abs(errors) - params["epsilon"], 0).sum()
                for errors in (y - model.predict(X), theirs)
            ]
            assert losses[0] <= losses[1] + len(y) * tolerance * y.std()
            found += np.mean(expected - found)
        np.testing.assert_allclose(found, expected, 0, bound * y.std())


@pytest.mark.parametrize("shape", [(50, 200), (120, 8)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_solution_is_optimal(shape, kind, number, precision):
    """The weights are feasible, and no better ones exist: the duality gap is next to nothing.

    A violation of at most t for each of n rows whose weights are at most C leaves a gap of n C t.
    """
    X, y = problem(*shape)
    Z = StandardScaler().fit_transform(X)
    params = setting(kind, X, y, number)
    C, epsilon = params["C"], params["epsilon"]
    if kind == "rbf":
        model = SVR(**params).fit(X, y)
        K, dual = np.exp(-params["gamma"] * cdist(Z, Z, "sqeuclidean")), np.zeros(len(y))
        dual[model.support_] = model.dual_
        assert np.abs(dual).max() <= C * (1 + 1e-12)
        assert abs(dual.sum()) < 1e-9 * C * len(y)
        scores, norm = K @ dual + model.intercept_, dual @ K @ dual
    else:
        # weights of the rows exist only inside libsvm: those of the columns have to do
        model = LinearSVR(**params).fit(X, y)
        found = svm.SVR(kernel="linear", tol=1e-8 * y.std(), **params).fit(Z, y)
        dual = np.zeros(len(y))
        dual[found.support_] = found.dual_coef_[0]
        scores, norm = Z @ model.coef_ + model.intercept_, model.coef_ @ model.coef_
    loss = np.maximum(np.abs(y - scores) - epsilon, 0)
    primal = norm / 2 + C * loss.sum()
    best = norm if kind == "rbf" else np.sum((Z.T @ dual) ** 2)
    gap = primal - (dual @ y - epsilon * np.abs(dual).sum() - best / 2)
    assert -1e-6 * primal <= gap <= len(y) * C * regressors.svr.TOLERANCE * y.std()


@pytest.mark.parametrize("shape", [(60, 90), (90, 20)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_tuner_equals_refitting(shape, kind, number, precision, monkeypatch):
    """Out-of-fold predictions and the score are those of scikit-learn refitted on every fold."""
    monkeypatch.setattr(regressors.svr, "TOLERANCE", 1e-6)
    monkeypatch.setattr(regressors.svr, "STEPS", 10_000)  # which a low tolerance takes
    monkeypatch.setattr(regressors.svr, "FINAL_STEPS", 10_000)
    tuner, X, y, folds = tuned(kind, *shape)
    params = setting(kind, X, y, number)
    expected, scores = np.zeros(len(y)), []
    for train, valid in folds:
        expected[valid] = reference(kind, X[train], y[train], X[valid], params)
        scores.append(spearmanr(y[valid], expected[valid]).statistic)
    found = tuner.out_of_fold(params)
    np.testing.assert_allclose(found, expected, 0, CLOSE * y.std())
    assert tuner.score(params) == pytest.approx(np.mean(scores), abs=1e-2)
    whole = reference(kind, X, y, X, params)
    np.testing.assert_allclose(tuner.fitted(params).predict(X), whole, 0, CLOSE * y.std())


@pytest.mark.parametrize("kind", KINDS)
def test_tuner_takes_rows_of_a_larger_matrix(kind):
    """Neither rows outside the training part nor their order in the matrix matter."""
    tuner, X, y, folds = tuned(kind)
    rows = np.random.default_rng(0).permutation(100)[: len(y)]
    larger = np.full((100, X.shape[1]), np.nan, np.float32)
    larger[rows] = X
    params = setting(kind, X, y, 1)
    found = KINDS[kind][1](larger, y, folds, rows).out_of_fold(params)
    assert np.array_equal(found, tuner.out_of_fold(params))


@pytest.mark.parametrize("kind", KINDS)
def test_trials_do_not_touch_each_other(kind, precision):
    """A trial gives the same bits whatever ran before it, and writes to nothing it was given."""
    tuner, X, y, folds = tuned(kind)
    X_before, y_before = X.copy(), y.copy()
    trials = [setting(kind, X, y, number) for number in range(len(SETTINGS))]
    forth = [tuner.out_of_fold(params) for params in trials]
    back = [tuner.out_of_fold(params) for params in reversed(trials)]
    fresh = [KINDS[kind][1](X, y, folds).out_of_fold(params) for params in trials]
    assert np.array_equal(forth, back[::-1])
    assert np.array_equal(forth, fresh)
    assert np.array_equal(X, X_before)
    assert np.array_equal(y, y_before)


@pytest.mark.parametrize("factor", [1e-5, 1e-3, 1e3, 1e6])
@pytest.mark.parametrize("kind", KINDS)
def test_scale_of_the_scores_does_not_matter(kind, factor):
    """Scores times 1,000 make the space and the predictions 1,000 times as large."""
    tuner, X, y, folds = tuned(kind)
    other = KINDS[kind][1](X, factor * y - 3 * factor, folds)
    for name in ("C", "epsilon"):
        here, there = tuner.space[name], other.space[name]
        assert there.low == pytest.approx(factor * here.low, rel=1e-9)
        assert there.high == pytest.approx(factor * here.high, rel=1e-9)
    params = setting(kind, X, y, 1)
    scaled = {name: value * (1 if name == "gamma" else factor) for name, value in params.items()}
    expected = factor * (tuner.out_of_fold(params) - 3)
    # the last bits of the scores may lead libsvm along another path to its tolerance
    np.testing.assert_allclose(other.out_of_fold(scaled), expected, 0, WITHIN * factor * y.std())
    found = other.fitted(scaled).predict(X)
    expected = factor * (tuner.fitted(params).predict(X) - 3)
    np.testing.assert_allclose(found, expected, 0, WITHIN * factor * y.std())


@pytest.mark.parametrize("kind", KINDS)
def test_space_holds_what_data_ask_for(kind):
    """Its edges are multiples of the data; only epsilon may end where nothing is beyond."""
    tuner, X, y, _ = tuned(kind)
    spread, p = y.std(), X.shape[1]
    scales = {"C": spread if kind == "rbf" else spread / p, "epsilon": spread, "gamma": 1 / p}
    middles = {"C": 1.0, "epsilon": 0.1, "gamma": 1.0}
    assert tuner.space.keys() == KINDS[kind][0]().get_params().keys()
    for name, distribution in tuner.space.items():
        assert distribution.log
        assert distribution.low <= 0.1 * middles[name] * scales[name]
        assert distribution.high >= 9 * middles[name] * scales[name]
    assert tuner.natural == {("epsilon", "low")}


@pytest.mark.parametrize("kind", KINDS)
def test_no_end_is_no_head(kind, monkeypatch):
    """A trial that libsvm does not end gives no head; a final fit warns and keeps what it has."""
    tuner, X, y, _ = tuned(kind)
    params = setting(kind, X, y, 2)
    monkeypatch.setattr(regressors.svr, "LEAST", 0)
    monkeypatch.setattr(regressors.svr, "STEPS", 1)
    monkeypatch.setattr(regressors.svr, "FINAL_STEPS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NoHead, match="did not converge in 1 steps a training row"):
            tuner.predictions(params)
    with pytest.warns(ConvergenceWarning, match="stopped after 1 steps"):
        model = tuner.fitted(params)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_support_is_no_head(kind):
    """An epsilon that swallows every row leaves a constant: no head, but an estimator."""
    tuner, X, y, _ = tuned(kind)
    params = {**setting(kind, X, y, 1), "epsilon": 2 * np.ptp(y)}
    with pytest.raises(NoHead, match="epsilon"):
        tuner.predictions(params)
    assert np.ptp(tuner.fitted(params).predict(X)) == 0
    flat = KINDS[kind][0]().fit(X, np.full(len(y), 7))
    np.testing.assert_array_equal(flat.predict(X), 7)


@pytest.mark.parametrize("kind", KINDS)
def test_unused_tuner_travels_light(kind):
    """Nothing is computed before it is asked for; the copy predicts the same bits."""
    tuner, X, y, _ = tuned(kind)
    sent = pickle.dumps(tuner)
    assert len(sent) < X.nbytes + 20_000
    params = setting(kind, X, y, 1)
    copy = pickle.loads(sent)
    assert np.array_equal(copy.out_of_fold(params), tuner.out_of_fold(params))


def test_targets_share_what_pictures_give(monkeypatch):
    """Two targets and both kernels on one Prepared: the pairs are made once for each kernel."""
    made, real = [], regressors.svr.Pairs
    monkeypatch.setattr(regressors.svr, "Pairs", lambda *a, **k: made.append(1) or real(*a, **k))
    _, X, y, folds = tuned("rbf")
    prepared = SVRPrepared(X, folds)
    for kind, (_, Kind) in KINDS.items():
        for target in (y, y**2):
            tuner = Kind(X, target, folds, prepared=prepared)
            params = setting(kind, X, target, 1)
            found = tuner.out_of_fold(params)
            assert np.array_equal(found, Kind(X, target, folds).out_of_fold(params))
    # five inner folds for each kernel; and again for each of the four tuners that share nothing
    assert len(made) == 5 * (2 + 4)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_predict_the_same(kind):
    """The head's arrays are float64 and give the model's own predictions."""
    tuner, X, y, _ = tuned(kind)
    model = tuner.fitted(setting(kind, X, y, 1))
    arrays = model.arrays()
    assert {values.dtype for values in arrays.values()} == {np.dtype(float)}
    np.testing.assert_allclose(HEADS[tuner.head](arrays, X), model.predict(X), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn_contract(kind):
    """Cloning copies the parameters and nothing fitted; changed parameters wait for `fit`."""
    X, y = problem(30, 4)
    model = KINDS[kind][0](C=3.0)
    assert model.fit(X, y) is model
    before = model.predict(X)
    assert np.array_equal(model.set_params(C=0.01).predict(X), before)
    copy = clone(model)
    assert copy.C == 0.01
    with pytest.raises(NotFittedError):
        copy.predict(X)
    with pytest.raises(ValueError, match="expected 4 columns, got 3"):
        model.predict(X[:, :3])
    if kind == "rbf":
        assert np.array_equal(model.set_params(C=3.0, gamma=9.0).predict(X), before)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
@pytest.mark.parametrize("kind", KINDS)
def test_parameters_must_be_positive(kind, value):
    """Except for epsilon, which may be 0."""
    X, y = problem(30, 4)
    for name in KINDS[kind][0]().get_params():
        if name == "epsilon" and value == 0:
            continue
        with pytest.raises(ValueError, match=f"{name} must be above 0"):
            KINDS[kind][0](**{name: value}).fit(X, y)
    assert np.isfinite(KINDS[kind][0](epsilon=0).fit(X, y).predict(X)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bad_arrays_are_refused(kind):
    """Values that are not finite, lengths that differ and a single row are errors."""
    X, y = problem(30, 4)
    Kind = KINDS[kind][0]
    with pytest.raises(ValueError, match="NaN"):
        Kind().fit(np.where(X[3, 2] == X, np.nan, X), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Kind().fit(X, y[:-1])
    with pytest.raises(ValueError, match="minimum of 2"):
        Kind().fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="NaN"):
        Kind().fit(X, y).predict(np.full((1, 4), np.nan))


def test_small_data_are_searched_to_the_end():
    """The bound on steps takes nothing from them: every corner of the RBF space has a head."""
    X, y = problem(60, 20)
    tuner = SVRTuner(X, y, inner_folds(np.arange(60), 0))
    low, high = (
        {name: getattr(space, end) for name, space in tuner.space.items()}
        for end in ("low", "high")
    )
    for C in (low["C"], high["C"]):
        for gamma in (low["gamma"], high["gamma"]):
            params = {"C": C, "gamma": gamma, "epsilon": low["epsilon"]}
            assert np.isfinite(tuner.out_of_fold(params)).all()
