"""SPAQ (Fang, Zhu, Zeng, Ma, Wang, CVPR 2020): 11,125 photographs of 66 smartphones.

On disk: TestImage/00001.jpg ... 11125.jpg and, in Annotations/ or at the top, an Excel file whose
name some write with _ for spaces. Some keep the pictures made smaller in img_resize/: other
numbers, so another database. MOS and five attributes are on 0..100, as published, and higher is
taken to be better. That was not verified for Noisiness: one public reader takes 100 minus it where
it wants freedom from noise. The file has no deviations. `scene` is the category with the largest
share in the file of scenes, where that is there, the first of them in the order of its columns.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_sheet, text
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_GET = (
    "get Annotations/ and SPAQ.z01 to SPAQ.z06 with SPAQ.zip from the links of the repository "
    "h4nwei/SPAQ; join the parts (zip -FF SPAQ.zip --out whole.zip) and unpack TestImage/"
)
# column of the table -> column of the file
_TARGETS = {
    "mos": "mos",
    **{
        f"mos_{aspect}": aspect
        for aspect in ("brightness", "colorfulness", "contrast", "noisiness", "sharpness")
    },
}
_SCENES = (
    *("animal", "cityscape", "human", "indoor scene", "landscape", "night scene", "plant"),
    *("still-life", "others"),
)


def read_spaq(tree: Tree, pictures: str) -> Labels:
    """Return the labels of SPAQ.

    Parameters
    ----------
    pictures : the folder of the pictures
    """
    places = _places("MOS and Image attribute scores.xlsx")
    files = [tree.label(*places, title="SPAQ", get=_GET)]
    sheet = read_sheet(files[0], "image name", *_TARGETS.values())
    names = sheet["image name"].map(text)
    table = pd.DataFrame({"name": names})
    for column, source in _TARGETS.items():
        table[column] = numbers(sheet[source], names, source.capitalize(), files[0])
    scenes = next(filter(None, map(tree.find, _places("Scene category labels.xlsx"))), None)
    if scenes:
        files.append(tree.root / scenes)
        table["scene"] = names.map(_scenes(files[1])).fillna("")
    return Labels(table, tuple(files), folders=(pictures, f"Dataset/{pictures}"))


def _places(name: str) -> list[str]:
    spellings = (name, name.replace(" ", "_"))
    return [f"{folder}{spelling}" for folder in ("Annotations/", "") for spelling in spellings]


def _scenes(path: Path) -> dict[str, str]:
    """Return picture -> scene."""
    sheet = read_sheet(path, "image name", *_SCENES)
    names = sheet["image name"].map(text)
    shares = pd.DataFrame({scene: numbers(sheet[scene], names, scene, path) for scene in _SCENES})
    return dict(zip(names, shares.idxmax(axis=1), strict=True))


SPAQ = Known(
    "SPAQ",
    "photographs of smartphones, scored for quality and five attributes",
    partial(read_spaq, pictures="TestImage"),
    n_pictures=11125,
    targets={column: Target(0, 100) for column in _TARGETS},
    forms={"img_resize": "spaq-resized"},
    page="https://github.com/h4nwei/SPAQ",
    terms="education and research only",
    get=_GET,
)
# The same photographs made smaller by somebody: other numbers, so another database.
SPAQ_RESIZED = replace(
    SPAQ,
    title="SPAQ, resized",
    pictures_of=SPAQ.title,
    forms={"TestImage": "spaq"},
    labels=partial(read_spaq, pictures="img_resize"),
)
