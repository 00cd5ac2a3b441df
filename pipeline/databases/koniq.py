"""KonIQ-10k (Hosu, Lin, Sziranyi, Saupe, IEEE TIP 2020): 10,073 photographs as people took them.

On disk: 1024x768/ID.jpg (or the reduced 512x384/ID.jpg), and one of two label files whose column
MOS means different things: in koniq10k_scores_and_distributions.csv it is the mean of ratings 1 to
5, in koniq10k_distributions_sets.csv the z-score spread over 0..100. SD is on 1 to 5 in both. Here
`mos` is always 0..100 and `mos_ratings` 1 to 5; the official split is in the second file alone. The
archive of 1024x768 holds 300 more pictures, which were never scored.
"""

from dataclasses import replace
from functools import partial

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_table
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_SETS = "koniq10k_distributions_sets.csv"
_SCORES = "koniq10k_scores_and_distributions.csv"
# each at the top, in a copy of the repository, or in a folder named after its archive
_FILES = (
    *(f"{folder}{_SETS}" for folder in ("", "metadata/", "koniq/metadata/")),
    *(f"koniq-master/metadata/{_SETS}", _SCORES, f"{_SCORES.removesuffix('.csv')}/{_SCORES}"),
)
_GET = (
    "download koniq10k_1024x768.zip and koniq10k_scores_and_distributions.zip from the page; "
    f"{_SETS}, with the official split, is in the repository subpic/koniq"
)
_SIDES = {"training": "train", "validation": "val", "test": "test"}
_RATINGS = range(1, 6)


def read_koniq(tree: Tree, size: str) -> Labels:
    """Return the labels of KonIQ-10k.

    Parameters
    ----------
    size : the folder of the pictures
    """
    path = tree.label(*_FILES, title="KonIQ-10k", get=_GET)
    counts = [f"c{rating}" for rating in _RATINGS]
    raw = read_table(path, "image_name", "mos", "sd", *counts)
    name = raw["image_name"]
    table = pd.DataFrame({"name": name})
    if "mos_zscore" in raw:
        table["mos"] = numbers(raw["mos_zscore"], name, "MOS_zscore", path)
        table["mos_ratings"] = numbers(raw["mos"], name, "MOS", path)
    else:
        table["mos"] = numbers(raw["mos"], name, "MOS", path)
        if table["mos"].max() <= _RATINGS[-1]:
            raise InputError(
                f"{path}: expected MOS on 0 to 100, or beside it MOS_zscore, found MOS up to "
                f"{table['mos'].max():g} alone: is it the label file of another release?"
            )
        shares = [numbers(raw[column], name, column, path) for column in counts]
        total = sum(shares)
        table["mos_ratings"] = sum(r * s for r, s in zip(_RATINGS, shares, strict=True)) / total
    table["mos_ratings_std"] = numbers(raw["sd"], name, "SD", path)
    if "set" in raw:
        table["split"] = raw["set"].str.lower().map(_SIDES).fillna("")
    return Labels(table, (path,), folders=(size, f"koniq10k_{size}/{size}", f"koniq10k_{size}"))


KONIQ = Known(
    "KonIQ-10k",
    "photographs from Flickr, as people took them",
    partial(read_koniq, size="1024x768"),
    aliases=("koniq10k",),
    n_pictures=10073,
    targets={"mos": Target(0, 100), "mos_ratings": Target(1, 5)},
    split={"train": 7058, "val": 1000, "test": 2015},
    forms={"512x384": "koniq-512x384"},
    n_unlabelled=300,
    page="https://database.mmsp-kn.de/koniq-10k-database.html",
    terms="photographs of YFCC100M, each under its own Creative Commons licence",
    get=_GET,
)
# The same photographs at half the size: other numbers, so another database.
KONIQ_SMALL = replace(
    KONIQ,
    title="KonIQ-10k at 512x384",
    pictures_of=KONIQ.title,
    forms={"1024x768": "koniq"},
    labels=partial(read_koniq, size="512x384"),
    aliases=("koniq10k-512x384",),
)
