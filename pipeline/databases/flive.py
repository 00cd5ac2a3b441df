"""FLIVE, also LIVE-FB or PaQ-2-PiQ (Ying, Niu, Gupta, Mahajan, Ghadiyaram, Bovik, CVPR 2020).

39,810 pictures of AVA, PASCAL VOC 2012, EMOTIC and a set of blurred photographs, with MOS of 0..100
that differ little (their deviation is 6). The pictures are not shipped: a notebook gathers them
into database/voc_emotic_ava/, blur_dataset/ and EE371R/, and copies as VOC<name> those that the
labels call VOC2012__<name>; both are found, and so are pictures all in one folder.

labels_image.csv holds all scores. The official split: labels640.csv lists the 1,827 test pictures,
those larger than 640 pixels, and is_valid in labels=640_padded.csv tells validation from training;
the 3 of EE371R are in no part. Without the latter file all but test pictures are in the training
part. Patches have labels of their own, which are not read.
"""

from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_table
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_IMAGES, _TEST, _PADDED = "labels_image.csv", "labels640.csv", "labels=640_padded.csv"
_FOLDERS = ("database", "", "FLIVE")
_NO_PART = "EE371R/"
_IS_VALID = {"true": "val", "1": "val", "false": "train", "0": "train"}
_GET = (
    "get the repository baidut/PaQ-2-PiQ, whose folder database/ holds the label files, and gather "
    "the pictures with its database_prep.ipynb"
)


def read_flive(tree: Tree) -> Labels:
    """Return the labels of FLIVE's pictures."""
    path = tree.label(*(f"{at}{_IMAGES}" for at in ("database/", "")), title="FLIVE", get=_GET)
    raw = read_table(path, "name", "mos")
    names = raw["name"]
    table = pd.DataFrame(
        {
            "name": names,
            "file": [_file(tree, name) for name in names],
            "mos": numbers(raw["mos"], names, "mos", path),
        }
    )
    files, problems = [path], []
    test, padded = (tree.find(name, ("database", "")) for name in (_TEST, _PADDED))
    if test:
        files += [tree.root / found for found in (padded, test) if found]
        if padded:
            parts = _train_and_val(tree.root / padded)
        else:
            parts = {name: "train" for name in names if not name.startswith(_NO_PART)}
            problems.append(
                f"{_PADDED} is not beside {path.name}: which pictures are for validation is not "
                "known, and all but test pictures are in the training part"
            )
        parts |= dict.fromkeys(read_table(files[-1], "name_image")["name_image"], "test")
        unknown = sorted(set(parts) - set(names))
        if unknown:
            problems.append(
                f"{len(unknown)} pictures of the official split are not in {path.name}, the first "
                f"is {unknown[0]}"
            )
        table["split"] = names.map(parts).fillna("")
    else:
        problems.append(f"{_TEST} is not beside {path.name}, so there is no official split: {_GET}")
    return Labels(table, tuple(files), folders=_FOLDERS, problems=tuple(problems))


def _file(tree: Tree, name: str) -> str:
    """Return what a picture is called on this disk, where it is there."""
    last = name.rpartition("/")[2]
    others = (name.replace("/VOC2012__", "/VOC"), last, last.replace("VOC2012__", "VOC"))
    return next((one for one in (name, *others) if tree.find(one, _FOLDERS)), name)


def _train_and_val(path: Path) -> dict[str, str]:
    """Return picture -> part."""
    raw = read_table(path, "name_image", "is_valid")
    parts = raw["is_valid"].str.strip().str.lower().map(_IS_VALID)
    if parts.isna().any():
        odd = raw["is_valid"][parts.isna()].iloc[0]
        raise InputError(f"{path}: expected True or False in the column is_valid, found {odd!r}")
    return dict(zip(raw["name_image"], parts, strict=True))


FLIVE = Known(
    "FLIVE",
    "pictures of AVA, VOC 2012, EMOTIC and a set of blurred ones; narrow scores",
    read_flive,
    aliases=("PaQ-2-PiQ", "LIVE-FB", "FBLIVE", "FLIVE_Database"),
    n_pictures=39810,
    targets={"mos": Target(0, 100)},
    split={"train": 30253, "val": 7727, "test": 1827},
    page="https://github.com/baidut/PaQ-2-PiQ",
    terms="CC BY-NC-SA 4.0 (its repository); pictures have the terms of their sources",
    get=_GET,
)
