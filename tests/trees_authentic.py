"""Trees of the databases of photographs as people took them."""

from pathlib import Path

import numpy as np
import scipy.io
from trees import LEVELS, quality, tiny, write_mat, write_text, write_xls, write_xlsx

from pipeline.databases.known import Known, Labels, open_labels
from pipeline.databases.table import Database
from pipeline.databases.tree import Tree


def opened(record: Known, root: Path) -> tuple[Database, Labels]:
    """Read a tree: what is on the disk, and all that the label files say."""
    tree = Tree(root)
    labels = record.labels(tree)
    return open_labels("db", record, tree, labels), labels


def level(row: int) -> int:
    """The level of a row's picture."""
    return row % LEVELS


def some(n: int, n_pictures: int = 40) -> list[int]:
    """Rows that are spread over a table of n, with as many of each level."""
    return [k * (n // n_pictures) // LEVELS * LEVELS + level(k) for k in range(n_pictures)]


def shuffled(row: int, n: int) -> int:
    """Another number below n for each row."""
    return row * 7919 % n  # a prime that divides none of our n


KONIQ_ROWS = 10073


def koniq_name(row: int) -> str:
    """The name of a row's picture, a number of Flickr."""
    return f"{2182165 + 1201 * row}.jpg"


def koniq_side(row: int) -> str:
    """The part of a row in the official split: 7058, 1000 and 2015 of them."""
    rank = shuffled(row, KONIQ_ROWS)
    return "training" if rank < 7058 else "validation" if rank < 8058 else "test"


def koniq_counts(row: int) -> list[int]:
    """How many of 108 people gave 1 to 5: their mean is 4.5 less a third for each level."""
    sixths = 27 - 2 * level(row)
    counts = [0] * 7
    counts[sixths // 6] = 108 - 18 * (sixths % 6)
    counts[sixths // 6 + 1] = 18 * (sixths % 6)
    return counts[1:6]


def koniq_sets(root: Path) -> None:
    """The file with the official split: shares of the ratings, MOS of 0 to 100."""
    lines = ["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set"]
    for row in range(KONIQ_ROWS):
        shares = ",".join(f"{count / 108:.12g}" for count in koniq_counts(row))
        mos, sd = quality(level(row), 5, 86), 0.5 + level(row) / 20
        lines.append(f"{koniq_name(row)},{shares},108,{mos},{sd},{koniq_side(row)}")
    write_text(root / "koniq10k_distributions_sets.csv", lines)


def build_koniq(root: Path) -> None:
    """The pictures in full size, and the file with the official split."""
    koniq_sets(root)
    koniq_pictures(root / "1024x768")
    koniq_unscored(root / "1024x768")


def build_koniq_small(root: Path) -> None:
    """The pictures at half the size."""
    koniq_sets(root)
    koniq_pictures(root / "512x384")


def build_koniq_scores(root: Path) -> None:
    """The file without a split: counts of the ratings, MOS of 1 to 5, names in quotation marks."""
    lines = ['"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"']
    for row in range(KONIQ_ROWS):
        counts = ",".join(map(str, koniq_counts(row)))
        mos, sd = 4.5 - level(row) / 3, 0.5 + level(row) / 20
        lines.append(
            f'"{koniq_name(row)}",{counts},108,{mos:.15g},{sd},{quality(level(row), 5, 86)}'
        )
    write_text(root / "koniq10k_scores_and_distributions.csv", lines)
    koniq_pictures(root / "1024x768")
    koniq_unscored(root / "1024x768")


def koniq_pictures(folder: Path) -> None:
    """Some of the pictures."""
    for row in some(KONIQ_ROWS):
        tiny(folder / koniq_name(row), level(row), row)


def koniq_unscored(folder: Path) -> None:
    """Two of the 300 pictures that have no score."""
    for number in (1, 2):
        tiny(folder / f"{number}.jpg", 0, number)


SPAQ_ROWS = 11125
SPAQ_HEADER = (
    *("Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"),
)


def _build_spaq(root: Path, sheet: str, folder: str) -> None:
    rows = [
        (f"{row + 1:05d}.jpg", mos, mos + 1, mos + 2, mos + 3, mos - 1, mos - 2)
        for row, mos in ((row, quality(level(row), 6, 96)) for row in range(SPAQ_ROWS))
    ]
    write_xlsx(root / sheet, {"Sheet1": [SPAQ_HEADER, *rows]})
    for row in some(SPAQ_ROWS):
        tiny(root / folder / f"{row + 1:05d}.jpg", level(row), row)


def build_spaq(root: Path) -> None:
    """The layout of the authors."""
    _build_spaq(root, "Annotations/MOS and Image attribute scores.xlsx", "TestImage")


def build_spaq_resized(root: Path) -> None:
    """Pictures made smaller, and the file under another name, as PromptIQA wants them."""
    _build_spaq(root, "Annotations/MOS_and_Image_attribute_scores.xlsx", "img_resize")


def clive_names() -> list[str]:
    """Seven training pictures, then 535 .bmp and 627 .JPG of numbers 3 to 1164."""
    bmp = sorted((f"{number}.bmp" for number in range(3, 537)), key=lambda name: name + "~")
    bmp.remove("100.bmp")
    jpg = sorted(f"{number}.JPG" for number in range(537, 1164))
    training = [f"t{number}.bmp" for number in range(1, 8)]
    return [*training, "100.bmp", *bmp, *jpg, "1164.bmp"]


def build_clive(root: Path) -> None:
    """Three MATLAB files; the names are a column of cells, the scores a row."""
    names = clive_names()
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    (root / "Data").mkdir(parents=True)
    scipy.io.savemat(root / "Data" / "AllImages_release.mat", {"AllImages_release": cells})
    mos = [quality(level(row), 4, 92) for row in range(len(names))]
    write_mat(root / "Data" / "AllMOS_release.mat", AllMOS_release=mos)
    std = [10 + level(row) / 2 for row in range(len(names))]
    write_mat(root / "Data" / "AllStdDev_release.mat", AllStdDev_release=std)
    for row in range(7):
        tiny(root / "Images" / "trainingImages" / names[row], level(row), row)
    for row in (*some(len(names))[10:], *range(10, 20)):
        tiny(root / "Images" / names[row], level(row), row)


FLIVE_ROWS = 39810


def flive_names() -> list[str]:
    """All names, in an order that mixes their origins."""
    names = [
        *(f"voc_emotic_ava/VOC2012__2007_{number:06d}.jpg" for number in range(9976)),
        *(f"voc_emotic_ava/JPEGImages__2008_{number:06d}.jpg" for number in range(9963)),
        *(f"voc_emotic_ava/EMOTIC__{number:018x}.jpg" for number in range(9788)),
        *(f"voc_emotic_ava/AVA__{number}.jpg" for number in range(9081)),
        *(f"blur_dataset/motion{number:04d}.jpg" for number in range(957)),
        *(f"blur_dataset/out_of_focus{number:04d}.JPG" for number in range(42)),
        *(f"EE371R/rq{number}.jpg" for number in (59, 73, 85)),
    ]
    return [names[shuffled(row, FLIVE_ROWS)] for row in range(FLIVE_ROWS)]


def flive_parts() -> dict[str, str]:
    """The official split: 1827 test pictures, two of them blurred, then 7727 and 30253."""
    names = [name for name in flive_names() if not name.startswith("EE371R")]
    test = [name for name in names if name.startswith("voc")][:1825]
    test += [name for name in names if name.startswith("blur")][:2]
    parts = dict.fromkeys(test, "test")
    rest = [name for name in names if name not in parts]
    return parts | dict.fromkeys(rest[:7727], "val") | dict.fromkeys(rest[7727:], "train")


def _flive_labels(root: Path) -> None:
    """The label files: all scores, the test part with its patches, and the two other parts."""
    names, parts = flive_names(), flive_parts()
    scores = {name: quality(level(row), 40, 90) for row, name in enumerate(names)}
    lines = [f"{name},{score}" for name, score in scores.items()]
    write_text(root / "labels_image.csv", ["name,mos", *lines])
    box = ("width", "height", "top", "left", "bottom", "right")
    header = ["mos_patch_1", "name_patch", *(f"{side}_patch_1" for side in box)]
    for patch in (2, 3):
        header += [f"mos_patch_{patch}", *(f"{side}_patch_{patch}" for side in box)]
    header += ["mos_image", "name_image", *(f"{side}_image" for side in box)]
    lines = [",".join(header)]
    for name in (name for name, part in parts.items() if part == "test"):
        patch = "480,264,206,564,470,1044"
        lines.append(
            f"79.5,patches/{name.rpartition('/')[2]},{patch},70.6,{patch},58.6,{patch},"
            f"{scores[name]},{name},1200,660,0,0,660,1200"
        )
    write_text(root / "labels640.csv", lines)
    lines = [
        f"{name},{scores[name]},{part == 'val'}" for name, part in parts.items() if part != "test"
    ]
    write_text(root / "labels=640_padded.csv", ["name_image,mos_image,is_valid", *lines])


def build_flive(root: Path) -> None:
    """The layout of the repository PaQ-2-PiQ, whose notebook gathered some of the pictures."""
    _flive_labels(root / "database")
    names, parts = flive_names(), flive_parts()
    rows = some(FLIVE_ROWS, 30)
    rows += [row for row, name in enumerate(names) if parts.get(name) == "test"][:8]
    rows += [row for row, name in enumerate(names) if not name.startswith("voc")][:2]
    for row in rows:
        tiny(root / "database" / names[row], level(row), row)


BID_ABSENT = (2, 346, 413, 439)


def bid_rows() -> list[list]:
    """The rows of the sheet: number, average, number of grades, 10 to 20 grades, empty cells.

    The grades are .1 above and below the average in turn, the last of an odd number is on it.
    """
    rows = []
    for row, number in enumerate(n for n in range(1, 591) if n not in BID_ABSENT):
        average, n = quality(level(row), 0.2, 4.9), 10 + row % 11
        grades = [average + (0.1, -0.1)[k % 2] for k in range(n // 2 * 2)] + [average] * (n % 2)
        rows.append([number, average, n, *grades, *[None] * (20 - n)])
    return rows


BID_HEADER = (
    *("Image Number", "Average Subjective Grade", "Number of Grades"),
    *(f"Grade #{number}" for number in range(1, 21)),
)


def _bid_pictures(folder: Path) -> None:
    rows = bid_rows()
    for row in some(len(rows)):
        tiny(folder / f"DatabaseImage{rows[row][0]:04d}.JPG", level(row), row)


def build_bid(root: Path) -> None:
    """The layout of the authors, with a sheet of old Excel and two empty ones after it."""
    sheets = {"Plan1": [BID_HEADER, *bid_rows()], "Plan2": [], "Plan3": []}
    write_xls(root / "DatabaseGrades.xls", sheets)
    _bid_pictures(root / "ImageDatabase")


def build_bid_xlsx(root: Path) -> None:
    """All in one folder, and a sheet of new Excel that goes on after its end."""
    after = [[""] * 23, ["checked", 1.0]]
    write_xlsx(root / "DatabaseGrades.xlsx", {"Plan1": [BID_HEADER, *bid_rows(), *after]})
    _bid_pictures(root)


def gfiqa_names() -> list[str]:
    """19,998 faces of 18,456 photographs: 176 have three, 1,190 two, the others one."""
    n_faces = [2] * 1190 + [3] * 176 + [1] * 17090
    return [
        f"{97114257 + 653 * photo}_{face}.png"
        for photo, n in enumerate(n_faces)
        for face in range(n)
    ]


def build_gfiqa(root: Path) -> None:
    """The table with further columns; the ratings are one cell, with a line end in some."""
    names = gfiqa_names()
    lines = ["img_name,mos,variance,ratings"]
    for row, name in enumerate(names):
        mos, end = quality(level(row), 0.01, 0.94), "\n" if row % 2 else ""
        lines.append(f'{name},{mos:.9f},0.0{level(row)}1,"[{mos:.8f} 1.{end} 0.49494949]"')
    write_text(root / "mos_val_rating.csv", lines)
    for row in (*range(10), *some(len(names))[10:]):
        tiny(root / "image" / names[row], level(row), row)


BUILDERS = {
    "koniq": build_koniq,
    "koniq-512x384": build_koniq_small,
    "spaq": build_spaq,
    "spaq-resized": build_spaq_resized,
    "clive": build_clive,
    "flive": build_flive,
    "bid": build_bid,
    "gfiqa": build_gfiqa,
}
