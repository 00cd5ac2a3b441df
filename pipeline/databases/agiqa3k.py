"""AGIQA-3k (Li, Zhang, Wu, Sun, Min, Liu, Zhai, Lin, IEEE TCSVT 2023): 2,982 generated pictures.

On disk: MODEL_VARIANT_NNN.jpg in AGIQA-3K/, images/, img/ or all/, and data.csv, which comes apart
from the pictures. Some keep only mos_joint.xlsx, made by hand of four of its columns: the same
scores without deviations. NNN is the number of the prompt, 000 to 299; each of ten ways to make a
picture has one for each prompt, but for four that midjourney and ten that DALLE2 refused. `mos` is
quality and `mos_alignment` how well the picture follows its prompt.
"""

import re
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_sheet, read_table, text
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_FILES = (
    *("data.csv", "AGIQA-3k-Database-main/data.csv", "AGIQA-3k-Database/data.csv"),
    *("agiqa3k_data.csv", "mos_joint.xlsx"),
)
_GET = (
    "download data.csv from the repository lcysyzxdxc/AGIQA-3k-Database, and AGIQA-3K.zip from its "
    "links; unpack that beside it"
)
# column of the table -> column of the file
_SCORES = {"mos": "mos_quality", "mos_alignment": "mos_align"}
_DEVIATIONS = {"mos_std": "std_quality", "mos_alignment_std": "std_align"}
# names of models hold dots and names of variants none: sd1.5_highcorr_007.jpg
_NAME = re.compile(r".+_([0-2]\d\d)\.jpg", re.IGNORECASE)


def read_agiqa3k(tree: Tree) -> Labels:
    """Return the labels of AGIQA-3k; a group is the number of a prompt."""
    path = tree.label(*_FILES, title="AGIQA-3k", get=_GET)
    read = read_sheet if path.suffix.lower() == ".xlsx" else read_table
    raw = read(path, "name", "prompt", *_SCORES.values())
    names = raw["name"].map(text)
    table = pd.DataFrame({"name": names})
    for column, source in (_SCORES | _DEVIATIONS).items():
        if source in raw:
            table[column] = numbers(raw[source], names, source, path)
    table["prompt"] = raw["prompt"].map(text)
    table["group"] = [_number(name, path) for name in names]
    return Labels(table, (path,), folders=("AGIQA-3K", "images", "img", "all", ""))


def _number(name: str, where: Path) -> str:
    match = _NAME.fullmatch(name)
    if not match:
        raise InputError(
            f"{where}: expected names such as sd1.5_highcorr_007.jpg, found {name!r}: is it the "
            "label file of another database?"
        )
    return match[1]


AGIQA3K = Known(
    "AGIQA-3k",
    "pictures that six models made of prompts, scored for quality and alignment",
    read_agiqa3k,
    aliases=("agiqa3k", "AGIQA-3k-Database"),
    n_pictures=2982,
    n_groups=300,
    targets={"mos": Target(0, 5), "mos_alignment": Target(0, 5)},
    group_by="prompt",
    page="https://github.com/lcysyzxdxc/AGIQA-3k-Database",
    terms="MIT (its repository)",
    get=_GET,
)
