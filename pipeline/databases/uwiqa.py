"""UWIQA (Yang, Zhong, Li, Cong, Zhao, Kwong, 2021): 890 underwater photographs.

On disk: img/0001.png ... and IQA_Value.xlsx, whose first sheet has the number of a picture in its
first column and its MOS, 0..1, in the second, under a row of headings whose words are not relied
upon. One public reader is all that this is known from.
"""

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import integers, read_cells
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_GET = "--root is the folder that holds IQA_Value.xlsx and img/"


def read_uwiqa(tree: Tree) -> Labels:
    """Return the labels of UWIQA."""
    path = tree.label("IQA_Value.xlsx", title="UWIQA", get=_GET)
    rows = [row[:2] for row in read_cells(path) if len(row) > 1 and row[0] not in ("", None)]
    if rows and _is_heading(rows[0][0]):
        del rows[0]
    if not rows:
        raise InputError(
            f"{path}: expected numbers of pictures in the first column and MOS in the second, "
            "found none: is it the label file of another release?"
        )
    first, second = zip(*rows, strict=True)
    names = integers(first, "1", path).map("{:04d}.png".format)
    table = pd.DataFrame({"name": names, "mos": numbers(pd.Series(second), names, "MOS", path)})
    return Labels(table, (path,), folders=("img", "images", ""))


def _is_heading(cell: object) -> bool:
    return isinstance(cell, str) and not cell.strip().isdecimal()


UWIQA = Known(
    "UWIQA",
    "underwater photographs",
    read_uwiqa,
    n_pictures=890,
    targets={"mos": Target(0, 1)},
    get=_GET,
)
