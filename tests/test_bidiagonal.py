"""Ridge on many training parts at once, against float64 solves of each part and penalty."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from regressors.base import Training
from regressors.bidiagonal import FLOOR, Part, paths
from regressors.device import HOST
from regressors.folds import inner_folds
from regressors.ridge import KrylovPath, RidgeTuner

SHARES = [10.0, 1.0, 1e-2, 1e-4, FLOOR]


def problem(n: int, p: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings with a spectrum that falls by powers, large means, and scores near 50."""
    rng = np.random.default_rng(seed)
    rank = min(n, p, 300)
    X = (rng.normal(size=(n, rank)) * np.arange(1, rank + 1) ** -0.8) @ rng.normal(size=(rank, p))
    X = X * np.exp(rng.normal(0, 2, p)) + 10 * rng.normal(size=p) + 0.02 * rng.normal(size=(n, p))
    signal = ((X - X.mean(0)) / X.std(0)) @ rng.normal(size=p)
    return X.astype(np.float32), 50 + 10 * (signal / signal.std() + 0.5 * rng.normal(size=n))


def parts_of(y: np.ndarray, n_parts: int = 4) -> list[Part]:
    """Training parts of different sizes that overlap."""
    rng = np.random.default_rng(1)
    sizes = np.linspace(0.4, 0.9, n_parts) * len(y)
    rows = [np.sort(rng.choice(len(y), int(size), replace=False)) for size in sizes]
    return [Part(own, y[own]) for own in rows]


def solved(X: np.ndarray, part: Part, alpha: float) -> np.ndarray:
    """scikit-learn's predictions of every row, in float64."""
    scaler = StandardScaler().fit(X[part.rows].astype(float))
    model = Ridge(alpha, solver="svd" if alpha < 1 else "auto")
    model.fit(scaler.transform(X[part.rows].astype(float)), part.y)
    return model.predict(scaler.transform(X.astype(float)))


@pytest.mark.parametrize("shape", [(700, 900), (900, 350)])
def test_every_part_and_penalty_is_scikit_learn_s(shape):
    """To 1e-4 of the spread, down to the floor; rows inside and outside of the training part."""
    X, y = problem(*shape)
    for path in paths(X, parts_of(y)):
        assert path.resolved <= FLOOR * path.largest
        for share in SHARES:
            alpha = share * path.largest
            expected = solved(X, path.part, alpha)
            found = path.predict(alpha, np.arange(len(X)))
            assert np.abs(found - expected).max() <= 1e-4 * expected.std()
            mean, scale = path.mean, path.scale
            by_hand = path.y_mean + ((X - mean) / scale) @ path.coefficients(alpha)
            assert np.abs(by_hand - expected).max() <= 1e-4 * expected.std()


def test_the_largest_eigenvalue_is_that_of_the_standardised_rows():
    """Penalties are shares of it."""
    X, y = problem(300, 200)
    for path in paths(X, parts_of(y)):
        Z = StandardScaler().fit_transform(X[path.part.rows].astype(float))
        assert path.largest == pytest.approx(np.linalg.norm(Z, 2) ** 2, rel=1e-5)


def test_parts_do_not_know_of_each_other():
    """A part alone and among others gives the same numbers."""
    X, y = problem(400, 300)
    parts = parts_of(y)
    together = paths(X, parts)
    for part, expected in zip(parts, together, strict=True):
        (alone,) = paths(X, [part])
        alpha = 1e-3 * alone.largest
        rows = np.arange(len(X))
        spread = expected.predict(alpha, rows).std()
        difference = np.abs(alone.predict(alpha, rows) - expected.predict(alpha, rows)).max()
        assert difference <= 2e-5 * spread


def test_rows_outside_a_part_have_no_say():
    """Other numbers in rows that do not train change nothing in the coefficients."""
    X, y = problem(300, 200)
    part = parts_of(y)[0]
    others = np.setdiff1d(np.arange(300), part.rows)
    moved = X.copy()
    moved[others] = moved[others] * 3 + 100
    first, second = (paths(matrix, [part])[0] for matrix in (X, moved))
    alpha = 1e-2 * first.largest
    a, b = first.coefficients(alpha), second.coefficients(alpha)
    assert np.abs(a - b).max() <= 1e-3 * np.abs(a).max()  # float32 sees the larger numbers


def test_constant_columns_get_no_weight():
    """Constant in the part alone, or everywhere."""
    X, y = problem(300, 100)
    part = parts_of(y)[0]
    X[:, 3] = 7
    X[part.rows, 5] = -2
    (path,) = paths(X, [part])
    coefficients = path.coefficients(1e-3 * path.largest)
    assert np.abs(coefficients[[3, 5]]).max() <= 1e-6 * np.abs(coefficients).max()
    expected = solved(np.delete(X, [3, 5], axis=1), part, 1e-3 * path.largest)
    found = path.predict(1e-3 * path.largest, part.rows)
    assert np.abs(found - expected[part.rows]).max() <= 1e-4 * expected.std()


def test_what_too_few_steps_leave_is_noticed():
    """After a handful of steps, small penalties are not resolved, and large ones are."""
    X, y = problem(500, 400)
    (path,) = paths(X, parts_of(y)[:1], max_steps=12)
    assert FLOOR * path.largest < path.resolved < np.inf
    rows = np.arange(len(X))
    for share in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        expected = solved(X, path.part, share * path.largest)
        error = np.abs(path.predict(share * path.largest, rows) - expected)[path.part.rows]
        if share * path.largest >= path.resolved:
            assert np.sqrt((error**2).mean()) <= 1e-4 * path.part.y.std()


def test_below_what_is_resolved_an_exact_solution_takes_over():
    """The predictions and the fitted model are then those of a float64 solve."""
    X, y = problem(500, 400)
    (path,) = paths(X, parts_of(y)[:1], max_steps=12)
    others = np.setdiff1d(np.arange(500), path.part.rows)
    alpha = path.resolved / 30
    krylov = KrylovPath(X, path, others)
    expected = solved(X, path.part, alpha)[others]
    assert np.abs(path.predict(alpha, others) - expected).max() > 1e-3 * expected.std()
    np.testing.assert_allclose(krylov.predict(alpha), expected, rtol=1e-6)
    model = krylov.fitted(alpha)
    np.testing.assert_allclose(model.predict(X[others]), expected, rtol=1e-6)


def test_a_tuner_of_many_is_a_tuner_of_one(monkeypatch):
    """Training parts that are prepared together predict as each does by itself, exactly."""
    X, y = problem(300, 200)
    trainings = []
    for seed in range(3):
        rows = np.sort(np.random.default_rng(seed).choice(300, 240, replace=False))
        trainings.append(Training(rows, y[rows], inner_folds(rows, seed), 240))
    exact = list(RidgeTuner.many(X, trainings))
    monkeypatch.setattr("regressors.ridge.EXACT", 10)
    together = list(RidgeTuner.many(X, trainings))
    for one, other, training in zip(exact, together, trainings, strict=True):
        assert one.space == other.space
        for alpha in (one.space["alpha"].low, 30.0, one.space["alpha"].high):
            expected = one.out_of_fold({"alpha": alpha})
            found = other.out_of_fold({"alpha": alpha})
            assert np.abs(found - expected).max() <= 1e-4 * expected.std()
            expected = one.fitted({"alpha": alpha}).predict(X)
            found = other.fitted({"alpha": alpha}).predict(X)
            assert np.abs(found - expected).max() <= 1e-4 * expected.std()
        assert other.score({"alpha": 30.0}) == pytest.approx(one.score({"alpha": 30.0}), abs=1e-4)
        assert len(training.y) == 240


def test_the_same_twice():
    """To the bit."""
    X, y = problem(300, 200)
    first, second = (paths(X, parts_of(y)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.projections, other.projections)
        assert one.resolved == other.resolved


@pytest.mark.parametrize("alike", ["scores", "embeddings"])
def test_a_part_with_nothing_to_fit_gives_its_mean(alike):
    """Beside other parts, which are fitted as ever."""
    X, y = problem(300, 200)
    dull, whole = np.arange(100), np.arange(300)
    flat = np.full(100, 7.0) if alike == "scores" else y[:100]
    if alike == "embeddings":
        X[:100] = X[0]
    found, other = paths(X, [Part(dull, flat), Part(whole, y)])
    alpha = 1e-2 * other.largest
    np.testing.assert_allclose(found.predict(alpha, dull), flat.mean(), rtol=1e-6)
    expected = solved(X, other.part, alpha)
    assert np.abs(other.predict(alpha, whole) - expected).max() <= 1e-4 * expected.std()


@pytest.fixture
def elsewhere(library):
    """What makes a library's array of NumPy's."""
    if library == "array_api_strict":
        yield pytest.importorskip(library, reason="the extra dev installs it").asarray
        return
    torch = pytest.importorskip("torch")
    if library == "torch.cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine they wait for each other
    yield lambda X: torch.asarray(X, device="cuda" if library == "torch.cuda" else "cpu")
    torch.set_num_threads(threads)


LIBRARIES = ["torch", "array_api_strict", pytest.param("torch.cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("shape", [(300, 400), (400, 150), (120, 1100)])
def test_another_library_gives_numpy_s_numbers(elsewhere, shape):
    """To 1e-5 of the spread (largest minus smallest), and as many steps; NumPy comes back."""
    X, y = problem(*shape)
    X[:, 3] = 7
    X[parts_of(y)[0].rows, 5] = -2
    before = X.copy()
    found = paths(elsewhere(X), parts_of(y))
    assert np.array_equal(X, before)
    for one, other in zip(paths(X, parts_of(y)), found, strict=True):
        assert other.resolved == pytest.approx(one.resolved, rel=1e-5)
        assert other.basis.shape == one.basis.shape
        for array in (other.basis, other.projections, other.mean, other.scale):
            assert type(array) is np.ndarray
        np.testing.assert_allclose(other.mean, one.mean, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(other.scale, one.scale, rtol=1e-6)
        for share in SHARES:
            alpha = share * one.largest
            expected = one.predict(alpha, np.arange(len(X)))
            error = np.abs(other.predict(alpha, np.arange(len(X))) - expected).max()
            assert error <= 1e-5 * np.ptp(expected)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_tuner_of_another_library_s_matrix(elsewhere, monkeypatch):
    """It predicts, falls back and fits as from NumPy's matrix, which it keeps."""
    monkeypatch.setattr("regressors.ridge.EXACT", 10)
    X, y = problem(300, 200)
    rows = np.arange(250)
    training = Training(rows, y[rows], inner_folds(rows, 0), 250)
    (one,) = RidgeTuner.many(X, [training])
    (other,) = RidgeTuner.many(X, [training], device_X=elsewhere(X))
    assert one.space == other.space
    # far below the floor float64 takes over
    for alpha in (one.space["alpha"].low / 1e3, one.space["alpha"].low, 30.0):
        expected = one.out_of_fold({"alpha": alpha})
        found = other.out_of_fold({"alpha": alpha})
        assert np.abs(found - expected).max() <= 1e-5 * np.ptp(expected)
        expected = one.fitted({"alpha": alpha}).predict(X)
        found = other.fitted({"alpha": alpha}).predict(X)
        assert np.abs(found - expected).max() <= 1e-5 * np.ptp(expected)
    with pytest.raises(ValueError, match=r"device_X is \(299, 200\), X is \(300, 200\)"):
        next(RidgeTuner.many(X, [training], device_X=elsewhere(X[1:])))


@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
def test_a_device_without_float64(elsewhere, monkeypatch):
    """What must be float64 is then computed on the host, to the same numbers."""
    monkeypatch.setattr("regressors.device.Place.exact", lambda place: HOST)
    X, y = problem(300, 200)
    found = paths(elsewhere(X), parts_of(y))
    for one, other in zip(paths(X, parts_of(y)), found, strict=True):
        assert other.resolved == pytest.approx(one.resolved, rel=1e-5)
        expected = one.predict(one.resolved, np.arange(300))
        error = np.abs(other.predict(one.resolved, np.arange(300)) - expected).max()
        assert error <= 1e-5 * np.ptp(expected)


def test_what_a_path_keeps_of_others_is_nothing(monkeypatch):
    """The tuner of one training part does not hold the bases of all parts."""
    monkeypatch.setattr("regressors.ridge.EXACT", 10)
    X, y = problem(300, 200)
    rows = np.arange(300)
    (tuner,) = RidgeTuner.many(X, [Training(rows, y, inner_folds(rows, 0), 300)])
    for path in tuner.krylov:
        for array in (path._basis, path._projections):
            kept = array if array is None or array.base is None else array.base
            assert kept is None or kept.size <= array.size
