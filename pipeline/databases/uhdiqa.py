"""UHD-IQA (Hosu, Agnolucci, Wiedemann, Iso, Saupe, 2024): 6,073 photographs, 3,840 pixels wide.

On disk: training/, validation/ and test/ with N.jpg, and uhd-iqa-metadata.csv; or, as given out for
the challenge of AIM 2024, challenge/training/ and uhd-iqa-training-metadata.csv, which has the
training pictures alone and no column `subset`. Scores of the test part spread wider than those of
the others. The pictures are of 1,238 photographers, one of whom took 460: `photographer`.
"""

from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_table
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_FILE = "uhd-iqa-metadata.csv"
_PLACES = ("", "uhd-iqa-metadata", "challenge")
_GET = (
    f"download UHD-IQA-database.zip and uhd-iqa-metadata.zip from the page; {_FILE} goes beside "
    "training/, validation/ and test/"
)
# the column `set`, and the folder -> split
_SIDES = {"training": "train", "validation": "val", "test": "test"}


def read_uhdiqa(tree: Tree) -> Labels:
    """Return the labels of UHD-IQA: of all pictures, or of those parts that there are labels of."""
    whole = tree.find(_FILE, _PLACES)
    parts = (tree.find(f"uhd-iqa-{side}-metadata.csv", _PLACES) for side in _SIDES)
    paths = [tree.root / path for path in ([whole] if whole else parts) if path]
    if not paths:  # then this says where they are
        paths = [tree.label(_FILE, "uhd-iqa-training-metadata.csv", title="UHD-IQA", get=_GET)]
    table = pd.concat([_of_file(path) for path in paths], ignore_index=True)
    return Labels(table, tuple(paths), folders=("", "challenge", "UHD-IQA-database"))


def _of_file(path: Path) -> pd.DataFrame:
    raw = read_table(path, "image_name", "quality_mos", "set", "user_name")
    side = raw["set"].str.strip().str.lower()
    other = ~side.isin(list(_SIDES))
    if other.any():
        raise InputError(
            f"{path}: expected {', '.join(_SIDES)} in the column set, found "
            f"{raw['set'][other].iloc[0]!r}: is it the label file of another release?"
        )
    names = side + "/" + raw["image_name"]
    return pd.DataFrame(
        {
            "name": names,
            "mos": numbers(raw["quality_mos"], names, "quality_mos", path),
            "photographer": raw["user_name"],
            "split": side.map(_SIDES),
        }
    )


UHDIQA = Known(
    "UHD-IQA",
    "photographs of very high resolution, scored by experts",
    read_uhdiqa,
    aliases=("uhdiqa", "uhd-iqa-database"),
    n_pictures=6073,
    targets={"mos": Target(0, 1)},
    split={"train": 4269, "val": 904, "test": 900},
    page="https://database.mmsp-kn.de/uhd-iqa-benchmark-database.html",
    terms="photographs CC0 (Pixabay); of the scores not stated",
    get=_GET,
)
