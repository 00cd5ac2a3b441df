"""How predictions are judged.

Conventions: `mos` and `prediction` are (n,) float64 on the database's own scale; correlations are
signed, in -1..1, and never made absolute. Source: VQEG final reports (2000, 2003) for the mapping;
ITU-T P.1401 for the measures.
"""

from collections.abc import Callable

import numpy as np
import scipy.optimize
import scipy.stats

from regressors.errors import DataError

MINIMUM_ROWS = 3


def srcc(mos: np.ndarray, prediction: np.ndarray) -> float:
    """Return Spearman's rank correlation, ties at their average rank."""
    _check(mos, prediction)
    return pearson(scipy.stats.rankdata(mos), scipy.stats.rankdata(prediction))


def krcc(mos: np.ndarray, prediction: np.ndarray) -> float:
    """Return Kendall's rank correlation, tau-b."""
    _check(mos, prediction)
    return float(scipy.stats.kendalltau(mos, prediction).statistic)


def plcc(mos: np.ndarray, prediction: np.ndarray) -> float:
    """Return Pearson's correlation of the raw predictions."""
    _check(mos, prediction)
    return pearson(mos, prediction)


def rmse(mos: np.ndarray, prediction: np.ndarray) -> float:
    """Return the root of the mean squared error, on the scale of the scores."""
    return float(np.sqrt(np.mean((np.asarray(mos) - np.asarray(prediction)) ** 2)))


def mae(mos: np.ndarray, prediction: np.ndarray) -> float:
    """Return the mean absolute error, on the scale of the scores."""
    return float(np.mean(np.abs(np.asarray(mos) - np.asarray(prediction))))


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Return the correlation of two vectors that are known to vary."""
    x, y = x - np.mean(x), y - np.mean(y)
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def logistic4(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Map predictions to scores: b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|)), b = (b1, .., b4)."""
    return b[1] + (b[0] - b[1]) * scipy.special.expit((np.asarray(x) - b[2]) / abs(b[3]))


def logistic4_slopes(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the (n, 4) derivatives of `logistic4` by its parameters, whose b4 is positive."""
    z = (np.asarray(x) - b[2]) / b[3]
    share = scipy.special.expit(z)
    steepness = (b[0] - b[1]) * share * (1 - share) / b[3]
    return np.stack([share, 1 - share, -steepness, -z * steepness], axis=1)


def fit_logistic4(mos: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the (4,) parameters of `logistic4` that bring predictions closest to the scores.

    Least squares (Levenberg-Marquardt, with exact derivatives) from several starts, rising and
    falling, on standardised values: a single start ends in a flat corner on small folds.
    """
    _check(mos, prediction)
    mos, prediction = np.asarray(mos, float), np.asarray(prediction, float)
    x = (prediction - prediction.mean()) / prediction.std()
    y = (mos - mos.mean()) / mos.std()
    low, high = y.min(), y.max()
    # rows of zeros, because the method wants as many as there are parameters
    lacking = max(0, 4 - len(y))

    def residual(b: np.ndarray) -> np.ndarray:
        return np.concatenate([logistic4(x, _safe(b)) - y, np.zeros(lacking)])

    def slopes(b: np.ndarray) -> np.ndarray:
        # `_safe` makes the width positive
        sign = np.array([1, 1, 1, -1 if b[3] < 0 else 1])
        return np.concatenate([sign * logistic4_slopes(x, _safe(b)), np.zeros((lacking, 4))])

    starts = [
        (*ends, 0.0, width) for ends in ((high, low), (low, high)) for width in (0.25, 1.0, 4.0)
    ]
    fits = [_least_squares(residual, slopes, start) for start in starts]
    best = _safe(min(fits, key=lambda fit: fit.cost).x)
    return np.array(
        [
            best[0] * mos.std() + mos.mean(),
            best[1] * mos.std() + mos.mean(),
            best[2] * prediction.std() + prediction.mean(),
            best[3] * prediction.std(),
        ]
    )


def _least_squares(
    residual: Callable, slopes: Callable, start: tuple
) -> scipy.optimize.OptimizeResult:
    for how in (slopes, "2-point"):
        fit = scipy.optimize.least_squares(residual, start, how, method="lm", max_nfev=300)
        # an old SciPy may step from a near-vertical slope to what is no number
        if np.isfinite(fit.x).all():
            break
    return fit


def _safe(b: np.ndarray) -> np.ndarray:
    # a width of zero would divide by it; a step is as good as this one
    return np.array([b[0], b[1], b[2], max(abs(b[3]), 1e-6)])


def all_metrics(
    mos: np.ndarray, prediction: np.ndarray, mapping: np.ndarray | None = None
) -> dict[str, float]:
    """Return every number of the report.

    Parameters
    ----------
    mapping : (4,) parameters of a logistic learnt elsewhere (in the training part); its numbers
        carry the suffix `_train`. The mapping without suffix is learnt on these very rows, which is
        the field's convention and slightly flattering.
    """
    mapped = {"": logistic4(prediction, fit_logistic4(mos, prediction))}
    if mapping is not None:
        mapped["_train"] = logistic4(prediction, mapping)
    numbers = {
        "srcc": srcc(mos, prediction),
        "krcc": krcc(mos, prediction),
        "plcc": plcc(mos, prediction),
        "rmse": rmse(mos, prediction),
        "mae": mae(mos, prediction),
    }
    for suffix, values in mapped.items():
        numbers[f"plcc_logistic{suffix}"] = float("nan") if is_flat(values) else plcc(mos, values)
        numbers[f"rmse_logistic{suffix}"] = rmse(mos, values)
        numbers[f"mae_logistic{suffix}"] = mae(mos, values)
    return numbers


def is_flat(values: np.ndarray) -> bool:
    """Say whether the values are all alike but for rounding."""
    # alike rows of a matrix product differ in the last place: ranks would make that a correlation
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def _check(mos: np.ndarray, prediction: np.ndarray) -> None:
    mos, prediction = np.asarray(mos), np.asarray(prediction)
    if mos.shape != prediction.shape or mos.ndim != 1:
        raise ValueError(f"expected two vectors alike, got {mos.shape} and {prediction.shape}")
    if len(mos) < MINIMUM_ROWS:
        raise DataError(
            f"a correlation needs at least {MINIMUM_ROWS} pictures, there are {len(mos)}"
        )
    for name, values in (("scores", mos), ("predictions", prediction)):
        if not np.isfinite(values).all():
            raise DataError(f"the {name} hold values that are not finite")
        if is_flat(values):
            raise DataError(
                f"the {name} are all {values[0]:g}: there is nothing to correlate; look at the "
                "database's scores and at the embeddings"
            )
