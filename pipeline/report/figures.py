"""The plots of the report, as PNG."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.report.collect import BEST, TIED, Line

_BLUE, _GREY, _RED = "#1f5fa8", "0.6", "#b5432a"
_BINS = 10
LEAST_SPAN = 0.1  # of SRCC


def overview(lines: Sequence[Line]) -> bytes:
    """Draw the median SRCC of the runs of one database with their 95 % intervals, best on top."""
    figure = _figure(7.2, 0.6 + 0.28 * len(lines))
    axes = figure.add_subplot()
    for row, line in enumerate(lines):
        colour = (
            _BLUE if line.mark in (BEST, TIED) else _RED if line.result["optimistic"] else "0.3"
        )
        if interval := line.interval("srcc"):
            axes.plot(interval, [row, row], color=colour, linewidth=2, alpha=0.45)
        axes.plot(line.result["median"]["srcc"], row, "o", color=colour, markersize=5)
    low, high = axes.get_xlim()
    more = max(0, LEAST_SPAN - (high - low)) / 2  # so that next to nothing looks like it
    axes.set_xlim(low - more, high + more)
    names = [
        f"{_short(line.result['features'])}, {line.head}"
        + (f" ({line.splits})" if line.rivals[1] else "")
        for line in lines
    ]
    axes.set_yticks(range(len(lines)), names, fontsize=8, parse_math=False)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlabel("median SRCC over folds, 95 % interval", fontsize=8)
    return _png(figure, axes)


def diagnosis(
    predictions: pd.DataFrame,
    target: str,
    error90: float | None,
    studies: Mapping[str, Sequence],
    objective: str,
) -> bytes:
    """Draw three panels of one run.

    Calibration: the mean score of pictures of like prediction, with the range of the middle nine of
    ten. Error: the mean absolute error by tenths of the score. Tuning: of each fold's study, the
    best value so far.

    Parameters
    ----------
    predictions : see `pipeline.runs.Run`
    error90 : half width of the intervals, on the scale of the scores; drawn as a band
    studies : fold -> the value of each trial, in their order; NaN for one that gave no head
    objective : what the trials' value is
    """
    figure = _figure(10.2, 3.1)
    left, middle, right = figure.subplots(1, 3)
    mos, prediction = predictions[target].to_numpy(float), predictions["prediction"].to_numpy(float)
    _calibration(left, mos, prediction, error90)
    parts = _tenths(mos)
    heights = [np.abs(mos - prediction)[rows].mean() for rows in parts]
    middle.bar(range(len(parts)), heights, color=_BLUE, alpha=0.75)
    ends = [f"{mos[rows].mean():.3g}" for rows in parts]
    middle.set_xticks(range(len(parts)), ends, fontsize=7, rotation=45)
    middle.set_xlabel(f"mean {target} of each tenth", fontsize=8)
    middle.set_ylabel("mean absolute error", fontsize=8)
    for values in studies.values():
        known = np.fmax.accumulate(np.array(values, float))
        right.plot(np.arange(1, len(known) + 1), known, linewidth=1, alpha=0.7)
    right.set_xlabel("trials", fontsize=8)
    right.set_ylabel(f"best {objective} so far, inner folds", fontsize=8)
    if not studies:
        right.text(0.5, 0.5, "no studies here", ha="center", transform=right.transAxes, fontsize=8)
    return _png(figure, left, middle, right)


def _calibration(
    axes: Axes, mos: np.ndarray, prediction: np.ndarray, error90: float | None
) -> None:
    x = [prediction[rows].mean() for rows in _tenths(prediction)]
    ends = np.array([min(x), max(x)])
    axes.plot(ends, ends, "--", color=_GREY, linewidth=1)
    if error90 is not None:
        axes.fill_between(ends, ends - error90, ends + error90, color=_GREY, alpha=0.18, lw=0)
    parts = [mos[rows] for rows in _tenths(prediction)]
    means = np.array([part.mean() for part in parts])
    low, high = np.array([np.quantile(part, [0.05, 0.95]) for part in parts]).T
    axes.errorbar(
        x, means, np.maximum([means - low, high - means], 0), fmt="o", color=_BLUE, ms=4, lw=1
    )
    axes.set_xlabel("prediction", fontsize=8)
    axes.set_ylabel("observed score", fontsize=8)


def _tenths(values: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each tenth of the values, from low to high."""
    order = np.argsort(values, kind="stable")
    return [part for part in np.array_split(order, _BINS) if len(part)]


def _short(name: str, most: int = 46) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure, *every: Axes) -> bytes:
    for axes in every:
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    # without the version of the library in it, the same run gives the same file
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
