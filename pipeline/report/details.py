"""All that the page says of one run."""

import contextlib
import math
from collections.abc import Iterator
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
from pipeline.pairs import read_side
from pipeline.report import figures
from pipeline.report.collect import Line
from pipeline.results import n_lost
from pipeline.tables import CachedTable, cached_databases, read_cached_table
from pipeline.thumbnails import Thumbnail, thumbnail, uri
from regressors.errors import DataError

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
    groups, types : (name, pictures, mean absolute error) of each group and each type of distortion,
        the worst first
    seen : encoder -> what it was trained on
    n_lost : trials that gave no head, of all folds
    problems : what could not be shown, and why
    """

    line: Line
    scatter: str
    diagnosis: str
    worst: list[Shown]
    best: list[Shown]
    groups: list[tuple[str, int, float]]
    types: list[tuple[str, int, float]]
    seen: dict[str, str]
    settings: dict
    n_lost: int
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
    scatter, drawn, shown, groups, types = "", "", ([], []), [], []
    with _told(problems, "no scatter plot"):
        scatter = uri("image/png", (line.run / "scatter.png").read_bytes())
    predictions = None
    with _told(problems, "no predictions"):
        predictions = read_side(line.run).predictions
    if predictions is not None:
        each = pd.DataFrame({"name": []})
        with _told(problems, "no errors by picture and group"):
            each = _by_picture(predictions, target)
            groups = _by_group(each)
        with _told(problems, "no calibration"):
            errors = [fold["error90"] for fold in result["folds"] if "error90" in fold]
            half = float(np.median(errors)) if errors else None
            studies = _studies(line.run / "studies", problems)
            drawn = uri(
                "image/png",
                figures.diagnosis(
                    predictions, target, half, studies, result.get("objective") or "value"
                ),
            )
        with _told(problems, "no pictures"):
            if result["db"] not in cached_databases(cache):
                raise InputError(f"{result['db']} is not in the cache {cache} (--cache)")
            table = read_cached_table(cache, result["db"])
            types = _by_type(each, table)
            shown = _shown(each, table) if pictures else shown
    settings = read_json(line.run / "settings.json")
    rest = (_seen(result), settings, n_lost(result), problems)
    return Details(line, scatter, drawn, *shown, groups, types, *rest)


def _seen(result: dict) -> dict[str, str]:
    """Return what each encoder was trained on; also where a set's name is none any more."""
    seen = {}
    for name in result.get("keys") or [result["features"]]:
        try:
            for request in parse(name):
                seen[request.name] = ", ".join(request.encoder.seen) or "nothing"
        except InputError as error:  # an encoder of another version
            seen[name] = f"not known here: {error}"
    return seen


@contextlib.contextmanager
def _told(problems: list[str], what: str) -> Iterator[None]:
    """Let a part that cannot be shown be a line, and the other parts be shown."""
    try:
        yield
    except (InputError, DataError, OSError, ValueError, KeyError, TypeError) as error:
        problems.append(f"{what}: {error}")


def _by_picture(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return a row for each picture: name, group, mos, prediction (the mean of its folds)."""
    table = predictions.rename(columns={target: "mos"})
    found = table.groupby("name", sort=True).agg(
        group=("group", "first"), mos=("mos", "first"), prediction=("prediction", "mean")
    )
    found["error"] = (found["mos"] - found["prediction"]).abs()
    return found.reset_index()


def _by_type(each: pd.DataFrame, table: CachedTable) -> list[tuple[str, int, float]]:
    if "distortion" not in table.table:
        return []
    types = each["name"].map(table.table.set_index("name")["distortion"]).fillna("")
    return _worst_first(each, types) if types.nunique() > 1 else []


def _worst_first(each: pd.DataFrame, by: pd.Series) -> list[tuple[str, int, float]]:
    found = each.groupby(by.to_numpy(str))["error"].agg(["size", "mean"])
    worst = found.sort_values("mean", ascending=False, kind="stable")
    return [(name, int(row["size"]), float(row["mean"])) for name, row in worst.iterrows()]


def _by_group(each: pd.DataFrame) -> list[tuple[str, int, float]]:
    if len(each) < 2 * each["group"].nunique():  # most pictures by themselves
        return []
    return _worst_first(each, each["group"])[:N_GROUPS]


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
