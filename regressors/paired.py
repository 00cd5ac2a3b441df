"""Two heads on the same folds: is the difference of their medians more than chance?

Both take the same draws of groups (see `regressors.intervals`), so that what is hard for both
cancels: the interval of the difference is narrower than the two intervals side by side suggest.
"""

from collections.abc import Sequence

import numpy as np

from regressors.intervals import weighted_srcc

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
    a, b : (k,) each, k at most n_draws. A fold in which a draw leaves one of the two without a
        correlation is left out of both medians of that draw; a draw that leaves no fold is left
        out.
    """
    found = np.stack(
        [
            [weighted_srcc(mos, prediction, draws[:, group]) for prediction in (a, b)]
            for mos, a, b, group in folds
        ]
    )  # (n_folds, 2, n_draws)
    lacking = np.isnan(found).any(axis=1, keepdims=True)
    found = np.where(lacking, np.nan, found)
    usable = np.isfinite(found).any(axis=(0, 1))
    a, b = np.nanmedian(found[:, :, usable], axis=0)
    return a, b
