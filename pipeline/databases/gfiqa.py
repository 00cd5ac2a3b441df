"""GFIQA-20k (Su, Lin, Hosu, Wiedemann, Sun, Zhu, Liu, Zhang, Saupe, IEEE TMM 2023): faces.

19,998 faces cut out of photographs of Flickr, with MOS of 0..1. On disk: image/PHOTO_K.png (or
images/) and mos_val_rating.csv, or a mos.csv with two of its columns, img_name and mos. 1,366 of
the 18,456 photographs have more than one face, so a group is a photograph. The first file has
columns of variances and single ratings, too; what they are called was not verified, and they are
not read.
"""

import re
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_table
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_FILES = ("mos_val_rating.csv", "mos.csv")
_NAME = re.compile(r"(.+)_\d+\.png", re.IGNORECASE)
_GET = "download the pictures and mos_val_rating.csv from the page"


def read_gfiqa(tree: Tree) -> Labels:
    """Return the labels of GFIQA-20k; a group is a photograph."""
    path = tree.label(*_FILES, title="GFIQA-20k", get=_GET)
    raw = read_table(path, "img_name", "mos")
    names = raw["img_name"].str.strip()
    table = pd.DataFrame({"name": names, "mos": numbers(raw["mos"], names, "mos", path)})
    table["group"] = [_photograph(name, path) for name in names]
    return Labels(table, (path,), folders=("image", "images", ""))


def _photograph(name: str, where: Path) -> str:
    match = _NAME.fullmatch(name)
    if not match:
        raise InputError(
            f"{where}: expected names such as 831481558_0.png, found {name!r}: is it the label "
            "file of another database?"
        )
    return match[1].lower()


GFIQA = Known(
    "GFIQA-20k",
    "faces cut out of photographs from Flickr",
    read_gfiqa,
    aliases=("gfiqa20k",),
    n_pictures=19998,
    n_groups=18456,
    targets={"mos": Target(0, 1)},
    group_by="photograph",
    page="https://database.mmsp-kn.de/gfiqa-20k-database.html",
    get=_GET,
)
