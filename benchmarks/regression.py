"""Tuning heads: ours against the naive way and a strong way, on synthetic data.

    python benchmarks/regression.py                       KonIQ-10k with Re-IQA's features
    python benchmarks/regression.py --fast                a tenth of it
    python benchmarks/regression.py --growth              ours, as the number of pictures grows

Ours tunes every fold in full: the decompositions, the studies, the final head. The others are timed
on a few fits and scaled to as many as the whole job has; each line says so. The naive way is
scikit-learn's Pipeline(StandardScaler, Ridge), refitted for every trial and inner fold. The strong
way is one float64 eigendecomposition for every inner fold, which then gives every penalty.
"""

import argparse
import os
import platform
import resource
import time
from datetime import date

import numpy as np
import optuna
import scipy.linalg
import sklearn
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regressors.base import Training
from regressors.folds import inner_folds, outer_fold
from regressors.nested import evaluate, fit_tuned, tuners
from regressors.ridge import RidgeTuner

N_FOLDS, N_INNER, N_TRIALS = 10, 5, 200


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
    return parts, tests


def ours(X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Tune and judge ten folds and fit the final head; return seconds by what they went into."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parts, tests = trainings(len(y), y)
    start = time.perf_counter()
    prepared = iter(tuners(RidgeTuner, X, parts))
    first = next(prepared)
    seconds = {"decompositions": time.perf_counter() - start}
    srccs, studies = [], 0.0
    for number, training in enumerate(parts):
        tuner = first if number == 0 else next(prepared)
        begun = time.perf_counter()
        study = optuna.create_study(study_name=f"fold-{number}", direction="maximize")
        tuned = fit_tuned(tuner, study, N_TRIALS)
        studies += time.perf_counter() - begun
        if number < N_FOLDS:
            test = tests[number]
            srccs.append(evaluate(tuned, training.y, X[test], y[test])[1]["srcc"])
    seconds["studies"] = studies
    seconds["total"] = time.perf_counter() - start
    seconds["median SRCC"] = float(np.median(srccs))
    return seconds


def naive(X: np.ndarray, y: np.ndarray, fits: int = 2) -> float:
    """Return the seconds that all fits would take, from a few of them."""
    train, _ = outer_fold(np.arange(len(y)), 0)
    inner, valid = inner_folds(train, 0)[0]
    begun = time.perf_counter()
    for alpha in np.logspace(2, 5, fits):
        model = make_pipeline(StandardScaler(), Ridge(alpha))
        model.fit(X[train[inner]], y[train[inner]]).predict(X[train[valid]])
    each = (time.perf_counter() - begun) / fits
    return each * (N_FOLDS + 1) * (N_INNER * N_TRIALS + 1)


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
    """Compare with scikit-learn in float64 over the whole space of penalties, on one inner fold."""
    parts, _ = trainings(len(y), y)
    tuner = next(iter(tuners(RidgeTuner, X, parts[:1])))
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
        lines.append(f"  alpha {alpha:12.4g}   largest error {error:.1e} of the spread")
    return lines


def peak() -> float:
    """Return the largest memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Print the comparison."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--fast", action="store_true")
    options.add_argument("--growth", action="store_true")
    options.add_argument("--accuracy", action="store_true")
    chosen = options.parse_args()
    print(
        f"{date.today()}  {platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}, "
        f"scikit-learn {sklearn.__version__}, optuna {optuna.__version__}"
    )
    sizes = [(1000, 2000, 5000, 10_073, 39_810) if chosen.growth else (10_073,)][0]
    for n in sizes:
        n, p = (n // 10, 819) if chosen.fast else (n, 8192)
        X, y = problem(n, p)
        found = ours(X, y)
        print(f"\n{n} pictures, {p} numbers each; ten folds, five inner folds, {N_TRIALS} trials")
        print(
            f"  ours    {found['total']:10.1f} s  (decompositions {found['decompositions']:.1f}, "
            f"studies {found['studies']:.1f}: "
            f"{(N_FOLDS + 1) * N_TRIALS / found['studies']:.0f} trials/s), median SRCC "
            f"{found['median SRCC']:.4f}, peak {peak():.2f} GB"
        )
        if chosen.accuracy:
            print("\n".join(accuracy(X, y)))
        if not chosen.growth:
            seconds = {"naive": naive(X, y), "strong": strong(X, y)}
            for name, value in seconds.items():
                print(
                    f"  {name:7} {value:10.0f} s  scaled from a few fits: "
                    f"{value / found['total']:.0f} times ours, peak {peak():.2f} GB"
                )


if __name__ == "__main__":
    main()
