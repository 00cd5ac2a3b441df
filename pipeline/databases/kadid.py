"""KADID-10k (Lin, Hosu, Saupe, QoMEX 2019): 10,125 pictures, 81 references, 25 distortions.

On disk: images/ with the references I01.png ... I81.png and the distorted I01_01_01.png ...
I81_25_05.png (reference, type, level), and dmos.csv. Its names mislead twice: `dmos` is higher for
better pictures, 1..5, and is `mos` here; `var` is a standard deviation, and is `mos_std`. Some
mirrors have distorted_images/ or kadid10k_part1/ to kadid10k_part3/. A higher level is no worse
picture for mean shift (18) and contrast (25).
"""

import pandas as pd

from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import name_parts, read_table
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

N_REFERENCES, N_LEVELS = 81, 5
# in the order of their numbers, from 1 on
TYPES = (
    *("gaussian blur", "lens blur", "motion blur", "colour diffusion", "colour shift"),
    *("colour quantisation", "colour saturation 1", "colour saturation 2", "jpeg2000", "jpeg"),
    *("white noise", "noise in colour components", "impulse noise", "multiplicative noise"),
    *("denoising", "brighten", "darken", "mean shift", "jitter", "non-eccentricity patch"),
    *("pixelate", "quantisation", "colour block", "high sharpen", "contrast change"),
)
_NAME = (
    r"(?P<group>i(?:0[1-9]|[1-7]\d|8[01]))_(?P<distortion>0[1-9]|1\d|2[0-5])_(?P<level>0[1-5])\.png"
)
_PARTS = [f"kadid10k_part{k}" for k in (1, 2, 3)]
_FOLDERS = ("images", "distorted_images", *(f"{part}/images" for part in _PARTS))
_GET = "download kadid10k.zip from the page and unpack it; --root is the folder with dmos.csv"


def read_kadid(tree: Tree) -> Labels:
    """Return the labels of KADID-10k; a group is all pictures of one reference."""
    path = tree.label(
        "dmos.csv", *(f"{part}/dmos.csv" for part in _PARTS), title="KADID-10k", get=_GET
    )
    raw = read_table(path, "dist_img", "dmos", "var")
    parts = name_parts(raw["dist_img"].str.strip(), _NAME, "I01_01_01.png", path)
    names = raw["dist_img"].str.strip().str.capitalize()
    table = pd.DataFrame(
        {
            "name": names,
            "mos": numbers(raw["dmos"], names, "dmos", path),
            "mos_std": numbers(raw["var"], names, "var", path),
            "group": parts["group"].str.lower(),
            "distortion": [TYPES[int(number) - 1] for number in parts["distortion"]],
            "level": parts["level"].astype(int),
        }
    )
    extras = frozenset(f"i{number:02d}.png" for number in range(1, N_REFERENCES + 1))
    return Labels(table, (path,), folders=_FOLDERS, extras=extras)


KADID = Known(
    "KADID-10k",
    "photographs with 25 distortions at five levels",
    read_kadid,
    aliases=("kadid10k",),
    n_pictures=N_REFERENCES * len(TYPES) * N_LEVELS,
    n_groups=N_REFERENCES,
    targets={"mos": Target(1, 5)},
    group_by="reference",
    page="https://database.mmsp-kn.de/kadid-10k-database.html",
    terms="free for research, without a formal licence",
    get=_GET,
)
