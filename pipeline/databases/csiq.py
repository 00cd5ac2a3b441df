"""CSIQ (Larson, Chandler, Journal of Electronic Imaging 2010): 866 pictures, 30 references.

On disk: dst_imgs/TYPE/REFERENCE.TOKEN.LEVEL.png (or all in dst_imgs_all/), src_imgs/ and
csiq.DMOS.xlsx, of whose many sheets all_by_image holds the scores, from the cell D4 on. There the
reference 1600 is a number, and types have other names than in the files. csiq_label.txt, which
others made, holds lines of name and score. `dmos` is 0..1, lower is better. Contrast has fewer
levels: 1 to 3, and a fourth for 26 references.
"""

from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import integers, name_parts, read_lines, read_sheet, text
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

# as the sheet calls a type -> as the files do; its folder is that in lower case
TOKENS = {
    "noise": "AWGN",
    "jpeg": "JPEG",
    "jpeg 2000": "jpeg2000",
    "fnoise": "fnoise",
    "blur": "BLUR",
    "contrast": "contrast",
}
_TYPES = [token.lower() for token in TOKENS.values()]
_TOKEN = dict(zip(_TYPES, TOKENS.values(), strict=True))
_NAME = rf"(?P<group>[^./]+)\.(?P<distortion>{'|'.join(_TYPES)})\.(?P<level>[1-5])\.png"
_FILES = ("csiq.DMOS.xlsx", "csiq.beta.xlsx", "csiq_label.txt")
_FOLDERS = (*(f"dst_imgs/{kind}" for kind in _TYPES), "dst_imgs_all", "dst_imgs", *_TYPES, "")
_GET = "download csiq.DMOS.xlsx and dst_imgs.zip from the page and unpack it to dst_imgs/ beside"


def read_csiq(tree: Tree) -> Labels:
    """Return the labels of CSIQ; a group is all pictures of one reference."""
    path = tree.label(*_FILES, title="CSIQ", get=_GET)
    raw = _of_lines(path) if path.suffix.lower() == ".txt" else _of_sheet(path)
    parts = name_parts(raw["name"], _NAME, "1600.AWGN.1.png", path)
    table = pd.DataFrame(
        {
            "group": parts["group"].str.lower(),
            "distortion": parts["distortion"].str.lower(),
            "level": parts["level"].astype(int),
        }
    )
    token = table["distortion"].map(_TOKEN)
    table.insert(0, "name", table["group"] + "." + token + "." + parts["level"] + ".png")
    for column in raw.columns.drop("name"):
        table[column] = numbers(raw[column], table["name"], column, path)
    # copies hold levels of contrast that were not scored, and references in the same folder
    extras = {f"{group}.contrast.{k}.png" for group in table["group"].unique() for k in (4, 5)}
    extras |= {f"{group}.png" for group in table["group"]}
    return Labels(table, (path,), folders=_FOLDERS, extras=frozenset(extras))


def _of_sheet(path: Path) -> pd.DataFrame:
    columns = ("image", "dst_type", "dst_lev", "dmos_std", "dmos")
    raw = read_sheet(path, *columns, sheet="all_by_image")
    token = raw["dst_type"].map(text).str.lower().map(TOKENS)
    if token.isna().any():
        raise InputError(
            f"{path}: expected a dst_type of {', '.join(TOKENS)}, found "
            f"{raw['dst_type'][token.isna()].iloc[0]!r}: is it the label file of another release?"
        )
    level = integers(raw["dst_lev"], "dst_lev", path).astype(str)
    name = raw["image"].map(text) + "." + token + "." + level + ".png"
    return raw[["dmos", "dmos_std"]].assign(name=name)


def _of_lines(path: Path) -> pd.DataFrame:
    return pd.DataFrame(read_lines(path, 2), columns=["name", "dmos"])


CSIQ = Known(
    "CSIQ",
    "photographs with six distortions, lower is better",
    read_csiq,
    n_pictures=866,
    n_groups=30,
    targets={"dmos": Target(0, 1, higher_is_better=False)},
    group_by="reference",
    page="https://s2.smu.edu/~eclarson/csiq.html",
    get=_GET,
)
