"""SRCC by type of distortion: an average over types hides the one that a head cannot rank."""

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


def _text(value: object) -> str:
    # a column of numbers with gaps is read as fractions: type 3 stays 3
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()


def _one_type(rows: pd.DataFrame, target: str) -> dict[str, float | int | None]:
    found = []
    for _, part in rows.groupby("fold", sort=False):
        mos, prediction = (part[target].to_numpy(float), part["prediction"].to_numpy(float))
        if len(part) >= MINIMUM_ROWS and not is_flat(mos) and not is_flat(prediction):
            found.append(srcc(mos, prediction))
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
