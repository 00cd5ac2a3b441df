"""The curves of a run as a picture."""

import csv
import io
from pathlib import Path

import numpy as np

from features.files import write_atomic

CURVES = "curves.png"


def write_curves(folder: Path) -> Path:
    """Draw loss, accuracy and probes of a run's folder against its steps."""
    from matplotlib.figure import Figure

    log, probes = _columns(folder / "log.csv"), _columns(folder / "probes.csv")
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, name, title in ((left, "loss", "contrastive loss"), (middle, "accuracy", "own key")):
        axes.plot(log["step"], log[name], color="0.8", linewidth=0.5)
        axes.plot(log["step"], _smooth(log[name]), color="C0")
        axes.set(title=title, xlabel="step")
    for name, values in probes.items():
        if name != "step":
            right.plot(probes["step"], values, marker="o", label=name)
    right.set(title="probe", xlabel="step")
    if len(probes) > 1:
        right.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    write_atomic(folder / CURVES, file.getvalue())
    return folder / CURVES


def _columns(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        return {}
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}


def _smooth(values: list[float], share: float = 0.02) -> np.ndarray:
    """Means over the last few steps."""
    n = max(1, int(share * len(values)))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(sums))
    starts = np.maximum(0, ends - n)
    return (sums[ends] - sums[starts]) / (ends - starts)
