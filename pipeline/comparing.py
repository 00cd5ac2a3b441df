"""Two runs on the same folds: what their files say about the difference.

Both are judged on the pictures that both have, with the same draws of groups, so that the
difference of their median SRCC has a 95 % interval of its own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from features.errors import InputError
from pipeline.pairs import Pair, Side, pair_of, read_side
from pipeline.results import FEW_GROUPS
from regressors.errors import DataError
from regressors.intervals import group_draws, interval
from regressors.paired import head_draws, paired_draws, paired_medians

# Two correlations that differ by less are the same but for rounding.
TIE = 1e-12


def compare(run_a: Path, run_b: Path) -> dict:
    """Compare two finished runs.

    Parameters
    ----------
    run_a, run_b : their folders

    Returns
    -------
    what `--json` prints; `interval` and `share` are None where there are too few groups

    Raises
    ------
    InputError
        When their numbers are not of the same pictures, scores, splits and protocol.
    """
    a, b = read_side(run_a), read_side(run_b)
    pair = pair_of(a, b)
    medians = [float(np.median(column)) for column in zip(*pair.srccs, strict=True)]
    return {
        "db": a.result["db"],
        "target": a.result["target"],
        "protocol": a.protocol,
        "n_pictures": pair.n_pictures,
        "n_groups": pair.used,
        "left_out": pair.left_out,
        "a": _facts(a, medians[0]),
        "b": _facts(b, medians[1]),
        "difference": medians[0] - medians[1],
        **_uncertainty(pair),
        "folds": [
            {"fold": name, "a": x, "b": y, "difference": x - y}
            for name, (x, y) in zip(pair.names, pair.srccs, strict=True)
        ],
        "warnings": _warnings(a, b, pair.used),
    }


def differences(best: Path, others: Sequence[Path]) -> list[tuple[float, float] | None]:
    """Return the 95 % interval of best minus other for many runs, each as of `compare`.

    None where there is none, or where the two cannot be compared. What the runs share, the draws
    and the ranks of the scores and of the best one's predictions, is computed once.
    """
    try:
        side = read_side(best)
    except InputError:
        return [None] * len(others)
    pairs = [_pair(side, other) for other in others]
    found = [_uncertainty(pair)["interval"] if pair and pair.left_out else None for pair in pairs]
    alike = {k: p for k, p in enumerate(pairs) if p and not p.left_out and p.used >= FEW_GROUPS}
    if alike:
        first, *_ = alike.values()
        folds = [
            (mos, [ours, *(pair.folds[k][2] for pair in alike.values())], group)
            for k, (mos, ours, _, group) in enumerate(first.folds)
        ]
        srccs = head_draws(folds, group_draws(first.n_groups))
        for head, k in enumerate(alike, start=1):
            a, b = paired_medians(srccs[:, [0, head]])
            found[k] = interval(a - b)
    return found


def _pair(side: Side, other: Path) -> Pair | None:
    try:
        return pair_of(side, read_side(other))
    except (InputError, DataError):
        return None


def _uncertainty(pair: Pair) -> dict:
    if pair.used < FEW_GROUPS:
        return {"interval": None, "share": None, "n_draws": 0}
    a, b = paired_draws(pair.folds, group_draws(pair.n_groups))
    return {
        "interval": list(interval(a - b)),
        "share": {"a": float(np.mean(a - b > TIE)), "b": float(np.mean(b - a > TIE))},
        "n_draws": len(a),
    }


def _facts(side: Side, median: float) -> dict:
    return {
        "run": str(side.folder),
        "features": side.result["features"],
        "regressor": side.result["regressor"],
        "srcc": median,
    }


def _warnings(a: Side, b: Side, n_groups: int) -> list[str]:
    """Return what must be said beside the numbers."""
    said = [a.result.get("note", ""), b.result.get("note", "")]
    if n_groups < FEW_GROUPS:
        said.append(f"{a.result['db']}: {n_groups} groups are too few for an interval")
    for letter, side in (("A", a), ("B", b)):
        if isinstance(why := side.result.get("optimistic"), str) and why:
            said.append(f"{letter} is optimistic: {why}")
        if seen := side.result.get("seen_by"):
            said.append(f"{letter}: {', '.join(seen)} was trained on this database")
    return list(dict.fromkeys(filter(None, said)))
