"""SRCC by type of distortion, whose average hides one that cannot be ranked, and within groups."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from regressors.metrics import MINIMUM_ROWS, is_flat, srcc

WIDTH = 100


def by_distortion(
    predictions: pd.DataFrame, distortion: pd.Series, target: str
) -> dict[str, dict[str, float | int | None]]:
    """Return the median SRCC over folds within each type of distortion.

    Parameters
    ----------
    predictions : one row for each picture of each fold's test part: `name`, `fold`, the target,
        `prediction`
    distortion : picture name -> its type; empty or missing for a picture without one
    target : the column of scores

    Returns
    -------
    type -> `srcc` (None where no fold has one), `n_folds` that have one, `n_pictures`. A fold with
    fewer than three pictures of a type, or with scores or predictions of it that are all alike, has
    none. Empty where there are fewer than two types.
    """
    types = predictions["name"].map(distortion)
    types = types.where(types.notna(), "").map(_text)
    if types[types != ""].nunique() < 2:
        return {}
    return {
        kind: _one_type(rows, target)
        for kind, rows in predictions.groupby(types.to_numpy(), sort=True)
        if kind
    }


def within_groups(predictions: pd.DataFrame, target: str) -> float | None:
    """Return the mean SRCC within a group, as of one reference's distorted pictures.

    It is all that scores allow which start anew with each group, such as Elo ratings.

    Parameters
    ----------
    predictions : as for `by_distortion`, with `group`

    Returns
    -------
    srcc : the median over folds; None where no test part has a group of three different scores
    """
    folds = []
    for _, part in predictions.groupby("fold", sort=False):
        found = [_one(rows, target) for _, rows in part.groupby("group", sort=True)]
        known = [value for value in found if value is not None]
        if known:
            folds.append(float(np.mean(known)))
    return float(np.median(folds)) if folds else None


def _one(rows: pd.DataFrame, target: str) -> float | None:
    """Return the SRCC of some rows; None where they have none."""
    mos, prediction = rows[target].to_numpy(float), rows["prediction"].to_numpy(float)
    if len(rows) < MINIMUM_ROWS or is_flat(mos) or is_flat(prediction):
        return None
    return srcc(mos, prediction)


def _text(value: object) -> str:
    # a column of numbers with gaps is read as fractions: type 3 stays 3
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()


def _one_type(rows: pd.DataFrame, target: str) -> dict[str, float | int | None]:
    each = (_one(part, target) for _, part in rows.groupby("fold", sort=False))
    found = [value for value in each if value is not None]
    return {
        "srcc": float(np.median(found)) if found else None,
        "n_folds": len(found),
        "n_pictures": int(rows["name"].nunique()),
    }


def breakdown_text(found: Mapping[str, Mapping], width: int = WIDTH) -> str:
    """Return a breakdown as a line of types above a line of numbers, worst first.

    Lines that would be longer than `width` go on below. Empty for an empty breakdown.
    """
    ranked = sorted(
        found.items(), key=lambda item: (item[1]["srcc"] is None, item[1]["srcc"] or 0.0, item[0])
    )
    blocks: list[list[tuple[str, str]]] = []
    used = width
    for kind, facts in ranked:
        number = "-" if facts["srcc"] is None else f"{facts['srcc']:.3f}"
        size = max(len(kind), len(number))
        if used + 2 + size > width:
            blocks.append([])
            used = -2
        blocks[-1].append((kind.rjust(size), number.rjust(size)))
        used += 2 + size
    return "\n".join("  ".join(cells) for block in blocks for cells in zip(*block, strict=True))
