"""LIVE, release 2 (Sheikh, Wang, Cormack, Bovik, 2005): 779 pictures, 29 references, 5 distortions.

On disk: jp2k/ jpeg/ wn/ gblur/ fastfading/ with img1.bmp ... imgN.bmp, refimgs/, refnames_all.mat,
dmos.mat, and dmos_realigned.mat, a separate download. All arrays hold 982 entries: the folders one
after the other, entry k of a folder is img{k+1}.bmp. 203 of them are copies of references (`orgs`
is 1), which nobody scored, and are left out. `dmos`, lower is better, is the realigned score
(`dmos_new`, in some copies `dmos`), `dmos_original` that of dmos.mat. There are no levels.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import mat_texts, read_mat
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

N_FILES = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
N_ENTRIES, N_COPIES = 982, 203
_REALIGNED, _ORIGINAL, _REFERENCES = "dmos_realigned.mat", "dmos.mat", "refnames_all.mat"
# target -> its file, and the names of its variable, preferred first
_SCORES = {"dmos": (_REALIGNED, ("dmos_new", "dmos")), "dmos_original": (_ORIGINAL, ("dmos",))}
_GET = (
    "download databaserelease2 and dmos_realigned.mat from the page, and put the second into the "
    "folder of the first, beside refnames_all.mat"
)


def read_live(tree: Tree) -> Labels:
    """Return the labels of LIVE; a group is all pictures of one reference."""
    tree.label(_REALIGNED, _ORIGINAL, title="LIVE", get=_GET)
    references = tree.label(_REFERENCES, title="LIVE", get=_GET)
    groups = _whole(read_mat(references, "refnames_all"), references)["refnames_all"]
    files = {target: tree.label(file) for target, (file, _) in _SCORES.items() if tree.find(file)}
    arrays = {target: _arrays(path, *_SCORES[target][1]) for target, path in files.items()}
    copy = _copies(list(arrays.values()), " and ".join(map(str, files.values())))
    table = pd.DataFrame(
        {
            "name": [f"{kind}/img{k}.bmp" for kind, n in N_FILES.items() for k in range(1, n + 1)],
            "group": [name.lower() for name in mat_texts(groups)],
            "distortion": [kind for kind, n in N_FILES.items() for _ in range(n)],
        }
    )
    extras = frozenset(name.rpartition("/")[2] for name in table["name"][copy])
    table = table[~copy].reset_index(drop=True)
    for target, found in arrays.items():
        for column, variable in ((target, "scores"), (f"{target}_std", "dmos_std")):
            if variable in found:
                values = pd.Series(found[variable][~copy])
                table[column] = numbers(values, table["name"], variable, files[target])
    # an extra's last name stands in several folders, where each file is labelled or a copy
    return Labels(
        table,
        (*files.values(), references),
        extras=extras,
        note="" if "dmos" in files else f"DMOS as first published; {_REALIGNED} is not there",
    )


def _arrays(path: Path, *variables: str) -> dict[str, np.ndarray]:
    """Return `scores`, from the first variable that is there, and `orgs` and `dmos_std` if so."""
    arrays = _whole(read_mat(path, *variables, "orgs", "dmos_std"), path)
    scores = next((arrays[name] for name in variables if name in arrays), None)
    if scores is None:
        raise InputError(
            f"{path}: expected a variable {' or '.join(variables)}, found {', '.join(arrays)}: is "
            "it the label file of another release?"
        )
    return arrays | {"scores": scores}


def _whole(arrays: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    for name, values in arrays.items():
        if len(values) != N_ENTRIES:
            raise InputError(
                f"{path}: expected {N_ENTRIES} entries in {name}, found {len(values)}: is it the "
                "label file of another release?"
            )
    return arrays


def _copies(arrays: list[dict[str, np.ndarray]], where: str) -> np.ndarray:
    """Return which entries are copies of references, (982,) bool."""
    marks = [found["orgs"] == 1 for found in arrays if "orgs" in found]
    if not marks:
        raise InputError(
            f"{where}: expected a variable orgs, which marks the copies of references: put "
            f"{_ORIGINAL} of release 2 beside it"
        )
    if any((other != marks[0]).any() for other in marks):
        raise InputError(f"{where}: orgs differs between them: take both files from release 2")
    if marks[0].sum() != N_COPIES:
        raise InputError(
            f"{where}: expected {N_COPIES} copies of references (orgs is 1), found "
            f"{int(marks[0].sum())}: is it the label file of another release?"
        )
    return marks[0]


LIVE = Known(
    "LIVE",
    "photographs with compression, noise, blur and bit errors, lower is better",
    read_live,
    aliases=("live-iqa", "live2", "databaserelease2", "LIVEIQA_release2", "LIVE IQA release 2"),
    n_pictures=N_ENTRIES - N_COPIES,
    n_groups=29,
    targets={
        "dmos": Target(-3, 112, higher_is_better=False),
        "dmos_original": Target(0, 100, higher_is_better=False),
    },
    group_by="reference",
    page="https://live.ece.utexas.edu/research/Quality/subjective.htm",
    terms="any use with its notice kept and the papers cited: see its readme",
    get=_GET,
)
