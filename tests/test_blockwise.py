"""Standardised rows against scikit-learn's scaler and dense products."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from regressors.blockwise import Standardised


def matrix(n, p, dtype=np.float32):
    """Columns of unlike mean and scale, far from zero: only some of their float32 bits vary."""
    rng = np.random.default_rng(n + p)
    return (1000 + rng.uniform(0.1, 10, p) * rng.normal(size=(n, p))).astype(dtype)


@pytest.mark.parametrize("shape", [(200, 30), (70, 600), (3, 5), (2, 1)])
def test_equals_a_dense_standardised_copy(shape):
    """Columns, predictions and correlations, over several blocks of rows and of columns."""
    X = matrix(*shape)
    rng = np.random.default_rng(0)
    rows, others = rng.permutation(len(X))[: max(2, len(X) // 2)], np.arange(len(X))
    part = Standardised(X, rows)
    scaler = StandardScaler().fit(X[rows].astype(float))
    Z = scaler.transform(X.astype(float))
    np.testing.assert_allclose(part.mean, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(part.scale, scaler.scale_, rtol=1e-9)
    np.testing.assert_allclose(part.columns(float), Z[rows].T, 0, 1e-9)
    assert part.columns(np.float32).dtype == np.float32
    y = rng.normal(size=len(rows))
    for share in (0.1, 1.0):
        v = rng.normal(size=X.shape[1]) * (rng.random(X.shape[1]) < share)
        np.testing.assert_allclose(part.predict(others, v), Z @ v, 0, 1e-8)
        expected = Z[rows].T @ (y - Z[rows] @ v) / len(rows)
        np.testing.assert_allclose(part.correlations(y, v), expected, 0, 1e-8)
    largest = np.linalg.norm(Z[rows], 2) ** 2 / len(rows)
    assert part.largest() == pytest.approx(largest, rel=1e-3)


def test_a_constant_column_is_zero():
    """Whatever it is elsewhere, it has scale 1."""
    X = matrix(50, 4)
    X[:20, 2] = 0.1
    part = Standardised(X, np.arange(20))
    assert part.scale[2] == 1
    np.testing.assert_allclose(part.columns(float)[2], 0, atol=1e-15)


def test_the_largest_eigenvalue_of_opposite_columns():
    """Columns that cancel each other in a sum do not hide from it."""
    x = np.random.default_rng(0).normal(size=(30, 1))
    X = np.hstack([x, -x, x, -x])
    assert Standardised(X, np.arange(30)).largest() == pytest.approx(4, rel=1e-3)
