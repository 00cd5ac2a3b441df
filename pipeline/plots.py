"""Plots of a run."""

import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from features.files import write_atomic
from regressors.metrics import fit_logistic4, logistic4


def scatter(
    path: Path, mos: np.ndarray, prediction: np.ndarray, fold: np.ndarray, title: str, note: str
) -> None:
    """Write scatter.png: every test prediction of every fold against its score.

    Parameters
    ----------
    mos, prediction : (n,) on the database's own scale; fold : (n,) names
    note : a line under the plot, or nothing
    """
    figure = Figure(figsize=(6.4, 6.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, name in enumerate(sorted(set(fold))):
        rows = fold == name
        axes.plot(
            prediction[rows],
            mos[rows],
            ".",
            color=f"C{index % 10}",
            alpha=0.5,
            markersize=5,
            markeredgewidth=0,
        )
    x = np.linspace(prediction.min(), prediction.max(), 200)
    curve = logistic4(x, fit_logistic4(mos, prediction))
    axes.plot(x, curve, "k-", linewidth=1.5, label="4-parameter logistic")
    axes.plot(x, x, "--", color="0.6", linewidth=1, label="prediction = score")
    axes.set(xlabel="prediction (test parts of all folds, one colour each)", ylabel="score")
    axes.set_title(title, fontsize=11)
    axes.legend(frameon=False, loc="upper left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if note:
        figure.supxlabel(note, fontsize=8, color="0.35")
    buffer = io.BytesIO()
    # without the version of the library in it, the same run gives the same file
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomic(path, buffer.getvalue())
