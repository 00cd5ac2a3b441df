"""CLIVE, the LIVE In the Wild Image Quality Challenge (Ghadiyaram, Bovik, IEEE TIP 2016).

1,162 photographs of mobile devices, with MOS of 0..100. On disk: Images/N.bmp and N.JPG, and
Data/All{Images,MOS,StdDev}_release.mat, which hold 1,169 values each in one order. Seven of them,
t1.bmp to t7.bmp in Images/trainingImages/, taught the task to the observers, and are left out. The
archive holds a folder ChallengeDB_release/, and some end up with one inside another.
"""

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import mat_texts, read_mat
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree, folded

_NAMES, _MOS, _STD = "AllImages_release", "AllMOS_release", "AllStdDev_release"
_TRAINING = r"t\d+\.bmp"
_NESTED = ("", "ChallengeDB_release/")
_GET = "ask for ChallengeDB_release.zip on the page, and unpack it"


def read_clive(tree: Tree) -> Labels:
    """Return the labels of CLIVE, without the training pictures."""
    files, arrays = [], {}
    for variable in (_NAMES, _MOS, _STD):
        places = [f"{folder}Data/{variable}.mat" for folder in _NESTED]
        files.append(tree.label(*places, title="CLIVE", get=_GET))
        arrays |= read_mat(files[-1], variable)
    lengths = {variable: len(array) for variable, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{n} in {variable}" for variable, n in lengths.items())
        raise InputError(
            f"{files[0].parent}: expected 1169 values in each file, found {found}: download the "
            "database again"
        )
    names = pd.Series(mat_texts(arrays[_NAMES]), dtype=object)
    table = pd.DataFrame(
        {
            "name": names,
            "mos": numbers(pd.Series(arrays[_MOS]), names, _MOS, files[1]),
            "mos_std": numbers(pd.Series(arrays[_STD]), names, _STD, files[2]),
        }
    )
    training = names.str.fullmatch(_TRAINING, case=False)
    return Labels(
        table[~training].reset_index(drop=True),
        tuple(files),
        folders=(*(f"{folder}Images" for folder in _NESTED), ""),
        extras=frozenset(map(folded, names[training])),
    )


CLIVE = Known(
    "CLIVE",
    "photographs of mobile devices, as people took them (LIVE In the Wild Challenge)",
    read_clive,
    aliases=(
        *("livec", "LIVE Challenge", "LIVE-itW", "LIVE In the Wild"),
        *("ChallengeDB_release", "ChallengeDB", "LIVE Wild"),
    ),
    n_pictures=1162,
    targets={"mos": Target(0, 100)},
    page="https://live.ece.utexas.edu/research/ChallengeDB/index.html",
    terms="any use with its notice kept and the papers cited",
    get=_GET,
)
