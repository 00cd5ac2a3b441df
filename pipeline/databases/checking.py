"""What lies on this disk of a database, and what is wrong with it."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from features.decode import UnreadablePicture, decode
from features.duplicates import near_duplicates
from features.errors import InputError
from features.progress import progress
from pipeline.databases import Source
from pipeline.databases.known import Labels, open_labels
from pipeline.databases.table import Database
from pipeline.databases.tree import Tree
from pipeline.protocols import SIDES

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
    facts |= dict.fromkeys(_UNKNOWN)
    facts |= {"targets": {}, "split_counts": {}, "labels": [], "problems": []}
    try:
        if source.known.build:
            source.known.build(source.root)
        tree = Tree(source.root)
        labels = source.labels(tree)
        facts |= _of_labels(source, labels)
        facts["problems"] = [*_differences(source, labels, facts)]
        database = open_labels(source.name, source.known, tree, labels)
    except InputError as error:
        facts["problems"].append(str(error))
        return facts
    return facts | _of_pictures(source, tree, database, facts["problems"], deep, duplicates)


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
        "split_counts": {side: int(counts[side]) for side in dict.fromkeys(order)},
    }


def _differences(source: Source, labels: Labels, facts: dict) -> list[str]:
    """Return how the labels differ from the published ones; of pools their readers say it."""
    known, counts = source.known, facts["split_counts"]
    rows, groups = facts["n_read"], facts["n_groups"]
    files = ", ".join(path.name for path in labels.files)
    if not known.targets or known.n_pictures is None:
        return []
    if rows not in (known.n_pictures, sum(known.split.values())):
        return [
            f"{files}: {rows} rows, and {known.title} is published with {known.n_pictures}: is it "
            "whole, and of this release?"
        ]
    lines = []
    if known.n_groups not in (None, groups) and rows == known.n_pictures:
        lines.append(
            f"{files}: {groups} groups ({known.group_by}), and {known.title} is published with "
            f"{known.n_groups}: is it whole, and of this release?"
        )
    for side, published in known.split.items():
        found = counts.get(side, 0)
        if counts and found != published:
            lines.append(f"the official split has {published} pictures in {side}, found {found}")
    return lines


def _of_pictures(
    source: Source,
    tree: Tree,
    database: Database,
    problems: list[str],
    deep: bool,
    duplicates: bool,
) -> dict:
    """Return what the files say."""
    lines = [*problems, *database.problems]
    missing, unlabelled = database.missing, database.unlabelled
    if missing:
        seen = tree.elsewhere(missing[0])
        hint = f"; a file of that name is at {seen}: move it" if seen else tree.archives_line()
        lines.append(f"{len(missing)} labelled pictures are missing: {_some(missing)}{hint}")
    if unlabelled and database.targets and len(unlabelled) != source.known.n_unlabelled:
        lines.append(f"{len(unlabelled)} pictures have no label: {_some(unlabelled)}")
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
        facts["duplicates"] = _duplicates(database, paths)
        apart = facts["duplicates"]["across_groups"]
        if apart and database.targets:
            some = _some([f"{one} = {other}" for one, other in apart])
            lines.append(
                f"{len(apart)} pairs of near-duplicates stand in different groups: {some}; "
                "fit --group-by duplicates joins them"
            )
    return facts | {"problems": lines}


def _broken(
    database: Database, paths: list[Path], look: Callable[[Path], str], deep: bool
) -> dict[str, str]:
    """Return name -> reason of the pictures that cannot be read."""
    names, bad = database.table["name"].tolist(), {}
    bar = progress(len(paths), f"check {database.name}")
    with bar, ThreadPoolExecutor(os.cpu_count() if deep else 1) as pool:
        for start in range(0, len(paths), _TOGETHER):
            for index, reason in enumerate(pool.map(look, paths[start : start + _TOGETHER])):
                if reason:
                    bad[names[start + index]] = reason
                bar.update()
    return bad


def _is_there(path: Path) -> str:
    try:
        return "" if path.stat().st_size else "it is empty"
    except OSError as error:
        return error.strerror or str(error)


def _decodes(path: Path) -> str:
    try:
        decode(path.read_bytes())
    except UnreadablePicture as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _duplicates(database: Database, paths: list[Path]) -> dict:
    with progress(len(paths), f"duplicates {database.name}") as bar:
        pairs = near_duplicates(paths, bar.update)
    group = database.table["group"].to_numpy(str)
    apart = pairs[group[pairs[:, 0]] != group[pairs[:, 1]]]
    names = database.table["name"].to_numpy(object)
    return {"n_pairs": len(pairs), "across_groups": names[apart].tolist()}


def _some(names, limit: int = 3) -> str:
    """Return the first names of a long list."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(str, names[:limit])) + more


def lines_of(facts: dict) -> list[str]:
    """Return what a person reads of `check`."""
    lines = [f"{facts['title']} ({facts['name']}) in {facts['root']}"]

    width = max(map(len, ("pictures", *facts["targets"])))

    def add(what: str, text: str) -> None:
        lines.append(f"  {what:{width}}  {text}")

    if facts["n_rows"] is not None:
        files = ", ".join(Path(path).name for path in facts["labels"]) or "none"
        left_out = facts["n_read"] - facts["n_rows"]
        add(
            "labels",
            f"{files}: {facts['n_rows']:,} pictures" + (f", {left_out} left out" * bool(left_out)),
        )
        for column, target in facts["targets"].items():
            better = "higher" if target["higher_is_better"] else "lower"
            add(column, f"{target['min']:.4g} .. {target['max']:.4g}, {better} is better")
        add("groups", f"{facts['n_groups']:,} ({facts['group_by']})")
        if facts["split_counts"]:
            counts = facts["split_counts"].items()
            add("split", ", ".join(f"{side} {number:,}" for side, number in counts))
    if facts["n_present"] is not None:
        how = "decoded" if facts["deep"] else "not opened; --deep decodes them"
        counts = ("missing", "unreadable", "unlabelled")
        numbers = "".join(f", {facts[f'n_{count}']:,} {count}" for count in counts)
        add("pictures", f"{facts['n_present']:,} there{numbers} ({how})")
    if "duplicates" in facts:
        found = facts["duplicates"]
        add(
            "alike",
            f"{found['n_pairs']:,} pairs of near-duplicates, {len(found['across_groups']):,} of "
            "them in different groups",
        )
    lines += [f"problem: {line}" for line in facts["problems"]] or ["no problem found"]
    return lines
