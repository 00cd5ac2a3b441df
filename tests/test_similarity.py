"""Centred kernel alignment: closed forms."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from regressors.similarity import linear_cka


def test_rotation_scale_and_shift_change_nothing():
    """What a linear head cannot see, it does not see."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 7))
    assert linear_cka(X, X) == pytest.approx(1)
    turned = 3 * X @ ortho_group.rvs(7, random_state=1) + rng.normal(size=7)
    assert linear_cka(X, turned) == pytest.approx(1, abs=1e-12)
    other = rng.normal(size=(60, 7))
    assert linear_cka(X, other) < 0.4
    # columns without a number in them choose the other of the two ways
    wide = [np.hstack([Z, np.zeros((60, 70))]) for Z in (X, other)]
    assert linear_cka(*wide) == pytest.approx(linear_cka(X, other), abs=1e-12)


def test_two_columns_are_a_squared_correlation():
    """Of one column each it is Pearson's correlation, squared."""
    x, noise = np.random.default_rng(1).normal(size=(2, 50))
    y = x + noise
    expected = np.corrcoef(x, y)[0, 1] ** 2
    assert linear_cka(x[:, None], y[:, None]) == pytest.approx(expected, abs=1e-12)


def test_orthogonal_columns_have_nothing_in_common():
    """Columns that do not correlate give 0."""
    x = np.array([1.0, 1, -1, -1])[:, None]
    y = np.array([1.0, -1, 1, -1])[:, None]
    assert linear_cka(x, y) == pytest.approx(0, abs=1e-15)


def test_mistakes():
    """Other pictures, or no spread."""
    with pytest.raises(ValueError, match="the same pictures"):
        linear_cka(np.zeros((3, 1)), np.zeros((4, 1)))
    with pytest.raises(ValueError, match="all alike"):
        linear_cka(np.ones((3, 1)), np.arange(3.0)[:, None])
