"""Ridge and its path against scikit-learn in float64.

Predictions agree within 1e-8 of their spread (largest minus smallest) over the search space.
"""

import numpy as np
import pytest
from problems import constant, duplicated, offset, one_column, problem, repeated_columns
from scipy.stats import spearmanr
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regressors.folds import inner_folds
from regressors.ridge import Decomposition, ExactPath, Ridge, RidgeTuner
from regressors.scaling import standardiser
from regressors.table import REGRESSORS

ALPHAS = [1e-2, 1.0, 1e3, 1e7]
TOLERANCE = 1e-8


def reference(X, y, X_new, alpha) -> np.ndarray:
    """What scikit-learn predicts."""
    model = make_pipeline(StandardScaler(), linear_model.Ridge(alpha=alpha))
    return model.fit(np.asarray(X, float), y).predict(np.asarray(X_new, float))


PROBLEMS = [problem, constant, duplicated, repeated_columns, offset, one_column]


@pytest.mark.parametrize("shape", [(30, 80), (80, 30), (50, 50)])
@pytest.mark.parametrize("make", PROBLEMS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_predictions_equal_scikit_learn(make, shape, alpha):
    """Ridge and ExactPath predict scikit-learn's numbers, with more rows or more columns."""
    X, y = make(*shape)
    rng = np.random.default_rng(9)
    X_new = X[rng.integers(0, len(X), 20)] + np.float32(0.1) * X.std(axis=0) * rng.normal(
        size=(20, X.shape[1])
    )
    expected = reference(X, y, X_new, alpha)
    bound = TOLERANCE * np.ptp(expected)
    np.testing.assert_allclose(
        ExactPath(Decomposition(X, X_new), y).predict(alpha), expected, 0, bound
    )
    np.testing.assert_allclose(Ridge(alpha).fit(X, y).predict(X_new), expected, 0, bound)


def test_one_path_serves_every_alpha():
    """Asking for other alphas in between changes nothing."""
    X, y = problem(30, 80)
    path = ExactPath(Decomposition(X, X), y)
    first = path.predict(1.0)
    path.predict(1e5)
    assert np.array_equal(path.predict(1.0), first)


def test_inputs_are_left_alone():
    """Neither fitting writes to the caller's arrays."""
    for shape in ((30, 80), (80, 30)):
        X, y = problem(*shape)
        X_before, y_before = X.copy(), y.copy()
        Ridge().fit(X, y)
        ExactPath(Decomposition(X, X), y).predict(1.0)
        assert np.array_equal(X, X_before)
        assert np.array_equal(y, y_before)


@pytest.mark.parametrize("n", [2, 5, 100, 20_000])
@pytest.mark.parametrize("value", [0.0, 0.1, -0.7, 1e-20, 1e6 + 0.1])
def test_constant_column_has_scale_one(value, n):
    """However many rows, a constant column is known as one, as in scikit-learn."""
    X = np.full((n, 2), value)
    X[:, 1] = np.arange(n)
    mean, scale = standardiser(X)
    scaler = StandardScaler().fit(X)
    assert scale[0] == scaler.scale_[0] == 1
    np.testing.assert_allclose(mean, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(scale, scaler.scale_, rtol=1e-12)


def test_float32_rounding_is_no_constant():
    """A column that differs in the last bit of one float32 of many rows still has its own scale."""
    X = np.full((20_000, 1), 0.1, np.float32)
    X[7] = np.nextafter(X[7], np.float32(1))
    _, scale = standardiser(X.astype(float))
    assert 0 < scale[0] < 1e-9


def test_column_that_wakes_up_later():
    """A column constant in a large training part moves no prediction when it varies later."""
    X, y = problem(5000, 4)
    X[:, 2] = 0.1
    later = X[:10].copy()
    later[:, 2] = 0.9
    for predictions in (
        Ridge().fit(X, y).predict,
        lambda rows: ExactPath(Decomposition(X, rows), y).predict(1.0),
    ):
        np.testing.assert_allclose(predictions(later), predictions(X[:10]), rtol=1e-12)


def test_scikit_learn_contract():
    """Cloning copies the parameters and nothing fitted; fitting returns the model itself."""
    X, y = problem(30, 4)
    model = Ridge(alpha=3.0)
    assert model.get_params() == {"alpha": 3.0}
    assert model.fit(X, y) is model
    copy = clone(model)
    assert copy.alpha == 3.0
    with pytest.raises(NotFittedError):
        copy.predict(X)
    with pytest.raises(ValueError, match="expected 4 columns, got 3"):
        model.predict(X[:, :3])
    assert Ridge().set_params(alpha=2.0).alpha == 2.0
    fresh = Ridge(5.0).fit(X, y).predict(X)
    assert np.array_equal(model.set_params(alpha=5.0).fit(X, y).predict(X), fresh)
    assert model.score(X, y) == pytest.approx(1 - np.var(y - fresh) / np.var(y))


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan])
def test_penalty_must_be_positive(alpha):
    """No penalty, a negative one and NaN are refused at fitting."""
    with pytest.raises(ValueError, match="alpha must be above 0"):
        Ridge(alpha).fit(*problem(30, 4))


def test_bad_arrays_are_refused():
    """Values that are not finite, lengths that differ and a single row are errors."""
    X, y = problem(30, 4)
    with pytest.raises(ValueError, match="NaN"):
        Ridge().fit(np.where(X[3, 2] == X, np.nan, X), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Ridge().fit(X, y[:-1])
    with pytest.raises(ValueError, match="minimum of 2"):
        Ridge().fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="NaN"):
        Ridge().fit(X, y).predict(np.full((1, 4), np.nan))


@pytest.mark.parametrize("shape", [(60, 90), (90, 20)])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_tuner_equals_refitting(shape, alpha):
    """Out-of-fold predictions and the score are those of scikit-learn refitted on every fold."""
    X, y = problem(*shape)
    folds = inner_folds(np.arange(len(y)) // 3, 0)
    tuner = RidgeTuner(X.astype(np.float32), y, folds)
    X = X.astype(np.float32)
    expected, scores = np.zeros(len(y)), []
    for train, valid in folds:
        expected[valid] = reference(X[train], y[train], X[valid], alpha)
        scores.append(spearmanr(y[valid], expected[valid]).statistic)
    found = tuner.out_of_fold({"alpha": alpha})
    np.testing.assert_allclose(found, expected, 0, TOLERANCE * np.ptp(expected))
    assert tuner.score({"alpha": alpha}) == pytest.approx(np.mean(scores), abs=1e-12)


def test_row_in_no_validation_part_has_no_prediction():
    """It is NaN, never a number that was fitted on the row itself."""
    X, y = problem(40, 4)
    folds = inner_folds(np.arange(40), 0)
    found = RidgeTuner(X, y, folds[:4]).out_of_fold({"alpha": 1.0})
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), np.sort(folds[4][1]))


@pytest.mark.parametrize("name", REGRESSORS)
def test_every_regressor_is_whole(name):
    """A registered tuner has a space, a known head, and a fitted model that takes its arrays."""
    from regressors.heads import HEADS

    X, y = problem(40, 4)
    tuner = REGRESSORS[name](X, y, inner_folds(np.arange(40), 0))
    params = {key: distribution.high for key, distribution in tuner.space.items()}
    model = tuner.fitted(params)
    assert params.items() <= model.get_params().items()
    found = HEADS[tuner.head](model.arrays(), X)
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-10)
