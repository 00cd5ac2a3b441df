"""Small trees of AVA, PIPAL, CID2013 and the pools without scores; see `trees`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from trees import LEVELS, quality, tiny, write_text, write_xlsx

AVA_PICTURES = 40
AVA_ROWS = 60
PIPAL_PARTS = ((1, 59), (60, 120), (121, 184), (185, 248))
PIPAL_VARIANTS = (12, 16, 10, 24, 13, 14, 27)
CID2013_FILE = "CID2013 data - version 12112014.xlsx"
# The set -> pictures in each scene, and the scenes.
CID2013_SETS = {
    "I": (14, (1, 2, 3, 4, 5, 6)),
    "II": (13, (1, 2, 3, 4, 5, 6)),
    "III": (13, (1, 2, 3, 4, 5, 6)),
    "IV": (13, (1, 2, 3, 4, 5, 6)),
    "V": (12, (1, 2, 3, 5, 6, 8)),
    "VI": (14, (1, 2, 3, 6, 7, 8)),
}
COCO_PARTS = ("train2017", "val2017", "test2017", "unlabeled2017")


def ava_counts(level: int) -> list[int]:
    """Return how many of ninety people gave 1 ... 10: the better the picture, the higher."""
    middle = round(quality(level, 2, 9))
    return [60 if r == middle else 15 if abs(r - middle) == 1 else 0 for r in range(1, 11)]


def build_ava(root: Path, n: int = AVA_ROWS) -> None:
    """Write rows of AVA.txt, the test list, and pictures for the first forty."""
    lines = []
    for index in range(n):
        counts = " ".join(map(str, ava_counts(index % LEVELS)))
        lines.append(f"{index + 1} {953000 + index} {counts} {index % 67} 0 {index // 4 + 1396}")
    write_text(root / "AVA.txt", lines)
    write_text(
        root / "aesthetics_image_lists" / "generic_test.jpgl",
        [str(953000 + index) for index in range(3, n, 4)],
    )
    for index in range(min(n, AVA_PICTURES)):
        tiny(root / "images" / f"{953000 + index}.jpg", index % LEVELS, seed=index)


def pipal_references() -> list[list[str]]:
    """Return the fifty references of each part: some numbers between are not published."""
    return [
        [f"A{number:04d}" for number in np.linspace(low, high, 50).round().astype(int)]
        for low, high in PIPAL_PARTS
    ]


def pipal_names(reference: str) -> list[str]:
    """Return the 116 pictures of a training reference."""
    return [
        f"{reference}_{kind:02d}_{variant:02d}.bmp"
        for kind, n in enumerate(PIPAL_VARIANTS)
        for variant in range(n)
    ]


def pipal_validation() -> list[str]:
    """Return the forty pictures of each of 25 other references."""
    used = {name for part in pipal_references() for name in part}
    free = [f"A{number:04d}" for number in range(250) if f"A{number:04d}" not in used]
    return [f"{name}_10_{variant:02d}.bmp" for name in free[:25] for variant in range(40)]


def build_pipal(
    root: Path,
    labels: str = "Train_Label",
    distorted: str = "Distortion_",
    separator: str = ",",
    one_folder: bool = False,
) -> None:
    """Write all 200 label files, and four pictures of each of ten references."""
    for part, references in enumerate(pipal_references(), start=1):
        for number, reference in enumerate(references):
            lines = []
            for index, name in enumerate(pipal_names(reference)):
                level = (index + number) % LEVELS
                lines.append(f"{name}{separator}{quality(level, 1000, 1800):.4f}")
                if number < 3 and index < 4 and part < 5:
                    folder = distorted if one_folder else f"{distorted}{part}"
                    tiny(root / folder / name, level, seed=10 * part + number)
            write_text(root / labels / f"{reference}.txt", lines)
    tiny(root / "Train_Ref" / "A0001.bmp", 0)


def write_pipal_validation(root: Path, file: str, folder: str, n: int = 3) -> None:
    """Write the 1,000 labels of the validation part, and some of its pictures."""
    names = pipal_validation()
    lines = [f"{name}, {quality(k % LEVELS, 868.2988, 1857):.4f}" for k, name in enumerate(names)]
    write_text(root / file, lines)
    for index in range(n):
        tiny(root / folder / names[index], index)


def cid2013_rows() -> Iterator[tuple[str, str, int]]:
    """Return the folder, the name without suffix and the level of all 474 pictures."""
    for number, (roman, (n, scenes)) in enumerate(CID2013_SETS.items(), start=1):
        for scene in scenes:
            for device in range(1, n + 1):
                name = f"IS_{roman}_C{scene:02d}_D{device:02d}"
                yield f"IS{number}/co{scene}", name, (scene + 2 * device) % LEVELS


def build_cid2013(root: Path) -> None:
    """Write the workbook with all rows, and three pictures of the scenes of two sets."""
    header = ["Image_set", "Cluster", "Source_ID", "Realigned MOS", "Image set specific  MOS"]
    rows = [[*header, "Sharpness", "Graininess", "Lightness", "Saturation"]]
    for folder, name, level in cid2013_rows():
        mos = quality(level, -9.5, 87.5)
        rows.append([folder[:3], folder[4:], name, mos, quality(level, 5, 75), 50, 40, 30, 20])
        if folder.startswith(("IS1", "IS5")) and int(name[-2:]) <= 3:
            tiny(root / folder / f"{name}.jpg", level, seed=10 * int(folder[2]) + int(name[-6:-4]))
    write_xlsx(root / CID2013_FILE, {"README": [["CID2013"], ["see sheet 2"]], "CID2013 MOS": rows})


def build_kadis(root: Path) -> None:
    """Write pristine pictures, the list of distortions, and one picture that a user distorted."""
    for index in range(20):
        tiny(root / "ref_imgs" / f"adler-bird-{100 + index}.png", index % 3, seed=index)
    write_text(
        root / "kadis700k_ref_imgs.csv",
        ["ref_im,dist_type_1,dist_type_2", "adler-bird-100.png,1,2"],
        end="\r\n",
    )
    tiny(root / "dist_imgs" / "adler-bird-100_01_03.bmp", 9)


def build_coco(root: Path) -> None:
    """Write pictures of four parts."""
    for part_number, part in enumerate(COCO_PARTS):
        for index in range(5):
            number = 1000 * part_number + 9 * index + 9
            tiny(root / part / f"{number:012d}.jpg", index % 3, seed=number)
    write_text(root / "annotations" / "captions_val2017.json", ["{}"])


def build_voc2012(root: Path) -> None:
    """Write pictures, masks, and the list of some."""
    for index in range(20):
        name = f"{2007 + index % 6}_{10 * index + 27:06d}"
        tiny(root / "VOCdevkit" / "VOC2012" / "JPEGImages" / f"{name}.jpg", index % 3, seed=index)
    folder = root / "VOCdevkit" / "VOC2012"
    tiny(folder / "SegmentationClass" / "2007_000027.png", 0)
    write_text(folder / "ImageSets" / "Main" / "train.txt", ["2007_000027"])


def build_certh(root: Path) -> None:
    """Write four pictures of each part, and the workbooks of the last two."""
    training = root / "TrainingSet"
    for number, part in enumerate(("Undistorted", "Naturally-Blurred", "Artificially-Blurred")):
        for index in range(4):
            suffix = "JPG" if index % 2 else "jpg"
            tiny(training / part / f"DSC0{number}{index}.{suffix}", 0, seed=5 * number + index)
        (training / part / ".DS_Store").write_bytes(b"\0")
    natural, digital = (
        root / "EvaluationSet" / name for name in ("NaturalBlurSet", "DigitalBlurSet")
    )
    for index in range(4):
        tiny(natural / f"IMG_{index}.{'jpeg' if index == 3 else 'jpg'}", 0, seed=20 + index)
        tiny(digital / f"Gauss {index}.jpg", 0, seed=30 + index)
    write_xlsx(
        natural.with_suffix(".xlsx"),
        {
            "Sheet1": [
                ["Image Name", "Blur Label"],
                *[[f"IMG_{index}  ", 1 if index < 3 else -1] for index in range(4)],
            ]
        },
    )
    write_xlsx(
        digital.with_suffix(".xlsx"),
        {
            "Sheet1": [
                ["MyDigital Blur", None],
                *[[f"Gauss {index}.JPG ", -1 if index == 0 else 1] for index in range(3)],
            ]
        },
    )


def move_into(root: Path, folder: str) -> Path:
    """Put all that lies in a root into a folder of it, as an archive may unpack; return that."""
    there = sorted(root.iterdir())
    inner = root / folder
    inner.mkdir(parents=True)
    for path in there:
        shutil.move(path, inner / path.name)
    return inner


BUILDERS = {
    "ava": build_ava,
    "pipal": build_pipal,
    "cid2013": build_cid2013,
    "kadis": build_kadis,
    "coco": build_coco,
    "voc2012": build_voc2012,
    "certh-blur": build_certh,
}
