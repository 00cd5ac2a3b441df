"""What lies on this disk of a database, and what is wrong with it."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from features.decode import UnreadablePicture, decode
from features.duplicates import near_duplicates
from features.errors import InputError
from features.progress import progress
from features.remote import reason_of
from features.sources import Refused, read
from features.sources import Source as Place
from pipeline.databases import Source
from pipeline.databases.known import Labels, where_else
from pipeline.databases.table import Database
from pipeline.databases.tree import Tree
from pipeline.splits import SIDES

# What nothing is said of while labels or pictures are not found.
_UNKNOWN = ("n_read", "n_rows", "n_present", "n_missing", "n_unreadable", "n_unlabelled")
_UNKNOWN += ("mos_min", "mos_max", "higher_is_better", "n_groups", "group_by")
_TOGETHER = 1024  # pictures in the queue of the threads, so that an interruption is heeded soon


def check(source: Source, deep: bool = False, duplicates: bool = False) -> dict:
    """Compare what lies under a root with what the database should be.

    Parameters
    ----------
    deep : decode every picture, instead of asking only whether its file is there and not empty
    duplicates : also search for near-duplicates that stand in different groups

    Returns
    -------
    facts : what `--json` prints; `problems` holds one line for each thing that is wrong
    """
    facts = {"name": source.name, "title": source.known.title, "root": str(source.root)}
    facts["page"] = source.known.page
    facts |= dict.fromkeys(_UNKNOWN)
    facts |= {"targets": {}, "split_counts": {}, "labels": [], "problems": [], "remarks": []}
    try:
        tree = source.tree()
        labels = source.labels(tree)
        if not len(labels.table):  # which is an error, and has no lowest score
            source.open(tree, labels)
        facts |= _of_labels(source, labels)
        facts["problems"] = _differences(source, labels, facts)
        facts["remarks"] = _remarks(source, labels, facts)
        problems, remarks = facts["problems"], facts["remarks"]
        database = source.open(tree, labels)
    except InputError as error:
        facts["problems"].append(str(error))
        return facts
    facts |= _of_pictures(source, tree, labels, database, deep, duplicates)
    return facts | {
        "problems": [*problems, *facts["problems"]],
        "remarks": [*remarks, *facts["remarks"]],
    }


def _of_labels(source: Source, labels: Labels) -> dict:
    """Return what the labels alone say, whether their pictures are there or not."""
    table = labels.table
    known = source.known.targets if labels.targets is None else labels.targets
    targets = {
        column: {
            "min": float(table[column].min()),
            "max": float(table[column].max()),
            "higher_is_better": target.higher_is_better,
            "low": target.low,
            "high": target.high,
        }
        for column, target in known.items()
        if column in table
    }
    first = next(iter(targets.values()), {})
    sides = table["split"].astype(str).str.strip().str.lower() if "split" in table else None
    counts = {} if sides is None else sides.replace(SIDES).replace("", "none").value_counts()
    order = [side for side in ("train", "val", "test", *counts.keys()) if side in counts]
    return {
        "labels": [str(path) for path in labels.files],
        "n_read": labels.n_read or len(table),
        "n_rows": len(table),
        "mos_min": first.get("min"),
        "mos_max": first.get("max"),
        "higher_is_better": first.get("higher_is_better"),
        "n_groups": int(table["group" if "group" in table else "name"].nunique()),
        "group_by": labels.group_by or source.known.group_by,
        "targets": targets,
        "split_counts": {
            " ".join(side.split()): int(counts[side]) for side in dict.fromkeys(order)
        },
    }


def _differences(source: Source, labels: Labels, facts: dict) -> list[str]:
    """Return how the labels differ from the published ones, where their reader does not say it."""
    known, counts = source.known, facts["split_counts"]
    rows, groups = facts["n_read"], facts["n_groups"]
    if not known.targets or known.n_pictures is None or labels.problems:
        return []
    # a part of an official split may come in a file of its own
    parts = sum(number for side, number in known.split.items() if side in counts)
    if rows not in (known.n_pictures, parts):
        return [
            f"{files_text(labels.files)}: {rows} rows, and {known.title} is published with "
            f"{known.n_pictures}: is it whole, and of this release?"
        ]
    lines = []
    if known.n_groups not in (None, groups) and rows == known.n_pictures:
        lines.append(
            f"{files_text(labels.files)}: {groups} groups ({known.group_by}), and {known.title} is "
            f"published with {known.n_groups}: is it whole, and of this release?"
        )
    for side, published in known.split.items():
        found = counts.get(side, published)
        if abs(found - published) > known.n_lost:
            lines.append(f"the official split has {published} pictures in {side}, found {found}")
    return lines


def _remarks(source: Source, labels: Labels, facts: dict) -> list[str]:
    known = source.known
    lines = list(labels.remarks)
    if known.split and not facts["split_counts"] and not labels.problems:
        lines.append(f"the official split is not here: {known.get}")
    if "split" in labels.table and facts["split_counts"]:
        crossing = _crossing(labels.table)
        if crossing:
            lines.append(f"{crossing} groups are in the training and in the test part of its split")
    return lines


def _crossing(table: pd.DataFrame) -> int:
    sides = table["split"].astype(str).str.strip().str.lower().map(SIDES)
    group = table["group" if "group" in table else "name"]
    return len(set(group[sides.isin(["train", "val"])]) & set(group[sides == "test"]))


def files_text(paths: tuple[Path, ...]) -> str:
    """Return the names of label files, of many the first and the last."""
    names = [path.name for path in paths]
    if len(names) > 4:
        return f"{names[0]} ... {names[-1]} ({len(names)} files)"
    return ", ".join(names) or "no label file"


def _of_pictures(
    source: Source,
    tree: Tree,
    labels: Labels,
    database: Database,
    deep: bool,
    duplicates: bool,
) -> dict:
    """Return what the files say."""
    lines = list(database.problems)
    missing, unlabelled = database.missing, database.unlabelled
    if len(missing) > source.known.n_lost:
        hint = where_else(source.known, tree, labels, missing[0]) or tree.archives_line()
        lines.append(f"{len(missing)} labelled pictures are missing: {_some(missing)}{hint}")
    remarks = [database.note] if database.note else []
    if unlabelled and database.targets:
        published = source.known.n_unlabelled
        beside = f" ({published} are published without one)" if published else ""
        line = f"{len(unlabelled)} pictures have no label{beside}: {_some(unlabelled)}"
        (lines if len(unlabelled) > published else remarks).append(line)
    paths = database.paths()
    bad = _broken(database, paths, _decodes if deep else _is_there, deep)
    if bad:
        some = _some([f"{name} ({reason})" for name, reason in bad.items()])
        lines.append(f"{len(bad)} pictures cannot be read: {some}; download them again")
    facts = {
        "n_present": len(database.table),
        "n_missing": len(missing),
        "n_unreadable": len(bad),
        "n_unlabelled": len(unlabelled),
        "unreadable": bad,
        "deep": deep,
    }
    if duplicates:
        facts["duplicates"] = apart = _duplicates(database, paths)
        if apart and database.targets:
            some = _some([f"{one} = {other}" for one, other in apart])
            lines.append(
                f"{len(apart)} pairs of near-duplicates stand in different groups: {some}; "
                "fit --group-by duplicates joins them"
            )
    return facts | {"problems": lines, "remarks": remarks}


def _broken(
    database: Database, paths: list[Place], look: Callable[[Place], str], deep: bool
) -> dict[str, str]:
    """Return name -> reason of the pictures that cannot be read."""
    names, bad = database.table["name"].tolist(), {}
    bar = progress(len(paths), f"check {database.name}")
    with bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), _TOGETHER):
            some = paths[start : start + _TOGETHER]
            # threads pay where pictures are decoded
            for index, reason in enumerate(pool.map(look, some) if deep else map(look, some)):
                if reason:
                    bad[names[start + index]] = reason
            bar.update(len(some))
    return bad


def _is_there(path: Place) -> str:
    if isinstance(path, Refused):
        return path.reason
    try:
        size = path.stat().st_size if isinstance(path, Path) else path.size  # as it was listed
        return "" if size else "it is empty"
    except OSError as error:
        return reason_of(error)


def _decodes(path: Place) -> str:
    try:
        decode(read(path))
    except UnreadablePicture as error:
        return str(error)
    except OSError as error:
        return reason_of(error)
    return ""


def _duplicates(database: Database, paths: list[Place]) -> list[list[str]]:
    """Return the names of near-duplicates in different groups."""
    with progress(len(paths), f"duplicates {database.name}") as bar:
        pairs = near_duplicates(paths, database.table["group"].to_numpy(str), bar.update)
    return database.table["name"].to_numpy(object)[pairs].tolist()


def _some(names, limit: int = 3) -> str:
    """Return the first names of a long list."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(str, names[:limit])) + more
