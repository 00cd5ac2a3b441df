"""AVA (Murray, Marchesotti, Perronnin, CVPR 2012): photographs of contests, rated for beauty.

On disk: AVA.txt and aesthetics_image_lists/ (in AVA_dataset/ or beside the pictures), and ID.jpg in
images/. A line of AVA.txt is a row number, the picture's ID, how many people gave it 1, 2 ... 10,
two tags and the number of the contest. `mos` is the mean of the ratings, 1 to 10, and `mos_std`
their deviation: not of the ten counts. About twenty of the 255,530 pictures are in no copy, and
some files are damaged. The official test list is generic_test.jpgl; all others are training
pictures here, as its authors have no validation list.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import integers, read_lines, refuse_others
from pipeline.databases.table import Target
from pipeline.databases.tree import Tree

_FILE = "AVA.txt"
_TEST = "aesthetics_image_lists/generic_test.jpgl"
_PLACES = ("", "AVA_dataset")
_FOLDERS = ("images", "image", "ava_images", "")
_RATINGS = np.arange(1, 11)
_N_COLUMNS = 15
_GET = (
    f"{_FILE} and aesthetics_image_lists/ are in AVA_dataset/ of the repository "
    "imfing/ava_downloader; unpack the pictures to images/ beside them"
)


def read_ava(tree: Tree) -> Labels:
    """Return the labels of AVA; with the official split where its list is there."""
    path = tree.label(*(f"{place}/{_FILE}".lstrip("/") for place in _PLACES), title="AVA", get=_GET)
    raw = _rows(path)
    ids = raw[1]
    counts = raw.iloc[:, 2:12].to_numpy(float)
    total = counts.sum(axis=1)
    unrated = (counts < 0).any(axis=1) | (total == 0)
    if unrated.any():
        raise InputError(
            f"{path}: {int(unrated.sum())} pictures have no ratings, the first is "
            f"{ids[unrated.argmax()]}: download the file again"
        )
    mean = counts @ _RATINGS / total
    deviation = np.sqrt((counts * (_RATINGS - mean[:, None]) ** 2).sum(axis=1) / total)
    table = pd.DataFrame(
        {
            "name": ids.astype(str) + ".jpg",
            "mos": mean,
            "mos_std": deviation,
            "challenge": raw[_N_COLUMNS - 1].astype(str),
        }
    )
    folders = tuple(f"{place}/{folder}".strip("/") for place in _PLACES for folder in _FOLDERS)
    chosen = tree.find(_TEST, _PLACES)
    if not chosen:
        return Labels(table, (path,), folders)
    chosen = tree.root / chosen
    test = integers([line for (line,) in read_lines(chosen, 1)], "ID", chosen)
    table["split"] = np.where(ids.isin(test), "test", "train")
    unknown = test[~test.isin(ids)]
    problems = ()
    if len(unknown) > 0.01 * len(test):  # readers find 19,930 of 20,000
        problems = (
            f"{len(unknown)} of {len(test)} pictures of {chosen.name} are not in {_FILE}, the "
            f"first is {unknown.iloc[0]}: is it the list of another release?",
        )
    return Labels(table, (path, chosen), folders, problems=problems)


def _rows(path: Path) -> pd.DataFrame:
    """Read a quarter of a million lines of whole numbers, in a fraction of a second."""
    refuse_others(path)
    try:
        raw = pd.read_csv(path, sep=r"\s+", header=None, encoding="utf-8-sig", low_memory=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(
            f"{path} cannot be read as lines of {_N_COLUMNS} numbers ({str(error).strip()}): "
            "download it again"
        ) from error
    if raw.shape[1] != _N_COLUMNS:
        raise InputError(
            f"{path}: expected {_N_COLUMNS} numbers in a line, found {raw.shape[1]}: is it the "
            "label file of another release?"
        )
    for column in raw:
        if raw[column].dtype.kind != "i":  # then this names the line, or they are all whole
            raw[column] = integers(raw[column], str(column + 1), path)
    return raw


AVA = Known(
    "AVA",
    "photographs of contests, rated for beauty",
    read_ava,
    aliases=("ava_dataset",),
    n_pictures=255530,
    targets={"mos": Target(1, 10)},
    split={"train": 235530, "test": 20000},
    n_lost=100,
    page="https://github.com/imfing/ava_downloader",
    terms="photographs belong to those who took them",
    get=_GET,
)
