"""PCUID: 300 underwater photographs with scores from pair comparisons, 0..100, higher is better.

On disk: 300-1/ 300-2/ 300-3/ with 图片N.jpg, N = 1..300, and MOS.xlsx with image_id (N) and MOS.
Several photographs are of one scene, moments apart; near-duplicates share a group. The groups are
written down here, not measured anew, so that a picture that cannot be decoded moves no fold.
Pictures 17, 18 and 19 were not at hand when they were measured.
"""

import re
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.own import picture_names
from pipeline.databases.table import Database, Target, numbers

# What features.duplicates finds: 32x32 grey thumbnails that correlate above .95, joined on.
NEAR_DUPLICATES = (
    (116, 118),
    (149, 150, 151),
    (153, 154, 155, 156, 157, 158, 159, 160, 161),
    (162, 163, 290),
    (164, 258),
    (259, 275),
    (283, 284, 285),
)
_FIRST = {number: group[0] for group in NEAR_DUPLICATES for number in group}
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
    names = _names_by_number(root)
    ids = numbers(sheet["image_id"], sheet["image_id"].astype(str), "image_id", labels).astype(int)
    expected = ids.map(lambda number: f"图片{number}.jpg")
    table = pd.DataFrame(
        {"name": ids.map(names), "mos": numbers(sheet["MOS"], expected, "MOS", labels)}
    )
    there = table["name"].notna()
    # a group is called after its first picture, whether that lies on this disk or not
    table["group"] = ids.map(lambda number: _published_name(_FIRST.get(number, number)))
    table = table[there].reset_index(drop=True)
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


def _names_by_number(root: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for name in picture_names(root):
        match = _NUMBER.search(name)
        if match:
            number = int(match["number"])
            if number in names:
                raise InputError(
                    f"{root}: two pictures have the number {number}, {names[number]} and {name}; "
                    "leave one of them"
                )
            names[number] = name
    return names


def _published_name(number: int) -> str:
    return f"300-{(number - 1) // 100 + 1}/图片{number}.jpg"
