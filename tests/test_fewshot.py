"""The few-shot head against scikit-learn's Gaussian process, and what its intervals promise."""

import numpy as np
import pytest
from scipy.stats import norm, spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, WhiteKernel

from regressors.errors import DataError
from regressors.fewshot import NOISE, NOISE_MEDIAN, NOISE_SPREAD, FewShot


def problem(n: int, p: int = 40, seed: int = 0, noise: float = 0.3) -> tuple:
    """Embeddings with columns of very different spread, and scores linear in them, near 50."""
    rng = np.random.default_rng(seed)
    spread = np.exp(rng.normal(0, 1, p))
    X = 3 + rng.normal(size=(n, p)) * spread
    signal = ((X - 3) / spread) @ rng.normal(size=p) / np.sqrt(p)
    return X, 50 + 10 * (signal + noise * rng.normal(size=n))


def reference(model: FewShot, X: np.ndarray, y: np.ndarray) -> GaussianProcessRegressor:
    """scikit-learn's process with the same kernel, on the same scaled columns."""
    kernel = ConstantKernel(model.amplitude_) * DotProduct(0.0, "fixed") + WhiteKernel(
        model.amplitude_ * model.noise_
    )
    process = GaussianProcessRegressor(kernel, optimizer=None, alpha=0)
    return process.fit((X - model.mean_) / model.scale_, y - y.mean())


@pytest.mark.parametrize("k", [3, 10, 60])
def test_means_and_deviations_are_scikit_learn_s(k):
    """With the penalty and amplitude that were chosen; but for the mean's own uncertainty."""
    X, y = problem(k + 30)
    model = FewShot().fit(X[:k], y[:k])
    scores, deviations = model.predict(X[k:], return_std=True)
    expected, std = reference(model, X[:k], y[:k]).predict(
        (X[k:] - model.mean_) / model.scale_, return_std=True
    )
    np.testing.assert_allclose(scores, y[:k].mean() + expected, rtol=1e-8)
    for_mean = model.amplitude_ * model.noise_ / k
    np.testing.assert_allclose(deviations**2, std**2 + for_mean, rtol=1e-6)


def test_the_noise_is_the_likeliest():
    """By scikit-learn's likelihood, each noise with its best amplitude, and the prior."""
    X, y = problem(25)
    model = FewShot().fit(X, y)
    rows = (X - model.mean_) / model.scale_
    likelihoods = []
    for noise in NOISE:
        kernel = DotProduct(0.0, "fixed") + WhiteKernel(noise)
        plain = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(rows, y - y.mean())
        amplitude = (y - y.mean()) @ plain.alpha_.ravel() / len(y)
        scaled = GaussianProcessRegressor(
            ConstantKernel(amplitude) * DotProduct(0.0, "fixed") + WhiteKernel(noise * amplitude),
            optimizer=None,
            alpha=0,
        ).fit(rows, y - y.mean())
        prior = norm(np.log(NOISE_MEDIAN), NOISE_SPREAD).logpdf(np.log(noise))
        likelihoods.append(scaled.log_marginal_likelihood_value_ + prior)
    assert model.noise_ == NOISE[int(np.argmax(likelihoods))]


@pytest.mark.parametrize("k", [5, 10, 30])
def test_nine_of_ten_ratings_lie_within(k):
    """Over many draws, on problems of the kind that the model assumes."""
    inside = []
    for seed in range(60):
        X, y = problem(k + 50, seed=seed)
        _, low, high = FewShot().fit(X[:k], y[:k]).interval(X[k:])
        inside.append(np.mean((low <= y[k:]) & (y[k:] <= high)))
    assert 0.84 < np.mean(inside) <= 1


def test_more_pairs_order_better():
    """The median order over draws gets better from 3 to 10 to 50 pairs."""
    medians = []
    for k in (3, 10, 50):
        orders = []
        for seed in range(20):
            X, y = problem(k + 100, p=15, seed=seed)
            found = FewShot().fit(X[:k], y[:k]).predict(X[k:])
            orders.append(spearmanr(found, y[k:]).statistic)
        medians.append(np.median(orders))
    assert medians[0] + 0.1 < medians[1] and medians[1] + 0.1 < medians[2]


def test_scores_may_be_on_any_scale():
    """Shifted, stretched and turned round, the scores give the same predictions so changed."""
    X, y = problem(30)
    plain, low, high = FewShot().fit(X[:10], y[:10]).interval(X[10:])
    other, other_low, other_high = FewShot().fit(X[:10], 7 - 0.02 * y[:10]).interval(X[10:])
    for ours, expected in ((other, plain), (other_low, high), (other_high, low)):
        np.testing.assert_allclose(ours, 7 - 0.02 * expected, rtol=1e-8)


def test_blocks_are_scaled_for_themselves():
    """A feature set in other units changes nothing where it is a block of its own."""
    X, y = problem(30)
    larger = X * np.where(np.arange(40) < 20, 1, 1000)
    blocks = [slice(0, 20), slice(20, 40)]
    plain = FewShot(blocks).fit(X[:10], y[:10]).predict(X[10:])
    np.testing.assert_allclose(
        FewShot(blocks).fit(larger[:10], y[:10]).predict(larger[10:]), plain, rtol=1e-8
    )
    alone = FewShot().fit(larger[:10], y[:10]).predict(larger[10:])
    assert np.abs(alone - plain).max() > 0.1


def test_constant_columns_do_nothing():
    """Columns without variation are passed by."""
    X, y = problem(30)
    wider = np.concatenate([X, np.full((30, 5), 7.0)], axis=1)
    np.testing.assert_allclose(
        FewShot().fit(wider[:10], y[:10]).predict(wider[10:]),
        FewShot().fit(X[:10], y[:10]).predict(X[10:]),
        rtol=1e-9,
    )


@pytest.mark.parametrize(
    ("X", "y", "reason"),
    [
        (np.eye(2), np.arange(2.0), "2 rated pictures: at least 3"),
        (np.eye(4), np.ones(4), "all 4 scores are 1"),
        (np.ones((4, 3)), np.arange(4.0), "the same embedding"),
    ],
)
def test_pairs_that_teach_nothing(X, y, reason):
    """They are refused in one line."""
    with pytest.raises(DataError, match=reason):
        FewShot().fit(X, y)
