"""Both forms against dense linear algebra in float64, solved directly and iteratively."""

import numpy as np
import pytest

from regressors import correlations
from regressors.blockwise import Standardised
from regressors.correlations import Gram, Rows
from regressors.errors import NoHead

# largest error, over the largest number: by what is kept
EXACT, ROUNDED = {np.float64: 1e-9, np.float32: 1e-5}, {np.float64: 1e-5, np.float32: 1e-3}


def part(n, p):
    """Correlated columns."""
    rng = np.random.default_rng(n + p)
    X = rng.normal(size=(n, 20)) @ rng.normal(size=(20, p)) + 0.3 * rng.normal(size=(n, p))
    return Standardised(X, np.arange(n))


def close(found, expected, bound):
    """Compare up to a share of the largest number."""
    np.testing.assert_allclose(found, expected, 0, bound * np.abs(expected).max())


@pytest.fixture(params=["directly", "iteratively"])
def way(request, monkeypatch):
    """Small systems are solved either way."""
    if request.param == "iteratively":
        monkeypatch.setattr(correlations, "DIRECT", 5)
        monkeypatch.setattr(correlations, "N_EIGENVECTORS", 25)
    return request.param


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("form", [Gram, Rows])
@pytest.mark.parametrize("shape", [(30, 80), (120, 40)])
def test_products_and_solutions(form, shape, dtype, way):
    """Of few columns and many, one after the other, and within some columns only."""
    own = part(*shape)
    Z = own.columns(float)
    G, l2 = Z @ Z.T / shape[0], 0.05
    found = form.of(own, dtype)
    assert len(found) == shape[1]
    assert (found.factor is None) == (way == "directly")
    rng = np.random.default_rng(0)
    bound = (EXACT if way == "directly" else ROUNDED)[dtype]
    for n_active in (1, 30, 6, shape[1], 35):
        active = np.sort(rng.permutation(shape[1])[:n_active])
        target = rng.normal(size=n_active)
        exact = np.linalg.solve(G[np.ix_(active, active)] + l2 * np.eye(n_active), target)
        close(found.solve(active, target, l2, 1e-6), exact, 10 * bound)
        v = np.zeros(shape[1])
        v[active] = target
        close(found.product(v), G @ v, EXACT[dtype])
    kept = np.flatnonzero(rng.random(shape[1]) < 0.7)
    some, active = found.within(kept), np.arange(0, len(kept), 2)
    inner = G[np.ix_(kept, kept)]
    target = rng.normal(size=len(active))
    exact = np.linalg.solve(inner[np.ix_(active, active)] + l2 * np.eye(len(active)), target)
    close(some.solve(active, target, l2, 1e-6), exact, 10 * bound)
    close(some.product(np.ones(len(kept))), inner.sum(axis=1), EXACT[dtype])


@pytest.mark.parametrize("form", [Gram, Rows])
def test_begun_anew_it_gives_the_same_bits(form):
    """Whatever was solved before."""
    own, rng = form.of(part(30, 80), float), np.random.default_rng(0)
    active, target = np.arange(3, 70), rng.normal(size=67)
    first = own.anew().solve(active, target, 0.05, 1e-6)
    used = own.anew()
    for _ in range(3):
        columns = np.flatnonzero(rng.random(80) < 0.8)
        used.solve(columns, np.ones(len(columns)), 0.05, 1e-6)
    np.testing.assert_array_equal(own.anew().solve(active, target, 0.05, 1e-6), first)
    np.testing.assert_allclose(used.solve(active, target, 0.05, 1e-6), first, rtol=1e-8)


def test_few_iterations_are_enough(monkeypatch):
    """With the largest eigenvectors as a preconditioner, far fewer than the columns are many."""
    monkeypatch.setattr(correlations, "DIRECT", 5)
    own = Rows.of(part(150, 400), float)
    steps, product = [], own._within_active

    def counted(active):
        apply = product(active)
        return lambda d: steps.append(1) or apply(d)

    monkeypatch.setattr(own, "_within_active", counted)
    own.solve(np.arange(300), np.random.default_rng(0).normal(size=300), 0.05, 1e-3)
    assert 0 < len(steps) < 20


def test_dependent_columns_without_a_penalty_are_no_head():
    """What rounding makes indefinite is said, not solved."""
    own = Gram(np.ones((3, 3)))
    with pytest.raises(NoHead, match="depend on each other"):
        own.solve(np.arange(3), np.ones(3), 1e-18, 1e-3)
