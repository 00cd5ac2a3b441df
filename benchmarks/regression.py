"""Tuning heads: ours against the naive way and a strong way, on synthetic data.

    python benchmarks/regression.py                          KonIQ-10k with Re-IQA's features
    python benchmarks/regression.py --regressor svr          one of them
    python benchmarks/regression.py --fast                   a tenth of it
    python benchmarks/regression.py --growth                 ridge, as the number of pictures grows

Ridge is tuned in full, as `fit` does it: the decompositions, the studies, the final head. Of the
others, which take hours, one inner study is prepared in full and some trials of it are run; the
rest is scaled, and each line says so. The naive way is scikit-learn's Pipeline(StandardScaler,
model), refitted for every trial and inner fold, timed on the very parameters that ours tried. The
strong way, for ridge, is one float64 eigendecomposition for every inner fold, which then gives
every penalty.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import optuna
import scipy.linalg
import sklearn
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from pipeline.studies import Journals
from pipeline.workers import Job, n_processes, work_off
from regressors import REGRESSORS
from regressors.base import Training
from regressors.folds import inner_folds, outer_fold
from regressors.nested import Plan, tuners
from regressors.tuning import n_without_head, tune

N_FOLDS, N_INNER, N_TRIALS = 10, 5, 200
N_FITS = (N_FOLDS + 1) * N_INNER * N_TRIALS
# Of the others: so many trials of one study are run.
SAMPLE = {"svr": 12, "svr-linear": 12, "elasticnet": 40}
# Of the naive way: so many fits are timed, where two are not enough for a mean.
NAIVE = {"elasticnet": 6}
THEIRS: dict[str, Callable[[dict], RegressorMixin]] = {
    "ridge": lambda params: Ridge(**params),
    "svr": lambda params: SVR(**params, cache_size=2000),
    "svr-linear": lambda params: SVR(kernel="linear", **params, cache_size=2000),
    "elasticnet": lambda params: ElasticNet(
        alpha=params["l1"] + params["l2"], l1_ratio=params["l1"] / (params["l1"] + params["l2"])
    ),
}


def problem(n: int, p: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings whose spectrum falls as a network's does, and scores on 0..100."""
    rng = np.random.default_rng(seed)
    rank = min(n, p, 2000)
    strengths = np.arange(1, rank + 1) ** -0.7
    factors = rng.standard_normal((n, rank)).astype(np.float32) * strengths.astype(np.float32)
    X = factors @ rng.standard_normal((rank, p)).astype(np.float32)
    X += 0.05 * X.std() * rng.standard_normal((n, p)).astype(np.float32)
    X = np.maximum(X + 0.3 * X.std(), 0)  # as after a ReLU
    signal = X @ rng.standard_normal(p).astype(np.float32)
    signal = (signal - signal.mean()) / signal.std()
    return X, 50 + 10 * (signal + 0.5 * rng.standard_normal(n))


def trainings(n: int, y: np.ndarray) -> tuple[list[Training], list[np.ndarray]]:
    """Return ten folds' training parts with five inner folds each, the final one, and the tests."""
    groups = np.arange(n)
    parts, tests = [], []
    for seed in range(N_FOLDS):
        train, test = outer_fold(groups, seed)
        parts.append(Training(train, y[train], inner_folds(groups[train], seed), len(train)))
        tests.append(test)
    parts.append(Training(groups, y, inner_folds(groups, N_FOLDS), n))
    return parts, [*tests, np.array([], int)]


def in_full(name: str, X: np.ndarray, y: np.ndarray) -> str:
    """Tune and judge ten folds and fit the final head, as `fit` does; return what it took."""
    parts, tests = trainings(len(y), y)
    start = time.perf_counter()
    found = list(tuners(REGRESSORS[name], X, parts))
    prepared = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            Job(f"fold-{k}", Journals(Path(folder)), tuner, Plan(N_TRIALS), test, y[test])
            for k, (tuner, test) in enumerate(zip(found, tests, strict=True))
        ]
        n = n_processes(None, len(jobs), N_TRIALS, REGRESSORS[name].memory(*X.shape))
        judged = dict(work_off(jobs, X, n, lambda count: None))
    total = time.perf_counter() - start
    srcc = np.median([judged[k].numbers["srcc"] for k in range(N_FOLDS)])
    rate = (N_FOLDS + 1) * N_TRIALS / (total - prepared)
    return total, (
        f"in full, {n} processes: decompositions {prepared:.1f}, studies {total - prepared:.1f} "
        f"({rate:.0f} trials/s), median SRCC {srcc:.4f}"
    )


def sampled(name: str, X: np.ndarray, y: np.ndarray) -> tuple[float, str, list[dict]]:
    """Prepare one study and run some trials of it on one core; return what all would take."""
    parts, _ = trainings(len(y), y)
    study = optuna.create_study(study_name="fold-0", direction="maximize")
    trial, seconds = SAMPLE[name], []
    with threadpool_limits(1):
        (tuner,) = tuners(REGRESSORS[name], X, parts[:1])
        middle = {key: np.sqrt(each.low * each.high) for key, each in tuner.space.items()}
        begun = time.perf_counter()
        tuner.predictions(middle)
        first = time.perf_counter() - begun
        begun = time.perf_counter()
        tuner.predictions(middle)
        prepared = first - (time.perf_counter() - begun)
        begun = time.perf_counter()
        best = tune(tuner, study, trial, on_trial=lambda: seconds.append(time.perf_counter()))
        ended = time.perf_counter()
        tuner.fitted(best)
        fitted = time.perf_counter() - ended
    each = np.diff([begun, *seconds])
    total = (N_FOLDS + 1) * (prepared + N_TRIALS * each.mean() + fitted)
    without = n_without_head(study, trial)
    said = (
        f"one core, scaled from one study: prepared {prepared:.1f}, {trial} trials of "
        f"{N_INNER} fits each {each.mean():.2f} (median {np.median(each):.2f}, longest "
        f"{each.max():.2f}, {without} without head), final fit {fitted:.1f}"
    )
    chosen = [one.params for one in study.trials if one.state == optuna.trial.TrialState.COMPLETE]
    return total, said, chosen


def naive(name: str, X: np.ndarray, y: np.ndarray, tried: list[dict]) -> float:
    """Return the seconds that all fits would take, from one fit for each of some parameters."""
    train, _ = outer_fold(np.arange(len(y)), 0)
    inner, valid = inner_folds(train, 0)[0]
    begun = time.perf_counter()
    for params in tried:
        model = make_pipeline(StandardScaler(), THEIRS[name](params))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X[train[inner]], y[train[inner]]).predict(X[train[valid]])
    return (time.perf_counter() - begun) / len(tried) * N_FITS


def strong(X: np.ndarray, y: np.ndarray) -> float:
    """Return the seconds that all eigendecompositions would take, from one."""
    train, _ = outer_fold(np.arange(len(y)), 0)
    inner, valid = inner_folds(train, 0)[0]
    begun = time.perf_counter()
    rows = X[train[inner]].astype(float)
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    rows = (rows - mean) / np.where(scale > 0, scale, 1)
    others = (X[train[valid]].astype(float) - mean) / np.where(scale > 0, scale, 1)
    gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    _, vectors = scipy.linalg.eigh(gram)
    (others @ rows.T if len(rows) <= rows.shape[1] else others) @ vectors
    return (time.perf_counter() - begun) * ((N_FOLDS + 1) * N_INNER + 1)


def accuracy(X: np.ndarray, y: np.ndarray) -> list[str]:
    """Compare ridge with scikit-learn in float64 over the whole space, on one inner fold."""
    parts, _ = trainings(len(y), y)
    tuner = next(iter(tuners(REGRESSORS["ridge"], X, parts[:1])))
    train, valid = parts[0].inner[0]
    rows = X[parts[0].rows].astype(float)
    scaler = StandardScaler().fit(rows[train])
    Z, others = scaler.transform(rows[train]), scaler.transform(rows[valid])
    space = tuner.space["alpha"]
    lines = []
    for alpha in np.geomspace(space.low, space.high, 8):
        expected = Ridge(alpha).fit(Z, parts[0].y[train]).predict(others)
        found = tuner.predictions({"alpha": alpha})[0]
        error = np.abs(found - expected).max() / expected.std()
        lines.append(f"    alpha {alpha:12.4g}   largest error {error:.1e} of the spread")
    return lines


def peak() -> str:
    """Return the largest memory of this process, and of any that it started, so far."""
    own, others = (
        resource.getrusage(who).ru_maxrss / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return f"peak {own:.2f} GB" + (f", each process {others:.2f}" if others > 0.5 else "")


def compare(name: str, X: np.ndarray, y: np.ndarray, others: bool) -> None:
    """Print ours, and the others beside it."""
    if name == "ridge":
        total, said = in_full(name, X, y)
        tried = [{"alpha": alpha} for alpha in (1e2, 1e5)]
    else:
        total, said, tried = sampled(name, X, y)
    print(f"  {name}\n    ours   {_time(total)}  {said}, {peak()}", flush=True)
    if others:
        # spread over what was tried, from the study's random start to its end
        some = [tried[k] for k in np.linspace(0, len(tried) - 1, NAIVE.get(name, 2)).astype(int)]
        seconds, n = naive(name, X, y, some), len(some)
        print(
            f"    naive  {_time(seconds)}  scaled from {n} fits: {seconds / total:.0f} times ours"
        )
    if others and name == "ridge":
        seconds = strong(X, y)
        print(f"    strong {_time(seconds)}  scaled from 1: {seconds / total:.0f} times ours")
    sys.stdout.flush()


def _time(seconds: float) -> str:
    return f"{seconds:9.1f} s" if seconds < 3600 else f"{seconds / 3600:9.1f} h"


def main() -> None:
    """Print the comparison."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--regressor", choices=THEIRS, action="append")
    options.add_argument("--fast", action="store_true")
    options.add_argument("--growth", action="store_true")
    options.add_argument("--accuracy", action="store_true")
    chosen = options.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(
        f"{date.today()}  {platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}, "
        f"scikit-learn {sklearn.__version__}, optuna {optuna.__version__}"
    )
    for n in (1000, 2000, 5000, 10_073, 39_810) if chosen.growth else (10_073,):
        n, p = (n // 10, 819) if chosen.fast else (n, 8192)
        X, y = problem(n, p)
        print(f"{n} pictures, {p} numbers each; ten folds, five inner folds, {N_TRIALS} trials")
        for name in ("ridge",) if chosen.growth else chosen.regressor or THEIRS:
            compare(name, X, y, others=not chosen.growth)
        if chosen.accuracy:
            print("\n".join(accuracy(X, y)))


if __name__ == "__main__":
    main()
