"""AIGCIQA2023 (Wang, Duan, Liu, Chen, Min, Zhai, 2023): 2,400 pictures that six models made.

On disk, as first published: Image/allimg/0.png ... 2399.png, DATA/MOS/mosz1.mat (quality, `mos`),
mosz2.mat (authenticity) and mosz3.mat (correspondence to the prompt), where row i is i.png, and
AIGCIQA2023_Prompts.xlsx, which has no header. Later: allimg/ and AIGIQA2023.json, where each
picture stands once for each question that was asked about it, always with the same scores. A model
has 400 pictures in a row, four for each of the 100 prompts. DATA/STD is on the scale of the ratings
and not on that of the z-scores, so there is no `mos_std`.
"""

import json
import re
from pathlib import Path, PurePosixPath

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_cells, read_mat, refuse_others, text
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

N_PICTURES, N_PROMPTS, A_MODEL, A_PROMPT = 2400, 100, 400, 4
_TARGETS = {"mos": 1, "mos_authenticity": 2, "mos_correspondence": 3}
_JSON = "AIGIQA2023.json"
_PROMPTS = tuple(
    f"{folder}AIGCIQA2023_Prompts.xlsx"
    for folder in ("", "DATA/", "AIGCIQA2023-main/", "AIGCIQA2023/")
)
_GET = (
    "download Image/ and DATA/ from the links of the repository wangjiarui153/AIGCIQA2023 (or "
    f"allimg.zip and {_JSON} from IntMeGroup/AIGCIQA2023 on Hugging Face), and "
    f"{_PROMPTS[0]} from the repository"
)


def read_aigciqa2023(tree: Tree) -> Labels:
    """Return the labels of AIGCIQA2023; a group is all pictures of one prompt."""
    path = tree.label(_mat(1), _JSON, title="AIGCIQA2023", get=_GET)
    files, problems = [path], []
    if path.suffix.lower() == ".json":
        table = _of_json(path)
        if "prompt" in table and table.groupby("group")["prompt"].nunique().max() > 1:
            table = table.drop(columns="prompt")
            problems.append(
                f"the prompts of {path.name} are left out, as they do not follow the numbers of "
                f"the pictures: put {_PROMPTS[0]} into {tree.root}"
            )
    else:
        files = [tree.label(_mat(k), title="AIGCIQA2023", get=_GET) for k in _TARGETS.values()]
        table = _of_mats(files)
    sheet = next(filter(None, map(tree.find, _PROMPTS)), None)
    if sheet:
        files.append(tree.root / sheet)
        prompts = _prompts(files[-1])
        table["prompt"] = [prompts[int(group)] for group in table["group"]]
        problems = []
    elif "prompt" not in table and not problems:
        problems.append(f"there are no prompts: put {_PROMPTS[0]} into {tree.root}")
    return Labels(
        table, tuple(files), folders=("Image/allimg", "allimg", "Image", ""), problems=(*problems,)
    )


def _mat(k: int) -> str:
    return f"DATA/MOS/mosz{k}.mat"


def _group(i: int) -> str:
    return f"{i % A_MODEL // A_PROMPT:03d}"


def _of_mats(files: list[Path]) -> pd.DataFrame:
    names = pd.Series([f"{i}.png" for i in range(N_PICTURES)])
    table = pd.DataFrame({"name": names})
    for column, path in zip(_TARGETS, files, strict=True):
        scores = read_mat(path, "MOSz")["MOSz"]
        if len(scores) != N_PICTURES:
            raise InputError(
                f"{path}: expected {N_PICTURES} scores in MOSz, found {len(scores)}: is it the "
                "label file of another release?"
            )
        table[column] = numbers(pd.Series(scores), names, "MOSz", path)
    return table.assign(group=[_group(i) for i in range(N_PICTURES)])


def _of_json(path: Path) -> pd.DataFrame:
    """Return one row for each picture, in the order of first mention."""
    refuse_others(path)
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}: download it again") from error
    shaped = isinstance(records, list) and all(isinstance(record, dict) for record in records)
    raw = pd.DataFrame(records if shaped else [])
    if not {"img", "moz1"} <= set(raw):
        raise InputError(
            f"{path}: expected records with img and moz1, found "
            f"{', '.join(map(str, raw)) or 'none'}: is it the label file of another release?"
        )
    names = raw["img"].map(lambda img: PurePosixPath(text(img)).name)
    table = pd.DataFrame({"name": names, "group": [_group(_index(name, path)) for name in names]})
    for column, k in _TARGETS.items():
        if f"moz{k}" in raw:  # the second is not in every copy
            scores = raw[f"moz{k}"].map(
                lambda cell: None if isinstance(cell, list | dict) else cell
            )
            table[column] = numbers(scores, names, f"moz{k}", path)
    once = table.drop_duplicates()
    twice = once["name"].duplicated()
    if twice.any():
        raise InputError(
            f"{path}: {once['name'][twice].iloc[0]} stands there with different scores: download "
            "it again"
        )
    if "prompt" in raw:
        prompts = raw["prompt"].map(text)
        # more than one for a picture: they are the questions, and no prompts
        if prompts.groupby(names).nunique().max() == 1:
            once = once.assign(prompt=prompts[once.index])
    return once.reset_index(drop=True)


def _index(name: str, path: Path) -> int:
    match = re.fullmatch(r"(\d{1,4})\.png", name, re.IGNORECASE)
    if not match or int(match[1]) >= N_PICTURES:
        raise InputError(
            f"{path}: expected names from 0.png to {N_PICTURES - 1}.png, found {name!r}: is it the "
            "label file of another release?"
        )
    return int(match[1])


def _prompts(path: Path) -> list[str]:
    """Return the prompts: the third column, from the very first row on."""
    rows = [row for row in read_cells(path) if any(cell not in ("", None) for cell in row)]
    found = [text(row[2]) for row in rows if len(row) > 2]
    if len(found) == N_PROMPTS + 1 and found[0].lower() == "prompt":  # somebody gave it a header
        del found[0]
    if len(found) != N_PROMPTS or not all(found):
        raise InputError(
            f"{path}: expected {N_PROMPTS} rows of challenge, category and prompt without a "
            f"header, found {len(found)}: is it the prompt file of another release?"
        )
    return found


AIGCIQA2023 = Known(
    "AIGCIQA2023",
    "pictures that six models made of prompts, scored for quality, authenticity, correspondence",
    read_aigciqa2023,
    aliases=("aigciqa", "aigciqa-2023", "AIGIQA2023"),
    n_pictures=N_PICTURES,
    n_groups=N_PROMPTS,
    # z-scores spread over about 0..100; the exact range is not published
    targets={column: Target(-10, 110) for column in _TARGETS},
    group_by="prompt",
    page="https://github.com/wangjiarui153/AIGCIQA2023",
    terms="not stated",
    get=_GET,
)
