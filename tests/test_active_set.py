"""The solver against the optimality conditions, and its gap against scikit-learn's objective."""

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from regressors import active_set
from regressors.active_set import TOLERANCE, descend, gap, guess, signs, soft, solve
from regressors.errors import NoHead

PENALTIES = [(0.5, 1e-1), (0.1, 1e-3), (0.02, 1.0), (0.003, 1e-2), (0.01, 1e-5)]


class Dense:
    """Correlations as plain as can be."""

    def __init__(self, matrix):
        self.matrix = matrix

    def __len__(self):
        return len(self.matrix)

    def product(self, v):
        return self.matrix @ v

    def solve(self, active, target, l2, share):
        return np.linalg.solve(
            self.matrix[np.ix_(active, active)] + l2 * np.eye(len(active)), target
        )

    def within(self, kept):
        return Dense(self.matrix[np.ix_(kept, kept)])


class Rough(Dense):
    """What float32 sums and an iteration that stops early make of it: relative errors of 1e-3."""

    def product(self, v):
        return super().product(v) * (1 + 1e-3 * np.sin(np.arange(len(v))))

    def solve(self, active, target, l2, share):
        return super().solve(active, target, l2, share) * (1 + 1e-3 * np.cos(active))


class Case:
    """Standardised rows, scores of variance 1, and what the solver asks of them."""

    def __init__(self, n, p, seed=0):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) / np.sqrt(p) + rng.normal(size=(n, 1))
        self.X = (X - X.mean(axis=0)) / X.std(axis=0)
        y = X[:, 0] - X[:, -1] / 2 + rng.normal(size=n)
        self.y = (y - y.mean()) / y.std()
        self.G = self.X.T @ self.X / n
        self.c = self.correlations(np.zeros(p))
        self.l1 = np.abs(self.c).max()
        self.l2 = np.linalg.eigvalsh(self.G)[-1]

    def correlations(self, v):
        return self.X.T @ (self.y - self.X @ v) / len(self.y)

    def objective(self, v, l1, l2):
        residuals = self.y - self.X @ v
        return residuals @ residuals / 2 / len(self.y) + l1 * np.abs(v).sum() + l2 / 2 * v @ v


CASES = [Case(30, 80), Case(80, 30), Case(40, 1)]


@pytest.mark.parametrize("form", [Dense, Rough])
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.X.shape))
@pytest.mark.parametrize("penalties", PENALTIES)
def test_optimality(case, penalties, form):
    """Active columns correlate by l1 plus l2 v, others by at most l1, however rough."""
    l1, l2 = penalties[0] * case.l1, penalties[1] * case.l2
    v = solve(form(case.G), case, case.c, l1, l2, 1e-14)
    z, active = case.correlations(v), v != 0
    np.testing.assert_allclose((z - l2 * v)[active], l1 * np.sign(v[active]), 0, 1e-5 * case.l1)
    assert np.all(np.abs(z[~active]) <= l1 + 1e-5 * case.l1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.X.shape))
@pytest.mark.parametrize("penalties", PENALTIES[:4])
def test_gap_bounds_the_distance_to_the_best_objective(case, penalties):
    """Wherever it is asked, and it is zero at scikit-learn's solution."""
    l1, l2 = penalties[0] * case.l1, penalties[1] * case.l2
    model = ElasticNet(
        alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-12, max_iter=10**6
    )
    best = model.fit(case.X, case.y).coef_
    least = case.objective(best, l1, l2)
    assert 0 <= gap(best, case.correlations(best), l1, l2) < 1e-9
    rng = np.random.default_rng(1)
    for size in (0, 1e-3, 1.0):
        v = best + size * rng.normal(size=len(best))
        found = gap(v, case.correlations(v), l1, l2)
        above = case.objective(v, l1, l2) - least
        assert above <= found + 1e-9
    assert gap(np.zeros(len(best)), case.c, case.l1, l2) == 0


def test_a_start_changes_the_way_and_not_the_solution():
    """Signs of other penalties, of nothing, and wrong ones all lead to the same coefficients."""
    case = CASES[0]
    l1, l2 = 0.05 * case.l1, 1e-2 * case.l2
    expected = solve(Dense(case.G), case, case.c, l1, l2, 1e-16)
    near = signs(Dense(case.G), case.c, 0.08 * case.l1, 2e-2 * case.l2, 1e-4)
    assert set(near) == {-1, 0, 1}
    for start in (near, -near, np.zeros(80), np.ones(80), np.sign(expected)):
        found = solve(Dense(case.G), case, case.c, l1, l2, 1e-16, start)
        np.testing.assert_allclose(found, expected, 0, 1e-7 * np.abs(expected).max())


def test_the_right_signs_need_no_step():
    """They give the solution at once; no signs give zeros."""
    case = CASES[1]
    l1, l2 = 0.1 * case.l1, 1e-3 * case.l2
    v = solve(Dense(case.G), case, case.c, l1, l2, 1e-18)
    found, z = guess(Dense(case.G), case.c, l1, l2, np.sign(v))
    np.testing.assert_allclose(found, v, 0, 1e-9)
    assert gap(found, z, l1, l2) < 1e-18
    assert not guess(Dense(case.G), case.c, l1, l2, None)[0].any()


def test_columns_left_out_are_left_alone():
    """Steps in some columns change nothing of the others."""
    case = CASES[0]
    l1, l2, kept = 0.1 * case.l1, 1e-2 * case.l2, np.arange(0, 80, 4)
    v, z = descend(Dense(case.G), np.zeros(80), case.c, l1, l2, 1e-14, kept)
    others = np.setdiff1d(np.arange(80), kept)
    assert not v[others].any()
    np.testing.assert_array_equal(z[others], case.c[others])
    alone = Dense(case.G).within(kept), np.zeros(20), case.c[kept], l1, l2, 1e-14, np.arange(20)
    np.testing.assert_array_equal(v[kept], descend(*alone)[0])


def test_a_detour_helps(monkeypatch):
    """Where the direct way takes too many steps, larger l2 show another."""
    case = Case(40, 300)
    l1, l2 = 0.01 * case.l1, 1e-5 * case.l2
    expected = solve(Dense(case.G), case, case.c, l1, l2, TOLERANCE)
    monkeypatch.setattr(active_set, "MAX_STEPS", 30)
    with pytest.raises(NoHead, match="did not converge"):
        solve(Dense(case.G), case, case.c, l1, l2, TOLERANCE, detours=0)
    found = solve(Dense(case.G), case, case.c, l1, l2, TOLERANCE)
    assert gap(found, case.correlations(found), l1, l2) <= TOLERANCE
    assert np.linalg.norm(case.X @ (found - expected)) ** 2 / 40 <= 4 * TOLERANCE


def test_no_convergence_is_no_head(monkeypatch):
    """Too few steps, and steps in a wrong direction, end as no head and never as wrong numbers."""
    case = CASES[0]
    l1, l2 = 0.01 * case.l1, 1e-3 * case.l2
    backwards = Dense(-case.G)
    with pytest.raises(NoHead):
        solve(backwards, case, case.c, l1, l2, TOLERANCE)
    monkeypatch.setattr(active_set, "MAX_STEPS", 1)
    assert not signs(Dense(case.G), case.c, l1, l2, 1e-9).any()
    with pytest.raises(NoHead, match="did not converge"):
        solve(Dense(case.G), case, case.c, l1, l2, TOLERANCE)


def test_soft():
    """Towards zero by l1, and not beyond."""
    np.testing.assert_array_equal(soft(np.array([-3.0, -1, 0, 0.5, 2]), 1.0), [-2, 0, 0, 0, 1])
