"""A head's arrays predict what the fitted model predicts."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import regressors.heads
from regressors.heads import HEADS, distance, predict_linear, predict_rbf, standardised
from regressors.ridge import Ridge

RELATIVE = 1e-12


@pytest.fixture(scope="module", params=[(40, 90), (90, 40)], ids=["wide", "tall"])
def fitted(request):
    """A ridge on float32 embeddings of unlike scale, and these embeddings."""
    n, p = request.param
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, p)) * rng.uniform(0.1, 10, p) + 5).astype(np.float32)
    return Ridge(10.0).fit(X, 50 + X[:, 0] + rng.normal(size=n)), X


def test_arrays_predict_the_same(fitted):
    """The linear head and the model agree on known and on new rows."""
    model, X = fitted
    new = X[::-1] * 3 - 1
    for rows in (X, new):
        found = HEADS["linear"](model.arrays(), rows)
        np.testing.assert_allclose(found, model.predict(rows), rtol=RELATIVE)


def test_arrays_are_float64(fitted):
    """All that is shared is float64, whatever the embeddings were; four arrays say it all."""
    model, X = fitted
    arrays = model.arrays()
    shapes = {name: values.shape for name, values in arrays.items()}
    p = (X.shape[1],)
    assert shapes == {"mean": p, "scale": p, "coef": p, "intercept": (1,)}
    assert {values.dtype for values in arrays.values()} == {np.dtype(float)}


def test_linear_is_a_sum():
    """A head of two columns, by hand."""
    arrays = {
        "mean": np.array([1.0, 2.0]),
        "scale": np.array([2.0, 0.5]),
        "coef": np.array([10.0, -1.0]),
        "intercept": np.array([50.0]),
    }
    assert predict_linear(arrays, np.array([[1, 2], [3, 2], [1, 3]])).tolist() == [50, 60, 48]


def rbf_head(s=30, p=20):
    """The arrays of an RBF head whose columns are of unlike scale."""
    rng = np.random.default_rng(2)
    return {
        "mean": rng.normal(size=p),
        "scale": rng.uniform(0.1, 10, p),
        "support": rng.normal(size=(s, p)),
        "dual": rng.normal(size=s),
        "intercept": np.array([50.0]),
        "gamma": np.array([0.5 / p]),
    }


def test_rbf_by_hand():
    """One support vector at (1, 2): a kernel of 1 there, of exp(-1/4) one deviation away."""
    arrays = {
        "mean": np.array([0.0, 2.0]),
        "scale": np.array([1.0, 0.5]),
        "support": np.array([[1.0, 0.0]]),
        "dual": np.array([8.0]),
        "intercept": np.array([50.0]),
        "gamma": np.array([0.25]),
    }
    found = predict_rbf(arrays, np.array([[1, 2], [2, 2], [1, 2.5], [1e9, 2]]))
    near = 50 + 8 * np.exp(-0.25)
    np.testing.assert_allclose(found, [58, near, near, 50], rtol=RELATIVE)


@pytest.mark.parametrize("s", [0, 1, 30])
def test_rbf_is_a_sum_of_kernels(s, monkeypatch):
    """The same from SciPy's distances; at the support, anywhere, and some rows at a time."""
    arrays = rbf_head(s)
    rows = np.random.default_rng(3).normal(size=(50, 20)) * 3
    rows = np.concatenate([arrays["support"] * arrays["scale"] + arrays["mean"], rows])
    squared = cdist((rows - arrays["mean"]) / arrays["scale"], arrays["support"], "sqeuclidean")
    expected = 50 + np.exp(-arrays["gamma"] * squared) @ arrays["dual"]
    np.testing.assert_allclose(predict_rbf(arrays, rows), expected, rtol=1e-11)
    for cells in (1, 100, 1000):
        monkeypatch.setattr(regressors.heads, "CELLS", cells)
        np.testing.assert_allclose(predict_rbf(arrays, rows), expected, rtol=1e-11)
    assert predict_rbf(arrays, rows[:0]).shape == (0,)
    assert predict_rbf(arrays, rows.astype(np.float32)).dtype == float


def test_rows_do_not_touch_each_other(fitted):
    """Neither the order of the rows nor their batch changes a score or a distance."""
    model, X = fitted
    arrays = model.arrays()
    order = np.random.default_rng(1).permutation(len(X))
    for score in (predict_linear, distance):
        expected = score(arrays, X)
        np.testing.assert_allclose(score(arrays, X[order]), expected[order], rtol=RELATIVE)
        for size in (1, 7):
            parts = [score(arrays, X[start : start + size]) for start in range(0, len(X), size)]
            np.testing.assert_allclose(np.concatenate(parts), expected, rtol=RELATIVE)


def test_training_data_lie_at_one(fitted):
    """The mean squared distance of the training rows is 1; ten deviations away is 10."""
    model, X = fitted
    arrays = model.arrays()
    assert np.mean(distance(arrays, X) ** 2) == pytest.approx(1, rel=1e-9)
    assert np.median(distance(arrays, X)) == pytest.approx(1, abs=0.1)
    far = arrays["mean"] + 10 * arrays["scale"]
    np.testing.assert_allclose(distance(arrays, far[None]), [10])
    np.testing.assert_allclose(standardised(arrays, X).std(axis=0), 1, rtol=1e-9)


def test_constant_columns_in_training_stay_finite():
    """Columns without variation neither divide by zero nor make a training row look far."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 6))
    X[:, :3] = 0.1, 0.0, -7.7
    model = Ridge().fit(X, X[:, 5])
    np.testing.assert_allclose(np.mean(distance(model.arrays(), X) ** 2), 0.5, rtol=1e-9)
    later = X + np.array([0.5, 0, 0, 0, 0, 0])
    assert distance(model.arrays(), later).max() < 5
