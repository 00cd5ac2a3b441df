"""Other groups than the reader's: `--group-by COLUMN`, or `--group-by duplicates`."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.decode import file_facts
from features.duplicates import CORRELATION, MAX_BITS, VERSION, joined, near_duplicates, spanning
from features.errors import InputError, UsageError
from features.files import write_json
from features.progress import progress
from pipeline.tables import CachedTable

DUPLICATES = "duplicates"
FILE = "duplicates.json"


def regrouped(database: CachedTable, group_by: str | None, folder: Path) -> CachedTable:
    """Return a database with other groups.

    Parameters
    ----------
    group_by : a column of the table; `duplicates`, which joins the reader's groups that share
        near-duplicate pictures; None leaves the groups as they are
    folder : cache/<db>, where the pairs of near-duplicates are kept

    Raises
    ------
    UsageError
        When there is no such column.
    InputError
        When it is empty somewhere, or the pictures are not there.
    """
    if group_by in (None, "group"):
        return database
    if group_by == DUPLICATES:
        return _join_duplicates(database, folder)
    table = database.table
    known = group_columns(database)
    if group_by not in known:
        raise UsageError(
            f"--group-by {group_by}: {database.name} has no such column; it has "
            f"{', '.join([*known, DUPLICATES])}"
        )
    group = table[group_by].astype(str)
    if (group == "").any():
        first = table["name"][group == ""].iloc[0]
        raise InputError(
            f"--group-by {group_by}: it is empty for {(group == '').sum()} pictures of "
            f"{database.name}, the first is {first}"
        )
    return replace(
        database,
        table=table.assign(group=group),
        group_by=f"column {group_by}",
        regrouped=group_by,
    )


def group_columns(database: CachedTable) -> list[str]:
    """Return the columns of a table that can be grouped by."""
    scores = {*database.targets, *(f"{target}_std" for target in database.targets)}
    others = {"image", "row", "level", "split", *scores}
    return [column for column in database.table.columns if column not in others]


def _join_duplicates(database: CachedTable, folder: Path) -> CachedTable:
    table = database.table
    row_of = {name: row for row, name in enumerate(table["name"])}
    pairs = [(row_of[one], row_of[other]) for one, other in duplicate_pairs(database, folder)]
    groups = table["group"].to_numpy(str)
    numbers = joined(groups, np.array(pairs, int).reshape(-1, 2))
    # a joined group is called after the first of its groups, in the order of their names
    first: dict[int, str] = {}
    for number, group in zip(numbers, groups, strict=True):
        first[number] = min(group, first.get(number, group))
    return replace(
        database,
        table=table.assign(group=[first[number] for number in numbers]),
        group_by=f"{database.group_by}, near-duplicates joined",
        regrouped=DUPLICATES,
    )


def duplicate_pairs(database: CachedTable, folder: Path) -> list[tuple[str, str]]:
    """Return the names of near-duplicates, from `folder` where the files have not changed since.

    Raises
    ------
    InputError
        When pictures that were extracted are no longer where they were.
    """
    table = database.table
    paths = database.paths()
    facts = [file_facts(path) for path in paths]
    gone = [path for path, fact in zip(paths, facts, strict=True) if fact.mtime_ns == 0]
    if gone:
        raise InputError(
            f"--group-by {DUPLICATES} looks at the pictures, and {len(gone)} are not there, the "
            f"first is {gone[0]}: run it where they are"
        )
    groups = table["group"].to_numpy(str)
    content = hashlib.sha256(f"{VERSION} {CORRELATION} {MAX_BITS}".encode())
    content.update("\0".join(groups).encode())
    for name, fact in zip(table["name"], facts, strict=True):
        content.update(f"{name}\0{fact.size}\0{fact.mtime_ns}\0".encode())
    path = folder / FILE
    known = _kept(path, content.hexdigest(), set(table["name"]))
    if known is not None:
        return known
    with progress(len(paths), f"duplicates {database.name}", "picture") as bar:
        rows = spanning(len(paths), near_duplicates(paths, groups, bar.update))
    names = table["name"].tolist()
    pairs = [(names[one], names[other]) for one, other in rows.tolist()]
    write_json(path, {"pictures_sha256": content.hexdigest(), "pairs": pairs})
    return pairs


def _kept(path: Path, digest: str, names: set[str]) -> list[tuple[str, str]] | None:
    """Return the pairs that were found before; None where the file is not of these pictures."""
    try:
        found = json.loads(path.read_bytes())
        pairs = [(one, other) for one, other in found["pairs"]]
        right = found["pictures_sha256"] == digest and all(names.issuperset(pair) for pair in pairs)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pairs if right else None
