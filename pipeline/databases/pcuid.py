"""PCUID: 300 underwater photographs with scores from pair comparisons, 0..100, higher is better.

On disk: 300-1/ 300-2/ 300-3/ with 图片N.jpg, N = 1..300, and MOS.xlsx with image_id (N) and MOS.
Several photographs are of one scene, moments apart; near-duplicates share a group.
"""

import re
from pathlib import Path

import pandas as pd

from features.duplicates import duplicate_groups
from features.errors import InputError
from pipeline.databases.own import picture_names
from pipeline.databases.table import Database, Target, numbers

_NUMBER = re.compile(r"(?P<number>\d+)\.jpe?g", re.IGNORECASE)


def read_pcuid(root: Path) -> Database:
    """Return PCUID as it lies under `root`."""
    labels = root / "MOS.xlsx"
    if not labels.is_file():
        raise InputError(
            f"expected PCUID's label file {labels}, which is not there: --root is the folder that "
            "holds MOS.xlsx and 300-1/ 300-2/ 300-3/"
        )
    try:
        sheet = pd.read_excel(labels)
    except Exception as error:  # a zip or XML error of the Excel reader, of many classes
        raise InputError(f"{labels} cannot be read as an Excel file: {error}") from error
    if not {"image_id", "MOS"} <= set(sheet.columns):
        raise InputError(
            f"{labels}: expected the columns image_id and MOS, found {[*sheet.columns]}"
        )
    names = {number: name for name in picture_names(root) if (number := _number(name)) is not None}
    ids = numbers(sheet["image_id"], sheet["image_id"].astype(str), "image_id", labels).astype(int)
    expected = ids.map(lambda number: f"图片{number}.jpg")
    table = pd.DataFrame(
        {"name": ids.map(names), "mos": numbers(sheet["MOS"], expected, "MOS", labels)}
    )
    there = table["name"].notna()
    table = table[there].reset_index(drop=True)
    groups = duplicate_groups([root / name for name in table["name"]]) if len(table) else []
    # named after the first picture of each group, so that a reader sees what a group is
    table["group"] = table.groupby(pd.Series(groups, dtype=int))["name"].transform("first")
    return Database(
        "pcuid",
        root,
        table,
        {"mos": Target(0, 100)},
        "picture, near-duplicates joined",
        tuple(expected[~there.to_numpy()]),
        tuple(name for number, name in names.items() if number not in set(ids)),
        labels=labels,
    )


def _number(name: str) -> int | None:
    match = _NUMBER.search(name)
    return int(match["number"]) if match else None
