"""What is known of a database, and how its labels meet the files on a disk.

A reader takes the tree of files and returns `Labels`: one row for each picture that has a score,
in the order of the label file. `open_labels` finds their files and makes the table of the rows
that are there. A reader never looks at pictures, and never depends on the order of a folder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from features.errors import InputError
from pipeline.databases.table import Database, Target
from pipeline.databases.tree import Tree, folded


@dataclass(frozen=True)
class Labels:
    """What the label files say.

    Attributes
    ----------
    table : one row a picture, in the order of the label file: `name`, which is the same on every
        disk; targets (`mos`, `dmos`, `mos_ASPECT`), `TARGET_std` on the target's scale, and
        `distortion`, `level`, `prompt`, `split`, `group` and other group columns where they exist.
        `file`, where the file is called otherwise than `name`. Without `group` each picture is its
        own
    files : the label files that were read, the main one first
    folders : where a picture may lie under the root, in order of preference
    extras : last names of files, folded, that have no label and should not have one
    targets : where they depend on the files; else those of `Known` that the table has
    group_by : what a group is, where it depends on the files
    n_read : rows of the label file, where some of them were left out
    problems : lines about what is wrong with the labels, and can be mended
    remarks : lines about what is as published, and worth knowing
    note : what must be said wherever numbers of this database are shown
    """

    table: pd.DataFrame
    files: tuple[Path, ...] = ()
    folders: tuple[str, ...] = ("",)
    extras: frozenset[str] = frozenset()
    targets: Mapping[str, Target] | None = None
    group_by: str = ""
    n_read: int | None = None
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Known:
    """One database of the field.

    Attributes
    ----------
    title : its name, as its authors write it
    summary : what it holds, in a few words
    labels : the reader
    aliases : other names that people type, in any case, with or without - and _
    n_pictures, n_groups : as published, None where not known
    targets : column -> range that the published scores lie within, and direction; first the default
    group_by : what a group is, in words
    split : pictures of the official split's parts; empty without one
    pictures_of : title of the database whose pictures these are, in another form
    forms : folder -> name of the database that its pictures are: these, in another form
    n_unlabelled : pictures that are published without a score beside the others
    n_lost : about how many labelled pictures no copy has
    page : where it is published
    terms : licence or terms of use, in words
    get : what to download, in words
    note : what must be said wherever numbers of this database are shown
    build : makes it on this disk, for one that is not downloaded
    """

    title: str
    summary: str
    labels: Callable[[Tree], Labels]
    aliases: tuple[str, ...] = ()
    n_pictures: int | None = None
    n_groups: int | None = None
    targets: Mapping[str, Target] = field(default_factory=dict)
    group_by: str = "picture"
    split: Mapping[str, int] = field(default_factory=dict)
    pictures_of: str = ""
    forms: Mapping[str, str] = field(default_factory=dict)
    n_unlabelled: int = 0
    n_lost: int = 0
    page: str = ""
    terms: str = ""
    get: str = ""
    note: str = ""
    build: Callable[[Path], None] | None = None


def open_labels(name: str, known: Known, tree: Tree, labels: Labels) -> Database:
    """Find the pictures of the labels on the disk, and return the rows that are there.

    Raises
    ------
    InputError
        When there is no label, not one picture is there, or one name stands there twice.
    """
    table = labels.table.reset_index(drop=True)
    if labels.files and not len(table):
        raise InputError(
            f"{labels.files[0]}: expected rows of labels, found none: download it again"
        )
    if "group" not in table:
        table = table.assign(group=table["name"])
    wanted = table["file"] if "file" in table else table["name"]
    found = _find(tree, wanted.astype(str).tolist(), labels.folders)
    there = np.array([path is not None for path in found], bool)
    if len(table) and not there.any():
        raise InputError(_nothing(known, tree, labels, wanted.iloc[0], len(table)))
    table = table.drop(columns="file", errors="ignore")
    table.insert(1, "image", pd.Series(found, dtype=object))
    table.insert(2, "row", np.arange(len(table)))
    targets = labels.targets
    if targets is None:
        targets = {column: known.targets[column] for column in known.targets if column in table}
    return Database(
        name,
        tree.root,
        table[there].reset_index(drop=True),
        targets,
        labels.group_by or known.group_by,
        tuple(table["name"][~there]),
        _unlabelled(tree, labels, [path for path in found if path is not None]),
        labels.files,
        labels.note or known.note,
        (
            *labels.problems,
            *_doubts(table, targets, labels),
            *_shared(table["name"], found),
            *_of_tree(tree),
        ),
        labels.remarks,
    )


def _find(tree: Tree, files: list[str], folders: tuple[str, ...]) -> list[str | None]:
    """Return the paths of files: in a named folder, or all at the top.

    Where most lie in a folder, a file of the same name beside it is another picture.
    """
    named = [folder for folder in folders if folder]
    found = [tree.find(file, named) for file in files]
    if "" not in folders:
        return found
    beside = [
        tree.find(file) if path is None else None for file, path in zip(files, found, strict=True)
    ]
    if sum(path is not None for path in found) > sum(path is not None for path in beside):
        return found
    return [path or other for path, other in zip(found, beside, strict=True)]


def _nothing(known: Known, tree: Tree, labels: Labels, first: str, n: int) -> str:
    places = " or ".join(str(tree.root / folder) for folder in labels.folders[:3])
    line = f"{known.title}: no picture found: none of {n} labelled ones is in {places}"
    above = tree.above(f"{folder}/{first}".lstrip("/") for folder in labels.folders[:3])
    hint = where_else(known, tree, labels, first)
    if not hint and above:
        hint = f"; {PurePosixPath(first).name} is under {above}: give --root {above}"
    return line + hint + tree.archives_line()


def where_else(known: Known, tree: Tree, labels: Labels, missing: str) -> str:
    """Return where a missing picture seems to be and what to do, as the end of a sentence."""
    seen = tree.elsewhere(missing, labels.folders)
    if seen:
        folder = seen[: -len(missing) - 1]
        return f"; {missing} is in {tree.root / folder}: move the pictures to {tree.root}"
    for folder, form in known.forms.items():
        if tree.elsewhere(missing, (folder,)):
            return f"; {folder}/ has them in another form: --db {form}"
    seen = tree.elsewhere(missing)
    if seen:
        return (
            f"; a file of that name is at {tree.root / seen}: if it is the picture, move all to "
            f"{tree.root / labels.folders[0]}"
        )
    return ""


def _unlabelled(tree: Tree, labels: Labels, found: list[str]) -> tuple[str, ...]:
    """Return pictures that no label names, in the folders that hold those that labels name."""
    used = set(found)
    folders = {path.rpartition("/")[0] for path in found}
    return tuple(
        path
        for path in tree.pictures()
        if path not in used
        and path.rpartition("/")[0] in folders
        and folded(path.rpartition("/")[2]) not in labels.extras
    )


def _doubts(table: pd.DataFrame, targets: Mapping[str, Target], labels: Labels) -> list[str]:
    """Return what makes one doubt that these are the published scores."""
    lines = []
    for column, target in targets.items():
        low = -np.inf if target.low is None else target.low
        high = np.inf if target.high is None else target.high
        bad = ~table[column].between(low, high)
        if bad.any():
            first = bad.to_numpy().argmax()
            file = labels.files[0].name if labels.files else "the label file"
            lines.append(
                f"{int(bad.sum())} scores of {column} are outside the known range {low:g} to "
                f"{high:g}, the first is {table[column][first]:g} of {table['name'][first]}: is "
                f"{file} the published file?"
            )
    return lines


def _shared(names: pd.Series, found: list[str | None]) -> list[str]:
    """Return that two names lead to one file, as names do that differ only in case."""
    files = pd.Series(found, dtype=object).dropna()
    twice = files[files.duplicated()]
    if twice.empty:
        return []
    first = files[files == twice.iloc[0]].index
    return [
        f"{len(twice)} pictures are there under another name too, the first is {twice.iloc[0]} as "
        f"{names[first[0]]} and {names[first[1]]}: leave one row, or get the other picture"
    ]


def _of_tree(tree: Tree) -> list[str]:
    """Return what is wrong with the files, whatever the labels are."""
    lines = [
        f"{one} and {other} differ only in case: leave one of them"
        for one, other in tree.clashes[:3]
    ]
    if len(tree.clashes) > 3:
        lines.append(f"{len(tree.clashes) - 3} more files differ from others only in case")
    return lines + tree.outside_lines()
