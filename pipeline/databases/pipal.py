"""PIPAL (Gu, Cai, Chen, Ye, Ren, Dong, ECCV 2020): pictures that restoration methods returned.

On disk: Train_Label/A####.txt with lines NAME,SCORE, one file for each of 200 references, and the
pictures A####_TT_NN.bmp in Distortion_1/ ... Distortion_4/, where TT is the class of distortion and
NN the variant, which is no level. There are other names for the same folders, and val_label.txt
with 1,000 pictures of 25 other references, of the class 10, from the challenge of 2021. The scores
are Elo ratings from pair comparisons, and each reference's start at 1400.
"""

import re
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_lines
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_LABELS = ("Train_Label", "training/MOS_Scores_train")
_VALIDATION = tuple(
    folder + file
    for folder in ("", "validation/", "val/", "Train_Label/")
    for file in ("val_label.txt", "pipal21_val.txt")
)
_ARCHIVES = tuple(f"Train_Distortion_{part}/" for part in (1, 2, 3, 4))
_FOLDERS = (
    *(
        f"{folder}Distortion{dash}{part}"
        # the last four: each archive in a folder of its own
        for folder in ("", "training/Distortion/", "training/", "Distortion/", *_ARCHIVES)
        for dash in ("_", "")
        for part in (1, 2, 3, 4)
    ),
    *("Dist_Imgs", "Train_Distort", "Train_Dis"),
    *("Val_Distort", "Val_Dis", "Distortion_valid", "validation/Distortion_valid", "val/Dis"),
)
_GET = (
    "download Train_Label and the four parts of Train_Distortion from the page; --root is the "
    "folder that holds Train_Label/ and Distortion_1/ ... Distortion_4/"
)
_NAME = re.compile(r"(A\d{4})_(\d\d)_\d\d\.bmp", re.IGNORECASE)
# What the class 10 holds was not published.
_TYPES = {
    "00": "traditional sr",
    "01": "psnr sr",
    "02": "kernel mismatch sr",
    "03": "gan sr",
    "04": "denoising",
    "05": "sr and denoising",
    "06": "traditional",
    "10": "",
}


def read_pipal(tree: Tree) -> Labels:
    """Return the labels of PIPAL: of the training part, and of the validation part where given."""
    paths = _label_files(tree)
    validation = next((tree.root / path for path in map(tree.find, _VALIDATION) if path), None)
    parts = [_of_file(path).assign(split="train") for path in paths]
    if validation:
        parts.append(_of_file(validation).assign(split="val"))
    table = pd.concat(parts, ignore_index=True)
    if not validation:  # one part is no split
        table = table.drop(columns="split")
    return Labels(table, (*paths, *filter(None, [validation])), _FOLDERS)


def _label_files(tree: Tree) -> list[Path]:
    for folder in _LABELS:
        one = re.compile(rf"{folder.lower()}/a\d{{4}}\.txt")
        found = sorted(key for key in tree.files if one.fullmatch(key))
        if found:
            return [tree.root / tree.files[key] for key in found]
    return [tree.label(*(f"{folder}/A0001.txt" for folder in _LABELS), title="PIPAL", get=_GET)]


def _of_file(path: Path) -> pd.DataFrame:
    names, scores = map(pd.Series, zip(*read_lines(path, 2, ","), strict=True))
    matches = names.map(_NAME.fullmatch)
    bad = matches.isna() | ~names.str.slice(6, 8).isin(_TYPES)
    if bad.any():
        raise InputError(
            f"{path}: expected names such as A0001_00_00.bmp, of the classes {', '.join(_TYPES)}; "
            f"found {names[bad.idxmax()]!r}: is it the label file of another release?"
        )
    return pd.DataFrame(
        {
            "name": names,
            "elo": numbers(scores, names, "Elo", path),
            "group": [match[1].upper() for match in matches],
            "distortion": [_TYPES[match[2]] for match in matches],
        }
    )


PIPAL = Known(
    "PIPAL",
    "pictures that restoration methods returned",
    read_pipal,
    aliases=("pipal21", "pipal22"),
    n_pictures=23200,
    n_groups=200,
    targets={"elo": Target(868, 1857)},
    group_by="reference",
    split={"train": 23200, "val": 1000},
    page="https://www.jasongt.com/projectpages/pipal.html",
    get=_GET,
    note="pipal: Elo ratings compare pictures of one reference only, and start anew with each: "
    "srcc_within_groups in result.json is the mean SRCC within a reference",
)
