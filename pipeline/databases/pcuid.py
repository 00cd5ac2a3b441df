"""PCUID: 300 underwater photographs with scores from pair comparisons, 0..100, higher is better.

On disk: 300-1/ 300-2/ 300-3/ with 图片N.jpg, N = 1..300, and MOS.xlsx with image_id (N) and MOS.
Several photographs are of one scene, moments apart; near-duplicates share a group. The groups are
written down here, not measured anew, so that a picture that cannot be decoded moves no fold.
Pictures 17, 18 and 19 were not at hand when they were measured.
"""

import re

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import integers, read_sheet
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

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
# as published, or without the two letters, which some archives lose
_FILE = re.compile(r"(300-[123]/)?(图片)?(?P<number>\d{1,3})\.jpe?g", re.IGNORECASE)
_GET = "--root is the folder that holds MOS.xlsx and 300-1/ 300-2/ 300-3/"


def read_pcuid(tree: Tree) -> Labels:
    """Return PCUID's labels; pictures are found by their number."""
    path = tree.label("MOS.xlsx", title="PCUID", get=_GET)
    sheet = read_sheet(path, "image_id", "mos")
    numbered = integers(sheet["image_id"], "image_id", path)
    names = numbered.map(_published_name)
    table = pd.DataFrame(
        {
            "name": names,
            "file": numbered.map(_by_number(tree)).fillna(names),
            "mos": numbers(sheet["mos"], names, "MOS", path),
            # a group is called after its first picture, whether that lies on this disk or not
            "group": numbered.map(lambda number: _published_name(_FIRST.get(number, number))),
        }
    )
    return Labels(table, (path,))


def _by_number(tree: Tree) -> dict[int, str]:
    names: dict[int, str] = {}
    for name in tree.pictures():
        match = _FILE.fullmatch(name)
        if match:
            number = int(match["number"])
            if number in names:
                raise InputError(
                    f"{tree.root}: two pictures have the number {number}, {names[number]} and "
                    f"{name}; leave one of them"
                )
            names[number] = name
    return names


def _published_name(number: int) -> str:
    return f"300-{(number - 1) // 100 + 1}/图片{number}.jpg"


PCUID = Known(
    "PCUID",
    "underwater photographs, scores from pair comparisons",
    read_pcuid,
    aliases=("pcuid300",),
    n_pictures=300,
    targets={"mos": Target(0, 100)},
    group_by="picture, near-duplicates joined",
    get=_GET,
)
