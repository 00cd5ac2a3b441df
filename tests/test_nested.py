"""Nested evaluation: the test part has no say, noise scores nothing, and a signal is found."""

import numpy as np
import optuna
import pytest
from scipy.stats import spearmanr

from regressors.base import Training
from regressors.errors import DataError
from regressors.folds import inner_folds, outer_fold
from regressors.metrics import fit_logistic4, logistic4
from regressors.nested import Plan, Tuned, evaluate, fit_tuned, reach, tuners
from regressors.ridge import Ridge, RidgeTuner
from regressors.table import REGRESSORS

N_TRIALS = 20


@pytest.fixture(autouse=True)
def quiet():
    """Optuna says nothing of each trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def noise(n: int, p: int, n_groups: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Embeddings, scores on 0..100 that have nothing to do with them, and groups."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)).astype(np.float32)
    return X, rng.uniform(0, 100, n), rng.permutation(np.arange(n) % n_groups)


def planted(n: int, p: int, n_groups: int, spread: float = 0.2) -> tuple[np.ndarray, ...]:
    """The same with scores that a linear function of the embeddings gives, plus noise."""
    X, _, groups = noise(n, p, n_groups)
    rng = np.random.default_rng(1)
    signal = X @ rng.normal(size=p) / np.sqrt(p)
    return X, 50 + 10 * (signal + spread * rng.normal(size=n)), groups


def tuned_on(X, y, groups, seed: int = 0, regressor: type = RidgeTuner) -> Tuned:
    """Tune and fit on these rows."""
    study = optuna.create_study(study_name=f"fold-{seed}", direction="maximize")
    training = Training(np.arange(len(y)), y, inner_folds(groups, seed), len(y))
    (tuner,) = tuners(regressor, X, [training])
    return fit_tuned(tuner, study, Plan(N_TRIALS))


def one_fold(X, y, groups, seed: int = 0, regressor: type = RidgeTuner) -> tuple:
    """Tune on the training part of one fold and score its test part."""
    train, test = outer_fold(groups, seed)
    tuned = tuned_on(X[train], y[train], groups[train], seed, regressor)
    return tuned, *evaluate(tuned, y[train], X[test], y[test])


@pytest.mark.parametrize("name", REGRESSORS)
def test_test_labels_have_no_say(name):
    """Permuted scores of the test part change the numbers and nothing else."""
    X, y, groups = planted(150, 10, 30)
    test = outer_fold(groups, 0)[1]
    permuted = y.copy()
    permuted[test] = np.random.default_rng(2).permutation(y[test])
    first, predictions, numbers = one_fold(X, y, groups, 0, REGRESSORS[name])
    second, again, others = one_fold(X, permuted, groups, 0, REGRESSORS[name])
    assert np.array_equal(predictions, again)
    assert first.params == second.params
    assert first.inner["srcc"] == second.inner["srcc"]
    assert np.array_equal(first.out_of_fold, second.out_of_fold)
    assert others["srcc"] < numbers["srcc"] - 0.3


@pytest.mark.parametrize("name", REGRESSORS)
def test_test_embeddings_have_no_say(name):
    """Outliers in the test part change neither the scaler nor any training prediction."""
    X, y, groups = planted(150, 10, 30)
    train, test = outer_fold(groups, 0)
    moved = X.copy()
    moved[test] = moved[test] * 1000 + 7
    inner = inner_folds(groups[train], 0)
    found = []
    for rows in (X, moved):  # the whole matrix, as a run has it
        (tuner,) = tuners(REGRESSORS[name], rows, [Training(train, y[train], inner, len(train))])
        study = optuna.create_study(study_name="fold-0", direction="maximize")
        found.append(fit_tuned(tuner, study, Plan(N_TRIALS)))
    first, second = found
    assert first.params == second.params
    assert np.array_equal(first.model.predict(X[train]), second.model.predict(X[train]))
    assert np.array_equal(first.out_of_fold, second.out_of_fold)
    arrays = first.model.arrays()
    np.testing.assert_allclose(arrays["mean"], X[train].astype(float).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(arrays["scale"], X[train].astype(float).std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", REGRESSORS)
def test_inner_validation_rows_have_no_say_in_the_others(name):
    """Outliers in one inner validation part change no prediction that did not train on them."""
    X, y, groups = planted(120, 6, 30)
    folds = inner_folds(groups, 0)
    _, rows = folds[0]
    space = REGRESSORS[name](X, y, folds).space
    params = {key: distribution.low for key, distribution in space.items()}
    moved, turned = X.copy(), y.copy()
    moved[rows[0]] *= 1e3
    turned[rows] = turned[rows][::-1]
    expected = REGRESSORS[name](X, y, folds).out_of_fold(params)[rows]
    for other_X, other_y in ((moved, y), (X, turned)):
        found = REGRESSORS[name](other_X, other_y, folds).out_of_fold(params)[rows]
        np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-12)


@pytest.mark.parametrize("name", REGRESSORS)
def test_random_labels_score_nothing(name):
    """Scores without any relation give a median |SRCC| below .2 over ten folds."""
    X, y, groups = noise(300, 40, 60)
    found = [one_fold(X, y, groups, seed, REGRESSORS[name])[2]["srcc"] for seed in range(10)]
    # sixty test rows: chance alone gives a standard deviation of .13
    assert np.median(np.abs(found)) < 0.2
    assert abs(np.mean(found)) < 0.2


@pytest.mark.parametrize("name", REGRESSORS)
def test_group_identity_is_no_signal(name):
    """Scores and embeddings that say only which group a row is of give nothing across groups."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 8)
    X = (rng.normal(size=(40, 20))[groups] + 0.1 * rng.normal(size=(320, 20))).astype(np.float32)
    y = 50 + 10 * rng.normal(size=40)[groups]
    found = [one_fold(X, y, groups, seed, REGRESSORS[name]) for seed in range(4)]
    # eight test groups: chance alone gives a standard deviation of .38 a fold
    assert np.median([numbers["srcc"] for _, _, numbers in found]) < 0.5
    assert np.median([tuned.inner["srcc"] for tuned, _, _ in found]) < 0.5


@pytest.mark.parametrize("name", REGRESSORS)
def test_planted_signal_is_found(name):
    """A linear signal with a fifth of noise gives an SRCC above .9 on unseen groups."""
    X, y, groups = planted(200, 15, 40)
    for seed in range(2):
        tuned, predictions, numbers = one_fold(X, y, groups, seed, REGRESSORS[name])
        test = outer_fold(groups, seed)[1]
        assert numbers["srcc"] > 0.9
        assert tuned.inner["srcc"] > 0.9
        expected = spearmanr(y[test], predictions).statistic
        assert numbers["srcc"] == pytest.approx(expected, abs=1e-12)


def test_direction_is_the_scores_own():
    """A head on scores for which lower is better predicts these: SRCC stays positive."""
    X, y, groups = planted(150, 10, 30)
    up, _, numbers = one_fold(X, y, groups)
    down, _, turned = one_fold(X, 100 - y, groups)
    assert turned["srcc"] == pytest.approx(numbers["srcc"], abs=0.02)
    np.testing.assert_allclose(
        down.model.set_params(alpha=1.0).fit(X, 100 - y).predict(X),
        100 - up.model.set_params(alpha=1.0).fit(X, y).predict(X),
    )


def test_train_mapping_comes_from_out_of_fold_rows():
    """The logistic of the `_train` numbers is fitted on training rows alone."""
    X, y, groups = planted(150, 10, 30, spread=0.5)
    train, test = outer_fold(groups, 0)
    tuned, predictions, numbers = one_fold(X, y, groups)
    mapped = logistic4(predictions, fit_logistic4(y[train], tuned.out_of_fold))
    expected = np.sqrt(np.mean((y[test] - mapped) ** 2))
    assert numbers["rmse_logistic_train"] == pytest.approx(expected, rel=1e-9)
    assert numbers["rmse_logistic"] <= numbers["rmse_logistic_train"] + 1e-6


def test_same_call_same_numbers():
    """A second run repeats every number to the bit."""
    X, y, groups = planted(100, 60, 25)
    first, second = (one_fold(X, y, groups) for _ in range(2))
    assert first[0].params == second[0].params
    assert np.array_equal(first[1], second[1])
    assert first[2] == second[2]


def test_bad_data_is_refused():
    """What cannot be learnt from is a clear error before any trial."""
    X, y, groups = planted(60, 5, 12)
    cases = [
        (np.where(np.arange(60)[:, None] == 7, np.nan, X), y, "1 embeddings .* row 7"),
        (np.where(np.arange(60)[:, None] >= 50, np.inf, X), y, "10 embeddings .* row 50"),
        (X, np.where(np.arange(60) == 7, np.nan, y), "the scores hold values that are not finite"),
        (X, np.full(60, 3.5), "all 60 scores are 3.5"),
        (np.full_like(X, 0.1), y, "all embeddings are alike"),
        (np.repeat(X[:1], 60, axis=0), y, "all embeddings are alike"),
    ]
    for bad_X, bad_y, message in cases:
        with pytest.raises(DataError, match=message):
            tuned_on(bad_X, bad_y, groups)


def test_bad_test_part_is_refused():
    """NaN and constant scores of the test part, and alike embeddings there, are errors."""
    X, y, groups = planted(60, 5, 12)
    tuned = tuned_on(X, y, groups)
    with pytest.raises(DataError, match="the scores hold values that are not finite"):
        evaluate(tuned, y, X[:5], np.full(5, np.nan))
    with pytest.raises(DataError, match="the scores are all 3"):
        evaluate(tuned, y, X[:5], np.full(5, 3.0))
    with pytest.raises(DataError, match="the predictions are all"):
        evaluate(tuned, y, np.repeat(X[:1], 5, axis=0), y[:5])
    with pytest.raises(ValueError, match="NaN"):
        evaluate(tuned, y, np.full_like(X[:5], np.nan), y[:5])


@pytest.mark.parametrize("n", [9, 19, 100])
def test_error90_is_the_conformal_rank(n):
    """Of n errors it is the ceil(.9 (n + 1))-th smallest."""
    X, y, _ = planted(n, 2, n)
    errors = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    model = Ridge(1.0).fit(X, y)
    found = reach(Tuned({}, {}, {}, y + errors, model, "linear"), X, y)
    assert found["error90"] == pytest.approx(np.ceil(0.9 * (n + 1)))


def test_error90_covers_new_data():
    """About nine of ten new pictures lie within `error90` of their score."""
    X, y, groups = planted(2400, 5, 2400, spread=0.5)
    tuned = tuned_on(X[:400], y[:400], groups[:400])
    facts = reach(tuned, X[:400], y[:400])
    covered = np.mean(np.abs(y[400:] - tuned.model.predict(X[400:])) <= facts["error90"])
    # 400 errors place the quantile with a standard deviation of .015
    assert 0.85 < covered < 0.95
    assert facts["out_of_fold_srcc"] == pytest.approx(
        spearmanr(y[:400], tuned.out_of_fold).statistic, abs=1e-12
    )
    assert facts["distance_max"] > 1


def test_a_row_that_no_inner_fold_judges_is_an_error():
    """Folds that leave a row out are refused; leading rows alone may be asked for."""
    X, y, groups = planted(100, 6, 20)
    folds = inner_folds(groups[:80], 0)
    study = optuna.create_study(direction="maximize")
    with pytest.raises(DataError, match="do not cover every row"):
        fit_tuned(RidgeTuner(X, y, folds), study, Plan(2))
    tuned = fit_tuned(RidgeTuner(X, y, folds), study, Plan(2, n_judged=80))
    assert tuned.out_of_fold.shape == (80,)
    assert tuned.model.n_features_in_ == 6
