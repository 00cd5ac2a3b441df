"""Correlations and the logistic mapping against SciPy and the published numbers."""

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from regressors.errors import DataError
from regressors.metrics import (
    all_metrics,
    fit_logistic4,
    krcc,
    logistic4,
    logistic4_slopes,
    plcc,
    rmse,
    srcc,
)

GOLDEN = Path(__file__).parent / "golden" / "metrics.npz"
SCIPY = {
    srcc: scipy.stats.spearmanr,
    krcc: scipy.stats.kendalltau,
    plcc: scipy.stats.pearsonr,
}


def pairs(n: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scores on 0..100 and predictions on another scale; with ties both take few values."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    mos = 50 + 15 * quality + rng.normal(0, 8, n)
    prediction = 3 + 0.4 * quality + rng.normal(0, 0.2, n)
    return (np.round(mos / 20) * 20, np.round(prediction, 1)) if ties else (mos, prediction)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 10, 333])
@pytest.mark.parametrize("measure", SCIPY)
def test_correlation_equals_scipy(measure, n, ties):
    """Every correlation is SciPy's, ties included."""
    for seed in range(5):
        mos, prediction = pairs(n, seed, ties)
        if np.ptp(mos) and np.ptp(prediction):
            expected = SCIPY[measure](mos, prediction).statistic
            assert measure(mos, prediction) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("measure", SCIPY)
def test_sign_is_kept(measure):
    """Turning the predictions round turns the sign; a perfect relation is exactly 1 or -1."""
    mos, prediction = pairs(100, 0, ties=True)
    assert measure(mos, -prediction) == pytest.approx(-measure(mos, prediction), abs=1e-12)
    assert measure(mos, prediction) > 0.5
    assert measure(mos, 2 * mos + 1) == pytest.approx(1, abs=1e-12)
    assert measure(mos, 1 - 2 * mos) == pytest.approx(-1, abs=1e-12)


def test_ranks_ignore_a_rising_map():
    """SRCC and KRCC depend on the order of the predictions alone."""
    mos, prediction = pairs(100, 1, ties=False)
    for measure in (srcc, krcc):
        assert measure(mos, np.exp(prediction)) == measure(mos, prediction)


def test_golden():
    """The published numbers hold; `rmse` and `mae` there are those after the logistic."""
    golden = np.load(GOLDEN)
    mos, prediction = golden["mos"], golden["prediction"]
    numbers = all_metrics(mos, prediction)
    names = {
        "srcc": "srcc",
        "krcc": "krcc",
        "plcc": "plcc_raw",
        "plcc_logistic": "plcc_logistic4",
        "rmse_logistic": "rmse",
    }
    for ours, theirs in names.items():
        assert numbers[ours] == pytest.approx(float(golden[theirs]), abs=1e-3), ours
    mapped = logistic4(prediction, fit_logistic4(mos, prediction))
    assert all_metrics(mos, mapped)["mae"] == pytest.approx(float(golden["mae"]), abs=1e-3)


def test_errors_are_raw():
    """RMSE and MAE without suffix compare the predictions as they are."""
    mos, prediction = np.array([1.0, 2, 3, 4]), np.array([2.0, 2, 3, 7])
    numbers = all_metrics(mos, prediction)
    assert numbers["rmse"] == pytest.approx(np.sqrt(10 / 4))
    assert numbers["mae"] == pytest.approx(1)


@pytest.mark.parametrize("truth", [(90.0, 10.0, 0.4, 0.1), (10.0, 90.0, 0.4, 0.1)])
def test_logistic_is_recovered(truth):
    """Exact data of a rising and of a falling logistic give its values back."""
    x = np.linspace(0, 1, 40)
    mos = logistic4(x, np.array(truth))
    found = fit_logistic4(mos, x)
    np.testing.assert_allclose(logistic4(x, found), mos, atol=1e-4)
    assert found[2] == pytest.approx(truth[2], abs=1e-4)
    assert found[3] == pytest.approx(truth[3], abs=1e-4)


def test_logistic_is_the_formula():
    """The mapping is VQEG's: from b2 below b3 to b1 above it, whatever b4's sign."""
    b = np.array([80.0, 20.0, 5.0, -2.0])
    assert logistic4(5.0, b) == pytest.approx(50)
    assert logistic4(1e9, b) == pytest.approx(80)
    assert logistic4(-1e9, b) == pytest.approx(20)
    assert logistic4(7.0, b) == pytest.approx(20 + 60 / (1 + np.exp(-1)))


@pytest.mark.parametrize("b", [(80.0, 20.0, 5.0, 2.0), (-1.0, 1.5, 0.1, 0.3)])
def test_slopes_are_the_derivatives(b):
    """SciPy's differences say the same."""
    x = np.linspace(-3, 9, 25)
    expected = scipy.optimize.approx_fprime(np.array(b), lambda b: logistic4(x, b))
    np.testing.assert_allclose(logistic4_slopes(x, np.array(b)), expected, atol=2e-6)


def test_logistic_of_noise_is_finite():
    """Wherever the steps lead: no slope, or a vertical one, is fitted to noise."""
    for seed in range(150):
        rng = np.random.default_rng(seed)
        mos, prediction = rng.normal(size=(2, 18))
        mapped = logistic4(prediction, fit_logistic4(mos, prediction))
        assert np.isfinite(mapped).all() and rmse(mos, mapped) <= mos.std() * (1 + 1e-6)


@pytest.mark.parametrize("direction", [1, -1])
def test_logistic_is_no_worse_than_curve_fit(direction):
    """On noisy data SciPy's `curve_fit`, started at the truth, finds nothing better."""
    rng = np.random.default_rng(2)
    x = rng.uniform(-3, 3, 80)
    truth = (50 + 40 * direction, 50 - 40 * direction, 0.5, 0.7)
    mos = logistic4(x, np.array(truth)) + rng.normal(0, 6, 80)

    def formula(x, b1, b2, b3, b4):
        return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / abs(b4)))

    reference, _ = scipy.optimize.curve_fit(formula, x, mos, truth)
    ours = rmse(mos, logistic4(x, fit_logistic4(mos, x)))
    assert ours <= rmse(mos, formula(x, *reference)) + 1e-6


@pytest.mark.parametrize(("factor", "offset"), [(1000.0, -7.0), (1e-4, 3.0), (-20.0, 0.5)])
def test_logistic_ignores_the_scale_of_the_predictions(factor, offset):
    """Predictions stretched, shifted or turned round give the same mapped scores."""
    mos, prediction = pairs(80, 3, ties=False)
    stretched = factor * prediction + offset
    before = logistic4(prediction, fit_logistic4(mos, prediction))
    after = logistic4(stretched, fit_logistic4(mos, stretched))
    np.testing.assert_allclose(after, before, atol=1e-3 * mos.std())


def test_logistic_of_five_points():
    """Five points suffice, and the mapping is at least as close as their mean."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mos, prediction = rng.uniform(0, 100, 5), rng.normal(size=5)
        mapped = logistic4(prediction, fit_logistic4(mos, prediction))
        assert np.isfinite(mapped).all()
        assert rmse(mos, mapped) <= mos.std() * (1 + 1e-6)


def test_mapping_learnt_elsewhere():
    """A mapping that is handed in is used as it is, beside the one fitted here."""
    mos, prediction = pairs(100, 4, ties=False)
    mapping = fit_logistic4(*pairs(100, 5, ties=False))
    numbers = all_metrics(mos, prediction, mapping)
    mapped = logistic4(prediction, mapping)
    assert numbers["plcc_logistic_train"] == pytest.approx(scipy.stats.pearsonr(mos, mapped)[0])
    assert numbers["rmse_logistic_train"] == pytest.approx(np.sqrt(np.mean((mos - mapped) ** 2)))
    assert numbers["rmse_logistic"] < numbers["rmse_logistic_train"]
    plain = all_metrics(mos, prediction)
    assert plain == {name: numbers[name] for name in plain}


def test_flat_mapping_has_no_correlation():
    """A mapping that sends every prediction to one value gives NaN, not 0 or 1."""
    mos, prediction = pairs(20, 6, ties=False)
    numbers = all_metrics(mos, prediction, np.array([1.0, 1.0, 0.0, 1.0]))
    assert np.isnan(numbers["plcc_logistic_train"])
    assert np.isfinite(numbers["rmse_logistic_train"])
    # all predictions far beyond b3: the mapped scores differ by rounding alone
    saturated = all_metrics(mos, prediction, np.array([90.0, 10.0, -8.0, 0.3]))
    assert np.isnan(saturated["plcc_logistic_train"])


@pytest.mark.parametrize("measure", SCIPY)
def test_rounding_is_no_correlation(measure):
    """Values alike up to the last place are constant; a spread of a millionth is not."""
    mos = np.arange(8.0)
    last_place = 50 + 7e-15 * (mos % 2)
    assert np.ptp(last_place) > 0
    with pytest.raises(DataError, match="the predictions are all 50"):
        measure(mos, last_place)
    assert measure(mos, 50 + 1e-6 * mos) == pytest.approx(1, abs=1e-6)
    assert measure(mos, 1e-30 * mos) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("measure", [*SCIPY, fit_logistic4])
def test_what_cannot_be_correlated_is_refused(measure):
    """Values that are not finite, constant, too few or of unlike shape are errors."""
    good = np.arange(5.0)
    for bad in (np.nan, np.inf):
        with pytest.raises(DataError, match="the predictions hold values that are not finite"):
            measure(good, np.where(good == 2, bad, good))
        with pytest.raises(DataError, match="the scores hold values that are not finite"):
            measure(np.where(good == 2, bad, good), good)
    with pytest.raises(DataError, match="the predictions are all 3"):
        measure(good, np.full(5, 3.0))
    with pytest.raises(DataError, match="the scores are all 3"):
        measure(np.full(5, 3.0), good)
    with pytest.raises(DataError, match="at least 3 pictures, there are 2"):
        measure(good[:2], good[:2])
    with pytest.raises(ValueError, match=r"got \(5,\) and \(4,\)"):
        measure(good, good[:4])
    with pytest.raises(ValueError, match=r"got \(5, 1\) and \(5, 1\)"):
        measure(good[:, None], good[:, None])
