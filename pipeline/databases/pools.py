"""Pictures without scores, for pretraining: KADIS-700k, COCO, VOC2012, CERTH-Blur.

Each is a list of pictures. A name starts at the pool's own folder (ref_imgs/, train2017/,
JPEGImages/, TrainingSet/), so that it is the same on every disk, however deep that folder lies. Any
other folder of pictures is a pool by its path alone, as is AVA without its labels.

KADIS-700k (Lin, Hosu, Saupe, 2020) ships 140,000 pristine pictures of Pixabay; its distorted ones
are made by its users, and are not read. COCO (Lin and others, ECCV 2014) has parts, of which any
may be there; test2017 is also within test2015, under longer names of the same numbers. VOC2012
(Everingham and others) overlaps FLIVE. CERTH-Blur (Mavridaki, Mezaris, ICIP 2014) tells which of
its photographs are blurred, and whether by the camera or afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_cells, text
from pipeline.databases.tree import Tree, folded

# A part -> how many pictures it was published with, None where that could not be verified.
_KADIS = {"ref_imgs": 140_000}
_COCO = {
    "train2017": 118_287,
    "val2017": 5_000,
    "test2017": 40_670,
    "unlabeled2017": None,
    "test2015": None,
}
_VOC2012 = {"JPEGImages": None}
# The authors count 2,450: without the 30 sharp pictures of DigitalBlurSet.
_CERTH = {
    "TrainingSet/Undistorted": 630,
    "TrainingSet/Naturally-Blurred": 220,
    "TrainingSet/Artificially-Blurred": 150,
    "EvaluationSet/NaturalBlurSet": 1_000,
    "EvaluationSet/DigitalBlurSet": 480,
}
# A part -> what its blurred pictures are called; in the last two, workbooks tell which are blurred.
_KINDS = {
    "TrainingSet/Undistorted": "undistorted",
    "TrainingSet/Naturally-Blurred": "natural",
    "TrainingSet/Artificially-Blurred": "artificial",
    "EvaluationSet/NaturalBlurSet": "natural",
    "EvaluationSet/DigitalBlurSet": "artificial",
}


def read_kadis(tree: Tree) -> Labels:
    """Return the pristine pictures of KADIS-700k."""
    table, problems = _pictures(
        tree, "KADIS-700k", _KADIS, ("", "kadis700k", "kadis700k/kadis700k")
    )
    return Labels(table, problems=problems)


def read_coco(tree: Tree) -> Labels:
    """Return those parts of COCO that are there; a group is one photograph, in whichever part."""
    table, problems = _pictures(tree, "COCO", _COCO, ("", "images", "coco", "coco/images"))
    number = table["name"].str.extract(r"(\d{12})\.\w+$", expand=False)
    return Labels(table.assign(group=number.fillna(table["name"])), problems=problems)


def read_voc2012(tree: Tree) -> Labels:
    """Return the pictures of VOC2012."""
    table, problems = _pictures(tree, "VOC2012", _VOC2012, ("", "VOC2012", "VOCdevkit/VOC2012"))
    return Labels(table, problems=problems)


def read_certh(tree: Tree) -> Labels:
    """Return the pictures of CERTH-Blur, with what blurred each, where that is told."""
    table, problems = _pictures(tree, "CERTH-Blur", _CERTH, ("", "CERTH_ImageBlurDataset"))
    parts = table["name"].str.extract(r"^([^/]+/[^/]+)/", expand=False)
    table["distortion"] = parts.map(_KINDS)
    for part, rows in table[parts.str.startswith("Evaluation")].groupby(parts):
        name, file = rows[["name", "file"]].iloc[0]
        workbook = f"{file.removesuffix(name.removeprefix(part))}.xlsx"
        table.loc[rows.index, "distortion"] = _told(tree, workbook, rows["name"], _KINDS[part])
    return Labels(table, problems=problems)


def _pictures(
    tree: Tree, title: str, parts: Mapping[str, int | None], places: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the pictures of those parts that are there, and which parts are not whole.

    Parameters
    ----------
    parts : folder of the pool -> published number of its pictures
    places : where the pool's own folder may be under the root, in order of preference
    """
    names, files, problems = [], [], []
    for part, n in parts.items():
        folders = (f"{place}/{part}".strip("/") for place in places)
        folder, found = next(
            ((folder, found) for folder in folders if (found := tree.pictures(folder))), ("", [])
        )
        names += [part + file[len(folder) :] for file in found]
        files += found
        if found and n and len(found) != n:
            problems.append(
                f"{part} has {len(found)} pictures, not {n} as published: unpack its archive anew"
            )
    if not names:
        raise InputError(_nothing(tree, title, parts))
    return pd.DataFrame({"name": names, "file": files}), tuple(problems)


def _nothing(tree: Tree, title: str, parts: Iterable[str]) -> str:
    """Return where the pictures should be, and which --root would be right if that can be told."""
    line = f"{title}: expected pictures in {' or '.join(parts)} under {tree.root}, found none"
    for part in parts:
        end = f"/{folded(part)}"
        deeper = next((path for path in tree.pictures() if f"{end}/" in f"/{folded(path)}"), None)
        if deeper:
            folders = (tree.root / deeper).parents
            part_folder = next(one for one in folders if folded(one.as_posix()).endswith(end))
            better = part_folder.parents[part.count("/")]
            return f"{line}; they are in {better}: give --root {better}"
        for above in list(tree.root.parents)[:2]:
            if (above / part).is_dir():
                return f"{line}: give --root {above}"
    return line + tree.archives_line()


def _told(tree: Tree, workbook: str, names: pd.Series, blurred: str) -> list[str]:
    """Return the kind of each picture by a workbook: rows of a name, and 1 if blurred, -1 if not.

    Its names may lack the suffix and end in spaces, and its second column may lack a heading.
    """
    path = tree.find(workbook)
    if path is None:
        return [""] * len(names)
    kinds = {"1": blurred, "-1": "undistorted"}
    rows = [row for row in read_cells(tree.root / path) if len(row) > 1]
    told = {folded(text(row[0])): kinds[text(row[1])] for row in rows if text(row[1]) in kinds}
    last = names.str.rpartition("/")[2].map(folded)
    stem = last.str.rpartition(".")[0]
    return [told.get(one, told.get(other, "")) for one, other in zip(last, stem, strict=True)]


KADIS = Known(
    "KADIS-700k",
    "pristine pictures, for pretraining",
    read_kadis,
    aliases=("kadis700k",),
    n_pictures=140_000,
    page="https://database.mmsp-kn.de/kadid-10k-database.html",
    get="unpack kadis700k.zip from the page; its pictures are in ref_imgs/",
)
COCO = Known(
    "COCO",
    "photographs of common objects, for pretraining",
    read_coco,
    aliases=("coco2017", "mscoco", "MS-COCO"),
    group_by="photograph, one in test2015 and test2017 joined",
    page="https://cocodataset.org",
    terms="annotations CC BY 4.0; photographs under Flickr's terms",
    get="unpack train2017.zip, val2017.zip, test2017.zip or unlabeled2017.zip from the page",
)
VOC2012 = Known(
    "VOC2012",
    "photographs of objects, for pretraining",
    read_voc2012,
    aliases=("voc", "PASCAL VOC", "PASCAL VOC 2012", "VOCdevkit"),
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    get="unpack VOCtrainval_11-May-2012.tar from the page; its pictures are in JPEGImages/",
)
CERTH_BLUR = Known(
    "CERTH-Blur",
    "sharp and blurred photographs, for pretraining",
    read_certh,
    aliases=("certh", "CERTH_ImageBlurDataset"),
    n_pictures=2480,
    page="https://mklab.iti.gr/results/certh-image-blur-dataset/",
    terms="scientific benchmarking only; photographers keep their rights",
    get="unpack CERTH_ImageBlurDataset.zip from the page",
)
