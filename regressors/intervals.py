"""How sure a median over folds is: a bootstrap over groups.

Ten 80/20 repeats overlap, so that bootstrapping the ten numbers is too narrow. Instead the groups
are drawn with replacement, every fold's SRCC is computed anew with the multiplicities, and then the
median. Two runs on the same folds take the same draws, so that their difference has an interval
too.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats

from regressors.metrics import is_flat

N_DRAWS = 2000
LEVEL = 0.95
_CHUNK = 4_000_000  # numbers of one float64 work array


def group_draws(n_groups: int, n_draws: int = N_DRAWS, seed: int = 0) -> np.ndarray:
    """Return how often each group is drawn: (n_draws, n_groups) integers, rows sum to n_groups."""
    rng = np.random.default_rng(seed)
    share, kind = np.full(n_groups, 1 / n_groups), np.min_scalar_type(n_groups)
    # a draw at a time in 64 bits: all of them would take gigabytes where there are many groups
    return np.stack([rng.multinomial(n_groups, share).astype(kind) for _ in range(n_draws)])


def weighted_srcc(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation as if row i stood there weights[d, i] times.

    Parameters
    ----------
    x, y : (n,)
    weights : (n_draws, n) multiplicities, zeros allowed

    Returns
    -------
    (n_draws,) float64; NaN where fewer than two different values are left
    """
    return weighted_srccs(x, [y], weights)[0]


def weighted_srccs(x: np.ndarray, several: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return `weighted_srcc` of x with each of several (n,) vectors, (n_vectors, n_draws)."""
    return _in_parts(x, several, weights, _weighted_ranks)


def weighted_plcc(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation, with the parameters and the result of `weighted_srcc`."""
    # moved and stretched, which moves no correlation, so that sums lose no digits
    x, y = (np.zeros(len(z)) if is_flat(z) else (z - np.mean(z)) / np.std(z) for z in (x, y))
    return _in_parts(x, [y], weights, lambda values, weights: np.tile(values, (len(weights), 1)))[0]


def _in_parts(
    x: np.ndarray, several: Sequence[np.ndarray], weights: np.ndarray, values: Callable
) -> np.ndarray:
    step = max(1, _CHUNK // max(1, len(x)))
    parts = [
        _weighted(x, several, weights[start : start + step].astype(float), values)
        for start in range(0, len(weights), step)
    ]
    return np.concatenate(parts, axis=1)


def _weighted(
    x: np.ndarray, several: Sequence[np.ndarray], weights: np.ndarray, values: Callable
) -> np.ndarray:
    total = weights.sum(axis=1, keepdims=True)

    def centred(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = values(z, weights)
        moved -= (weights * moved).sum(axis=1, keepdims=True) / total
        return moved, (weights * moved**2).sum(axis=1)

    found = np.empty((len(several), len(weights)))
    with np.errstate(invalid="ignore", divide="ignore"):
        rx, x_power = centred(x)
        for row, y in zip(found, several, strict=True):
            ry, y_power = centred(y)
            spread = np.sqrt(x_power * y_power)
            row[:] = np.where(spread > 1e-9, (weights * rx * ry).sum(axis=1) / spread, np.nan)
    return found


def _weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return average ranks of repeated rows: a tie takes the mean of the ranks it spans."""
    level = scipy.stats.rankdata(values, method="dense") - 1  # 0-based rank among different values
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    per_level = np.add.reduceat(weights[:, order], starts, axis=1)
    before = np.cumsum(per_level, axis=1) - per_level
    return (before + (per_level + 1) / 2)[:, level]


def median_draws(
    folds: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    draws: np.ndarray,
    correlation: Callable = weighted_srcc,
) -> np.ndarray:
    """Return the median SRCC, or another correlation, over folds in every draw.

    Parameters
    ----------
    folds : per fold (mos, prediction, group index) of its test part, (n,) each
    draws : (n_draws, n_groups) multiplicities

    Returns
    -------
    (n_draws,); a fold none of whose groups is drawn is left out of the median of that draw
    """
    per_fold = [correlation(mos, pred, draws[:, group]) for mos, pred, group in folds]
    stacked = np.stack(per_fold)
    usable = np.isfinite(stacked).any(axis=0)
    return np.nanmedian(stacked[:, usable], axis=0)


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the central interval that holds `level` of the values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
