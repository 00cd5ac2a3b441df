"""TID2013 (Ponomarenko et al., Signal Processing: Image Communication 2015): 3,000 pictures.

On disk: distorted_images/iRR_TT_L.bmp (reference, type, level), reference_images/, and, line by
line, mos_with_names.txt (score first) and mos_std.txt (values alone). 75 names of the list start
with a capital I, and the case on the disk may be another one: here names are in lower case. A
higher level is no worse picture for local blocks (15) and contrast (17).
"""

from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import name_parts, read_lines
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

N_REFERENCES, N_LEVELS = 25, 5
# in the order of their numbers, from 1 on
TYPES = (
    *("white noise", "noise in colour components", "correlated noise", "masked noise"),
    *("high-frequency noise", "impulse noise", "quantisation noise", "gaussian blur", "denoising"),
    *("jpeg", "jpeg2000", "jpeg transmission errors", "jpeg2000 transmission errors"),
    *("non-eccentricity patch", "local blocks", "mean shift", "contrast change"),
    *("colour saturation", "multiplicative noise", "comfort noise", "compressed noise"),
    *("colour quantisation with dither", "chromatic aberration", "sparse sampling"),
)
N_PICTURES = N_REFERENCES * len(TYPES) * N_LEVELS
_NAME = r"(?P<group>i(?:0[1-9]|1\d|2[0-5]))_(?P<distortion>0[1-9]|1\d|2[0-4])_(?P<level>[1-5])\.bmp"
_LIST, _STD = "mos_with_names.txt", "mos_std.txt"
_GET = "download tid2013.rar from the page and unpack it; --root is the folder with " + _LIST


def read_tid2013(tree: Tree) -> Labels:
    """Return the labels of TID2013; a group is all pictures of one reference."""
    path = tree.label(_LIST, title="TID2013", get=_GET)
    raw = _lines(path, 2)
    names = raw[1].str.lower()
    parts = name_parts(names, _NAME, "i01_01_1.bmp", path)
    table = pd.DataFrame(
        {
            "name": names,
            "mos": numbers(raw[0], names, "mos", path),
            "group": parts["group"],
            "distortion": [TYPES[int(number) - 1] for number in parts["distortion"]],
            "level": parts["level"].astype(int),
        }
    )
    files, problems = [path], []
    found = tree.find(_STD)
    if found:
        files.append(tree.root / found)
        std = numbers(_lines(files[-1], 1)[0], names, "std", files[-1])
        if names.is_monotonic_increasing:  # by reference, type, level
            table["mos_std"] = std
        else:
            problems.append(
                f"{path.name} is not in the order of its names, so that nothing tells whose the "
                f"values of {_STD} are, and they are left out: take both from the archive"
            )
    return Labels(
        table,
        tuple(files),
        folders=("distorted_images", ""),
        extras=frozenset(f"i{number:02d}.bmp" for number in range(1, N_REFERENCES + 1)),
        problems=tuple(problems),
    )


def _lines(path: Path, n_parts: int) -> pd.DataFrame:
    lines = read_lines(path, n_parts)
    if len(lines) != N_PICTURES:  # TID2008 has names of the same form: 1,700 of them
        raise InputError(
            f"{path}: expected {N_PICTURES} lines, found {len(lines)}: is it the label file of "
            "another release?"
        )
    return pd.DataFrame(lines)


TID2013 = Known(
    "TID2013",
    "photographs with 24 distortions at five levels",
    read_tid2013,
    aliases=("tid",),
    n_pictures=N_PICTURES,
    n_groups=N_REFERENCES,
    targets={"mos": Target(0, 9)},
    group_by="reference",
    page="https://www.ponomarenko.info/tid2013.htm",
    terms="education and research only",
    get=_GET,
)
