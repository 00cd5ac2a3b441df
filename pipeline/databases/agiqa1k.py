"""AGIQA-1k (Zhang, Li, Sun, Liu, Min, Zhai, 2023): 1,080 pictures that two models made of prompts.

On disk: MODEL_MAIN_SECOND_PLACE_STYLE.jpg in images/ or file/, and AIGC_MOS_Zscore.xlsx with the
prompts and `mos`: z-scores spread over 0..5. It scores dreamStudio_8_9_1_1.jpg twice and
dreamStudio_8_5_0_0.jpg never; both rows are left out. Where only AIGC_all.csv is there, its raw
means are `mos_ratings`, which is another score; one of its names is cut short, and left out. It has
no prompts, but they follow from the names. The published list of what their numbers mean is that of
deepai alone: dreamStudio leaves out what it was not asked for, and counts on without a gap.
"""

import re
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_sheet, read_table, text
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree, folded

_SHEET = "AIGC_MOS_Zscore.xlsx"
_MEANS = "AIGC_all.csv"
_REPOSITORIES = ("", "AGIQA-1k-Database-main/", "AGIQA-1k-Database/")
_GET = (
    f"download {_SHEET} from the repository lcysyzxdxc/AGIQA-1k-Database, and the pictures from "
    "its links; unpack them to images/ beside it"
)
_TWICE, _NEVER = "dreamStudio_8_9_1_1.jpg", "dreamStudio_8_5_0_0.jpg"
_CUT = "dreamStudio_8_9_1_.jpg"
_NAME = re.compile(r"(deepai|dreamStudio)_(\d+)_(\d+)_([01])_([01])\.jpg", re.IGNORECASE)
_MAIN = (
    *("bird", "cat", "dog", "batman", "snoppy", "teddy bear"),
    *("kid", "man", "woman", "alien", "demon", "witch"),
)
_SECOND = (
    *("driving aircraft", "driving bike", "driving car", "having hamburger", "having icecream"),
    *("having pizza", "playing baseball", "playing football", "playing yoga", "using CD"),
    *("using laptop", "using phone", "wearing coat", "wearing hat", "wearing shirt"),
)
_WORDS = {
    "deepai": (_MAIN, _SECOND),
    "dreamstudio": ((*_MAIN[:6], *_MAIN[7:10]), _SECOND[5:]),
}
_PLACES = ("city", "wild")
_STYLES = ("anime style", "realistic style")


def read_agiqa1k(tree: Tree) -> Labels:
    """Return the labels of AGIQA-1k; a group is all pictures of one prompt, whichever the model."""
    files = [folder + file for file in (_SHEET, _MEANS) for folder in _REPOSITORIES]
    path = tree.label(*files, title="AGIQA-1k", get=_GET)
    if path.suffix.lower() == ".csv":
        raw, target, score = read_table(path, "image", "score"), "mos_ratings", "score"
    else:
        raw, target, score = read_sheet(path, "image", "prompt", "mos"), "mos", "mos"
    names = raw["image"].map(text)
    # where a name is wrong, both are left out in every file, so that folds are the same
    wrong = (names == _CUT) | (names == _TWICE) & names.duplicated(keep=False)
    left = wrong | names.isin([_TWICE, _NEVER]) & wrong.any()
    remarks = []
    if left.any():
        remarks.append(
            f"{int(left.sum())} of {len(raw)} rows of {path.name} are left out, of {_TWICE} and "
            f"{_NEVER}: their names are wrong, and nothing tells which score belongs to which"
        )
    raw, names = raw[~left], names[~left]
    table = pd.DataFrame({"name": names, target: numbers(raw[score], names, score, path)})
    if "prompt" in raw:
        table["prompt"] = raw["prompt"].map(text)
    else:
        table["prompt"] = [_prompt(name, path) for name in names]
    return Labels(
        table.assign(group=table["prompt"]),
        (path,),
        folders=("images", "file", ""),
        extras=frozenset(map(folded, (_TWICE, _NEVER, _CUT))) if left.any() else frozenset(),
        n_read=len(left),
        remarks=tuple(remarks),
    )


def _prompt(name: str, where: Path) -> str:
    """Return the prompt that a name stands for, as the spreadsheet writes it."""
    match = _NAME.fullmatch(name)
    mains, seconds = _WORDS[match[1].lower()] if match else ((), ())
    main, second, place, style = map(int, match.groups()[1:]) if match else (0, 0, 0, 0)
    if main >= len(mains) or second >= len(seconds):
        raise InputError(
            f"{where}: expected names such as deepai_0_14_1_0.jpg, found {name!r}: is it the label "
            "file of another release?"
        )
    return ", ".join((mains[main], seconds[second], _PLACES[place], _STYLES[style]))


AGIQA1K = Known(
    "AGIQA-1k",
    "pictures that two models made of prompts",
    read_agiqa1k,
    aliases=("agiqa1k", "AGIQA-1k-Database"),
    n_pictures=1080,
    n_groups=720,
    targets={"mos": Target(0, 5), "mos_ratings": Target(0, 5)},
    group_by="prompt",
    page="https://github.com/lcysyzxdxc/AGIQA-1k-Database",
    terms="MIT",
    get=_GET,
)
