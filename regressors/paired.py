"""Two heads on the same folds: is the difference of their medians more than chance?

Both take the same draws of groups (see `regressors.intervals`), so that what is hard for both
cancels: the interval of the difference is narrower than the two intervals side by side suggest.
"""

from collections.abc import Sequence

import numpy as np

from regressors.intervals import weighted_srccs

PairedFold = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def paired_draws(folds: Sequence[PairedFold], draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median SRCC over folds of both heads in every draw.

    Parameters
    ----------
    folds : per fold (mos, prediction of a, prediction of b, group index) of its test part, (n,)
        each
    draws : (n_draws, n_groups) multiplicities

    Returns
    -------
    a, b : as of `paired_medians`
    """
    return paired_medians(head_draws([(mos, (a, b), group) for mos, a, b, group in folds], draws))


def head_draws(
    folds: Sequence[tuple[np.ndarray, Sequence[np.ndarray], np.ndarray]], draws: np.ndarray
) -> np.ndarray:
    """Return the SRCC of each fold and head in every draw, (n_folds, n_heads, n_draws).

    Parameters
    ----------
    folds : per fold (mos, predictions of each head, group index) of its test part, (n,) each
    draws : (n_draws, n_groups) multiplicities
    """
    return np.stack([weighted_srccs(mos, heads, draws[:, group]) for mos, heads, group in folds])


def paired_medians(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the medians over folds of two heads, of (n_folds, 2, n_draws) SRCCs.

    Returns
    -------
    a, b : (k,) each, k at most n_draws. A fold in which a draw leaves one of the two without a
        correlation is left out of both medians of that draw; a draw that leaves no fold is left
        out.
    """
    lacking = np.isnan(found).any(axis=1, keepdims=True)
    found = np.where(lacking, np.nan, found)
    usable = np.isfinite(found).any(axis=(0, 1))
    a, b = np.nanmedian(found[:, :, usable], axis=0)
    return a, b
