"""A head of one database on the pictures of another.

SRCC keeps its sign: between a database for which higher is better and one for which lower is, it is
negative, as it should be.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError
from features.files import write_atomic, write_json
from features.names import parse
from features.weights import seen_by
from pipeline.data import Data
from pipeline.databases import aliases
from pipeline.databases.overlaps import shared_content
from pipeline.heads import read_head
from pipeline.plots import scatter
from pipeline.results import FEW_GROUPS, aligned
from pipeline.runs import provenance
from pipeline.summary import plain
from regressors.heads import HEADS, distance
from regressors.intervals import group_draws, interval, weighted_srcc
from regressors.metrics import all_metrics

# Errors are on the training database's scale, which means nothing on another.
SHOWN = ("srcc", "krcc", "plcc", "plcc_logistic")
HEADER = ("train", "test", "features", "head", "n", "SRCC", "95 % interval", "KRCC", "PLCC")
HEADER += ("PLCC*", "inside", "outside")
LEGEND = (
    "* after the 4-parameter logistic, fitted on these predictions; inside: median SRCC of the "
    "folds\nwithin the head's own database; outside: share of pictures unlike any that it was "
    "trained on"
)
_ROWS = 1024  # that are float64 at a time


def cross(
    run: Path, result: dict, train: Data, test: Data, features: str, n_same_files: int = 0
) -> dict:
    """Judge the head of a run on another database, and write what it says into the run's folder.

    Parameters
    ----------
    n_same_files : tested pictures that are the very same file as one that the head was trained on

    Returns
    -------
    the result; its files are `cross/<db>-<target>.json`, `.csv` and `.png`

    Raises
    ------
    InputError
        When the two were not embedded alike.
    """
    differing = [name for name in train.keys if train.keys[name] != test.keys.get(name)]
    if differing:
        raise InputError(
            f"{differing[0]} was extracted with other settings or weights for {train.database.name}"
            f" (key {train.keys[differing[0]]}) and {test.database.name} (key "
            f"{test.keys.get(differing[0])}): extract both alike, or choose with --key"
        )
    _, arrays, facts, _ = read_head(run)
    parts = [test.X[start : start + _ROWS] for start in range(0, len(test.X), _ROWS)]
    predictions = np.concatenate([HEADS[facts["kind"]](arrays, part) for part in parts])
    far = np.concatenate([distance(arrays, part) for part in parts]) > facts["distance_max"]
    index, members = np.unique(test.group, return_inverse=True)
    draws = weighted_srcc(test.y, predictions, group_draws(len(index))[:, members])
    better = [one.database.targets[one.target].higher_is_better for one in (train, test)]
    names = [(one.database.name, *aliases(one.database.name)) for one in (train, test)]
    encoders = [request.encoder for request in parse(features)]
    numbers = all_metrics(test.y, predictions)
    found = {
        "train": train.database.name,
        "target": train.target,
        "test": test.database.name,
        "test_target": test.target,
        "features": features,
        "regressor": result["regressor"],
        "run": str(run),
        "n_pictures": len(test.names),
        "n_groups": len(index),
        "n_without_embedding": len(test.failures),
        **{name: plain(numbers[name]) for name in SHOWN},
        "srcc_interval": interval(draws[np.isfinite(draws)]),
        "expected_sign": 1 if better[0] == better[1] else -1,
        "srcc_inside": result["median"]["srcc"],
        "share_outside": float(far.mean()),
        "shared_content": shared_content(*names),
        "n_same_files": n_same_files,
        "seen_by": seen_by(encoders, names[1][0], names[1][1:]),
        "notes": [one.database.note for one in (train, test) if one.database.note],
        "versions": provenance(),
    }
    place = run / "cross" / f"{test.database.name}-{test.target}"
    columns = {"name": test.names, test.target: test.y, "prediction": predictions}
    table = pd.DataFrame(columns | {"group": test.group, "outside": far})
    write_atomic(place.with_name(f"{place.name}.csv"), table.to_csv(index=False).encode())
    scatter(
        place.with_name(f"{place.name}.png"),
        test.y,
        predictions,
        np.full(len(test.y), "all"),
        f"{train.database.name} {train.target} to {test.database.name} {test.target}, {features}, "
        f"{result['regressor']}: SRCC {found['srcc']:.3f}",
        "; ".join(found["notes"]),
    )
    write_json(place.with_name(f"{place.name}.json"), found)
    return found


def cross_table(results: list[dict]) -> str:
    """Return the results as aligned text, with what must be said of them below."""
    notes = dict.fromkeys(note for result in results for note in _notes(result))
    return "\n".join([aligned([HEADER, *map(_cells, results)], 4), LEGEND, *notes])


def _cells(result: dict) -> tuple[str, ...]:
    low, high = result["srcc_interval"]
    few = result["n_groups"] < FEW_GROUPS
    return (
        f"{result['train']} {result['target']}",
        f"{result['test']} {result['test_target']}",
        result["features"],
        result["regressor"],
        str(result["n_pictures"]),
        f"{result['srcc']:.4f}",
        "-" if few else f"[{low:.3f}, {high:.3f}]",
        *("-" if result[name] is None else f"{result[name]:.4f}" for name in SHOWN[1:]),
        f"{result['srcc_inside']:.4f}",
        f"{result['share_outside']:.0%}",
    )


def _notes(result: dict) -> list[str]:
    pair = f"{result['train']} to {result['test']}"
    notes = [f"{pair}: SHARED CONTENT: {what}" for what in result["shared_content"]]
    if result["n_same_files"]:
        notes.append(
            f"{pair}: SHARED CONTENT: {result['n_same_files']} of {result['n_pictures']} tested "
            "pictures are the very same files as pictures that the head was trained on"
        )
    if result["seen_by"]:
        encoders = ", ".join(result["seen_by"])
        notes.append(
            f"{result['test']}: {encoders} was trained on this database: expect less elsewhere"
        )
    if result["expected_sign"] < 0:
        notes.append(
            f"{pair}: higher is better in one and worse in the other: SRCC below 0 is as expected"
        )
    if math.copysign(1, result["srcc"]) != result["expected_sign"]:
        notes.append(f"{pair}: SRCC has the wrong sign: the head ranks these pictures upside down")
    if result["n_groups"] < FEW_GROUPS:
        notes.append(f"{result['test']}: {result['n_groups']} groups are too few for an interval")
    return [*notes, *result["notes"]]
