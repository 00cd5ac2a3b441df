"""A user's own data: a folder of pictures, or a CSV with the columns image and mos (or dmos)."""

import hashlib
import os
import posixpath
import re
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_table
from pipeline.databases.table import Target, numbers, under
from pipeline.databases.tree import Tree
from pipeline.splits import SIDES

_RESERVED = {"image", "name", "row", "file"}
TARGET_COLUMN = re.compile(r"d?mos(_\w+)?(?<!_std)")


def folder_labels(tree: Tree) -> Labels:
    """Return every picture under a folder, without scores."""
    names = tree.pictures()
    return Labels(pd.DataFrame({"name": names, "group": names}))


def csv_labels(path: Path, tree: Tree) -> Labels:
    """Return the pictures and scores of a CSV.

    Parameters
    ----------
    path : a CSV in UTF-8 with the column image (paths under the tree's root), and optionally mos or
        dmos (or mos_NAME for further targets), mos_std, group, distortion, level, prompt, split
    """
    raw = read_table(path)
    return labels_of(raw, image_names(raw, path, tree.root), path)


def labels_of(raw: pd.DataFrame, names: pd.Series, path: Path | str) -> Labels:
    """Return what a table of texts says of pictures; see `csv_labels`.

    Parameters
    ----------
    names : of each row's picture
    path : what the table was read from, for errors
    """
    table = pd.DataFrame({"name": names})
    targets, problems = {}, []
    for column in raw.columns:
        if TARGET_COLUMN.fullmatch(column):
            table[column] = numbers(raw[column], names, column, path)
            targets[column] = Target(higher_is_better=not column.startswith("dmos"))
        elif column == "level" or TARGET_COLUMN.fullmatch(column.removesuffix("_std")):
            table[column] = pd.to_numeric(raw[column], errors="coerce")
            odd = raw[column][table[column].isna() & (raw[column] != "")]
            if len(odd):
                problems.append(
                    f"{len(odd)} values of {column} are no numbers, the first is {odd.iloc[0]!r}"
                )
        elif column and column not in _RESERVED:
            table[column] = raw[column]  # `--group-by` may ask for any
    group_by = "column group" if "group" in raw else "picture"
    if "group" not in table and (table.get("prompt", pd.Series(dtype=str)) != "").any():
        # pictures that were made from one text belong together
        table["group"] = table["prompt"].where(table["prompt"] != "", names)
        group_by = "column prompt"
    elif "group" not in table:
        table["group"] = names
    if table["group"].isna().any() or (table["group"] == "").any():
        raise InputError(f"{path}: the column group is empty in some rows; fill it or remove it")
    if "split" in table:
        odd = table["split"][~table["split"].str.strip().str.lower().isin([*SIDES, ""])]
        if len(odd):
            problems.append(
                f"{len(odd)} values of split are not train, val or test, the first is "
                f"{odd.iloc[0]!r}"
            )
    return Labels(
        table, (Path(path),), targets=targets, group_by=group_by, problems=tuple(problems)
    )


OWN = Known("your own data", "a folder of pictures, or a CSV", folder_labels)


def image_names(raw: pd.DataFrame, path: Path, root: Path) -> pd.Series:
    """Return the column image of a table, as names under `root`.

    Raises
    ------
    InputError
        When there is no such column, or a path in it leads out of the folder.
    """
    if "image" not in raw:
        raise InputError(
            f"{path}: expected a column image (and mos or dmos for scores), found "
            f"{', '.join(map(str, raw.columns)) or 'no columns'}"
        )
    root = root.resolve()
    return raw["image"].map(lambda image: _relative(str(image), root))


def _relative(image: str, root: Path) -> str:
    """Return the one name of a file: a/../b.png is b.png, or it might be on both sides of a fold.

    Links are not looked at here: a quarter of a million names would take half a minute.
    """
    path = Path(image)
    if path.is_absolute():
        path = path.resolve() if not path.is_relative_to(root) else path
        path = path.relative_to(root) if path.is_relative_to(root) else path
    name = posixpath.normpath(path.as_posix())
    if name.startswith(("/", "../")) or "\0" in name:
        under(root, name)  # which says so
    return name


def own_name(path: Path) -> str:
    """Name a user's database after its file, with digits of its path: two data.csv stay apart."""
    stem = re.sub(r"[^\w.-]", "-", path.stem if path.is_file() else path.name) or "pictures"
    return f"{stem}-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:6]}"
