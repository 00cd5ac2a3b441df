"""All that the page says of one run."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from features.errors import InputError
from features.files import read_json
from features.names import parse
from pipeline.report import figures
from pipeline.report.collect import Line
from pipeline.runs import load_run
from pipeline.tables import CachedTable, cached_databases, read_cached_table
from pipeline.thumbnails import Thumbnail, thumbnail, uri

N_SHOWN = 12  # of the worst and of the best predictions
N_GROUPS = 10


@dataclass(frozen=True)
class Shown:
    """A picture with its mean prediction over the folds that tested it."""

    name: str
    mos: float
    prediction: float
    picture: Thumbnail


@dataclass(frozen=True)
class Details:
    """One run, for the page.

    Attributes
    ----------
    scatter, diagnosis : images as data: addresses; empty where a file is missing
    groups : (name, pictures, mean absolute error), the worst first
    seen : encoder -> what it was trained on
    problems : what could not be shown, and why
    """

    line: Line
    scatter: str
    diagnosis: str
    worst: list[Shown]
    best: list[Shown]
    groups: list[tuple[str, int, float]]
    seen: dict[str, str]
    settings: dict
    problems: list[str] = field(default_factory=list)


def details(line: Line, cache: Path, pictures: bool = True) -> Details:
    """Return the details of a run; what cannot be had is told, not raised.

    Parameters
    ----------
    cache : whose tables say where the pictures of a database lie
    pictures : whether to show some
    """
    problems: list[str] = []
    target, result = line.result["target"], line.result
    scatter, shown, groups, drawn = "", ([], []), [], ""
    try:
        scatter = uri("image/png", (line.run / "scatter.png").read_bytes())
    except OSError as error:
        problems.append(f"no scatter plot: {error}")
    try:
        predictions = load_run(line.run).predictions
        each = _by_picture(predictions, target)
        groups = _by_group(each)
        studies = _studies(line.run / "studies", problems)
        error90 = [fold["error90"] for fold in result["folds"] if "error90" in fold]
        half = float(np.median(error90)) if error90 else None
        drawn = uri("image/png", figures.diagnosis(predictions, target, half, studies))
        if pictures and result["db"] not in cached_databases(cache):
            problems.append(f"no pictures: {result['db']} is not in the cache {cache} (--cache)")
        elif pictures:
            shown = _shown(each, read_cached_table(cache, result["db"]))
    except (InputError, OSError, ValueError, KeyError) as error:
        problems.append(str(error))
    try:
        seen = {
            request.name: ", ".join(request.encoder.seen) or "nothing"
            for request in parse(result["features"])
        }
    except InputError as error:  # an encoder of another version
        seen = {result["features"]: f"not known here: {error}"}
    settings = read_json(line.run / "settings.json")
    return Details(line, scatter, drawn, *shown, groups, seen, settings, problems)


def _by_picture(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return a row for each picture: name, group, mos, prediction (the mean of its folds)."""
    table = predictions.rename(columns={target: "mos"})
    found = table.groupby("name", sort=True).agg(
        group=("group", "first"), mos=("mos", "first"), prediction=("prediction", "mean")
    )
    found["error"] = (found["mos"] - found["prediction"]).abs()
    return found.reset_index()


def _by_group(each: pd.DataFrame) -> list[tuple[str, int, float]]:
    if len(each) < 2 * each["group"].nunique():  # most pictures by themselves
        return []
    found = each.groupby("group")["error"].agg(["size", "mean"])
    worst = found.sort_values("mean", ascending=False, kind="stable").head(N_GROUPS)
    return [(str(name), int(row["size"]), float(row["mean"])) for name, row in worst.iterrows()]


def _shown(each: pd.DataFrame, table: CachedTable) -> tuple[list[Shown], list[Shown]]:
    """Return the pictures that are predicted worst, and best."""
    order = each.sort_values("error", ascending=False, kind="stable")
    known = set(table.table["name"])

    def show(rows: pd.DataFrame) -> list[Shown]:
        return [
            Shown(
                row.name_,
                row.mos,
                row.prediction,
                thumbnail(table.path(row.name_))
                if row.name_ in known
                else Thumbnail("", "is in the database's table no more"),
            )
            for row in rows.rename(columns={"name": "name_"}).itertuples()
        ]

    return show(order.head(N_SHOWN)), show(order.tail(N_SHOWN).iloc[::-1])


def _studies(folder: Path, problems: list[str]) -> dict[str, list[float]]:
    """Return the value of every trial of each fold's study."""
    found = {}
    for path in sorted(folder.glob("*.journal")):
        try:
            storage = JournalStorage(JournalFileBackend(str(path)))
            (study,) = optuna.get_all_study_summaries(storage)
            trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
        except Exception as error:  # whatever a damaged journal makes Optuna raise
            problems.append(f"{path.name} cannot be read: {error}")
            continue
        found[path.stem] = [math.nan if t.value is None else t.value for t in trials]
    return found
