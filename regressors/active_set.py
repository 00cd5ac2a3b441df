"""The elastic net by Newton's method on its dual, certified by its duality gap.

Minimises |y - Xs w|^2 / 2n + l1 |w|_1 + l2 |w|^2 / 2, with l2 > 0, y centred and the columns of Xs
standardised; in terms of the correlations G = Xs'Xs / n and c = Xs'y / n only. Any coefficients v
leave residuals whose correlations with the columns are z = c - G v, which are a feasible point of
the dual problem, too, and the gap between the two objectives is a sum over the columns

    gap(v) = sum_j  h(v_j) + h*(z_j) - v_j z_j >= 0,   h(v) = l1 |v| + l2 v^2 / 2,
                                                       h*(z) = max(|z| - l1, 0)^2 / (2 l2),

every term of which is at least 0 (Fenchel and Young). It bounds how far the objective is above its
least value, and half the mean square by which predictions of the training rows are off.

The dual is concave and its slope is continuous and piecewise linear. A Newton step solves a linear
system in the columns with |z_j| > l1, and a line search along it makes the method converge from
anywhere; near the solution the set of columns no longer changes, and a step is exact (Li, Sun and
Toh 2018, SIAM Journal on Optimization 28:433; Boschi, Reimherr and Chiaromonte 2020,
arXiv:2006.03970).
"""

from typing import Protocol

import numpy as np

from regressors.errors import NoHead

# Largest duality gap, as a share of |y|^2 / n: predictions of training rows are off by less than
# 5e-5 of the scores' standard deviation (root mean square).
TOLERANCE = 1e-9
# Newton steps in one round: from nothing, 3 to 30 are usual and 100 the most seen in the tuner's
# space; from nearby, 1 to 5.
MAX_STEPS = 200
MAX_ROUNDS = 20  # each checked exactly; one or two are usual
DETOUR = 10.0
# How exactly a step's linear system is solved, as a share of its right side, at first and at most.
SHARE, LEAST_SHARE = 1e-3, 1e-8
# Columns whose correlation with the residuals is below this share of l1 are left out of a round.
LEFT_OUT = 0.8
# Where more columns than this share are kept, copying them saves no time.
NEARLY_ALL = 0.6


class Correlations(Protocol):
    """The matrix G of correlations between columns, which may be rounded to float32."""

    def __len__(self) -> int:
        """Return the number of columns."""

    def product(self, v: np.ndarray) -> np.ndarray:
        """Return G v."""

    def solve(self, active: np.ndarray, target: np.ndarray, l2: float, share: float) -> np.ndarray:
        """Solve (G_aa + l2) x = target about as exactly as `share` of the target says."""

    def within(self, kept: np.ndarray) -> "Correlations":
        """Return those of some columns only."""


class Residuals(Protocol):
    """What is exact: in float64, from the rows themselves."""

    def correlations(self, v: np.ndarray) -> np.ndarray:
        """Return z = Xs'(y - Xs v) / n."""


def soft(z: np.ndarray, l1: float) -> np.ndarray:
    """Return z, drawn towards zero by l1."""
    return z - np.clip(z, -l1, l1)


def gap(v: np.ndarray, z: np.ndarray, l1: float, l2: float) -> float:
    """Return the duality gap of coefficients v, whose residuals have correlations z."""
    inside = np.clip(z, -l1, l1)
    # the sum of the module's head, written so that no rounding hides a small one
    return float(np.sum((l2 * v - (z - inside)) ** 2 / (2 * l2) + l1 * np.abs(v) - v * inside))


def solve(
    G: Correlations,
    residuals: Residuals,
    c: np.ndarray,
    l1: float,
    l2: float,
    bound: float,
    start: np.ndarray | None = None,
    detours: int = 3,
) -> np.ndarray:
    """Return the (p,) coefficients.

    Parameters
    ----------
    c : (p,) correlations of the columns with y
    l1, l2 : penalties, at least 0 and above 0
    bound : largest duality gap
    start : (p,) signs of coefficients nearby, if any
    detours : how many larger l2 to come from, at most, where there is no direct way

    Raises
    ------
    NoHead
        When the bound is not reached.
    """
    try:
        return _rounds(G, residuals, c, l1, l2, bound, start)
    except NoHead:
        if not detours:
            raise
    # what does not converge from here does so from where the columns are tied together more
    start = np.sign(solve(G, residuals, c, l1, DETOUR * l2, bound, start, detours - 1))
    return _rounds(G, residuals, c, l1, l2, bound, start)


def _rounds(G, residuals, c, l1, l2, bound, start) -> np.ndarray:
    """Take Newton steps in the columns that seem to matter, until all have been checked."""
    v, z = guess(G, c, l1, l2, start)
    kept = np.arange(len(c))
    for _ in range(MAX_ROUNDS):
        if start is not None:
            kept = np.flatnonzero((np.abs(z) > LEFT_OUT * l1) | (v != 0))
        v, z = descend(G, v, z, l1, l2, bound / 2, kept)
        # a step taken in part leaves traces of what is no longer active
        v = np.where(np.abs(z) > l1, v, 0.0)
        z = residuals.correlations(v)
        if gap(v, z, l1, l2) <= bound:
            return v
        start = np.sign(v)
    raise NoHead(f"the elastic net is not certain: rounding hides the effect of l2 {l2:.3g}")


def guess(
    G: Correlations, c: np.ndarray, l1: float, l2: float, near: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return v and z of the solution that has the given signs, exact where they are the right ones.

    Without any signs, that is where all coefficients are zero.
    """
    v = np.zeros(len(c))
    active = np.flatnonzero(near) if near is not None else ()
    if not len(active):
        return v, c
    v[active] = G.solve(active, c[active] - l1 * near[active], l2, SHARE / 10)
    return v, c - G.product(v)


def signs(G: Correlations, c: np.ndarray, l1: float, l2: float, bound: float) -> np.ndarray:
    """Return the signs of the coefficients, as far as a loose bound tells: (p,), -1, 0 or 1.

    They are all 0 where the bound is not reached.
    """
    v = np.zeros(len(c))
    try:
        z = descend(G, v, c, l1, l2, bound, np.arange(len(c)))[1]
    except NoHead:
        z = v
    return (np.sign(z) * (np.abs(z) > l1)).astype(np.int8)


def descend(
    G: Correlations,
    v: np.ndarray,
    z: np.ndarray,
    l1: float,
    l2: float,
    bound: float,
    kept: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Take Newton steps in some columns, until their gap is within the bound; return v and z.

    Of z, those of the columns left out are as before.

    Raises
    ------
    NoHead
        When the bound is not reached.
    """
    if len(kept) < NEARLY_ALL * len(G):
        v, z = v.copy(), z.copy()
        v[kept], z[kept] = descend(
            G.within(kept), v[kept], z[kept], l1, l2, bound, np.arange(len(kept))
        )
        return v, z
    share = SHARE
    for _ in range(MAX_STEPS):
        if gap(v, z, l1, l2) <= bound:
            return v, z
        step, change = _newton(G, v, z, l1, l2, share)
        if _slope(0.0, v, z, step, change, l1, l2) >= 0:
            share *= 1e-2  # the system was not solved well enough to go down
            if share < LEAST_SHARE:
                break
            continue
        length = _length(v, z, step, change, l1, l2)
        v, z = v + length * step, z + length * change
    raise NoHead(f"the elastic net did not converge: l2 {l2:.3g} is too small")


def _newton(
    G: Correlations, v: np.ndarray, z: np.ndarray, l1: float, l2: float, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the step of v, and what it changes in z."""
    active = np.flatnonzero(np.abs(z) > l1)
    step = -v
    step[active] = 0.0
    # first, what is no longer active becomes zero; it is seldom much
    dropped = -G.product(step) if np.any(step) else np.zeros_like(z)
    if len(active):
        target = soft(z[active], l1) - l2 * v[active]
        target += dropped[active]
        moved = np.zeros_like(v)
        moved[active] = G.solve(active, target, l2, share)
        step, dropped = step + moved, dropped - G.product(moved)
    return step, dropped


def _slope(t, v, z, step, change, l1, l2) -> float:
    """Return the slope of the dual, to be minimised, at a share t of the step."""
    return float((soft(z + t * change, l1) / l2 - v - t * step) @ change)


def _length(v, z, step, change, l1, l2) -> float:
    """Return the share of the step to take: all, or about where the slope is zero."""
    low, high = 0.0, 1.0
    if _slope(high, v, z, step, change, l1, l2) <= 0:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        if _slope(middle, v, z, step, change, l1, l2) < 0:
            low = middle
        else:
            high = middle
        if high - low < 0.05 * high:
            break
    return low
