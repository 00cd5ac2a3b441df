"""Standardised copies against scikit-learn, of many row subsets at once, in every library."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from regressors import standardising
from regressors.device import host
from regressors.standardising import chunks, standardise, standardisers

strict = pytest.importorskip("array_api_strict", reason="the extra dev installs it")
torch = pytest.importorskip("torch")
MAKERS = [np.asarray, torch.asarray, strict.asarray]


def problem() -> np.ndarray:
    """Float32 columns of unlike scale, far from zero; two never change."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 12)) * rng.uniform(0.01, 50, 12) + 100 * rng.normal(size=12)
    X[:, 4], X[:, 7] = 0.1, 0.0
    return X.astype(np.float32)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_copy_is_scikit_learn_s(make, dtype, monkeypatch):
    """Made of some columns at a time; the matrix itself stays as it is."""
    monkeypatch.setattr(standardising, "_CHUNK", 5)
    X = problem()
    scaler = StandardScaler().fit(X.astype(float))
    Z, mean, scale = standardise(make(X), dtype)
    np.testing.assert_allclose(mean, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(scale, scaler.scale_, rtol=1e-12)
    assert host(Z).dtype == dtype
    expected = scaler.transform(X.astype(float))
    np.testing.assert_allclose(host(Z), expected, 0, 1e-6 if dtype == np.float32 else 1e-12)
    assert np.array_equal(X, problem())


@pytest.mark.parametrize("make", MAKERS)
def test_every_part_has_its_own(make, monkeypatch):
    """Means and scales of row subsets; a column that is constant in one is known there."""
    monkeypatch.setattr(standardising, "_CHUNK", 5)
    X = problem()
    X[:40, 2] = 3
    mask = np.zeros((80, 3), np.float32)
    mask[:40, 0], mask[20:, 1], mask[::3, 2] = 1, 1, 1
    Z, mean, scale = standardise(make(X))
    means, scales, varying = standardisers(Z, mask)
    for part in range(3):
        scaler = StandardScaler().fit(X[mask[:, part] == 1].astype(float))
        same = np.flatnonzero(varying[:, part])
        assert set(range(12)) - set(same) == ({2, 4, 7} if part == 0 else {4, 7})
        np.testing.assert_allclose((mean + scale * means[:, part]), scaler.mean_, rtol=1e-5)
        found = (scale * scales[:, part])[same]
        np.testing.assert_allclose(found, scaler.scale_[same], rtol=1e-5)
        assert (scales[~varying[:, part], part] == 1).all()


@pytest.mark.parametrize("n_dims", [1, 1024, 1025, 5000])
def test_chunks_hold_each_column_once(n_dims):
    """In order, and none ends beyond the last."""
    columns = np.concatenate([np.arange(n_dims)[some] for some in chunks(n_dims)])
    assert np.array_equal(columns, np.arange(n_dims))
    assert chunks(n_dims)[-1].stop == n_dims
