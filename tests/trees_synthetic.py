"""Trees of the databases of references and their distortions: LIVE, CSIQ, TID2013, KADID-10k."""

from collections.abc import Iterator
from pathlib import Path

from trees import LEVELS, quality, tiny, write_mat, write_text, write_xlsx

LIVE_FILES = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
LIVE_COPIES = {"jp2k": 58, "jpeg": 58, "wn": 29, "gblur": 29, "fastfading": 29}
CSIQ_NO_FOURTH = ("elk", "geckos", "lady_liberty", "swarm")
CSIQ_REFERENCES = (1600, *CSIQ_NO_FOURTH, *(f"scene_{k}" for k in range(25)))
CSIQ_TYPES = {  # as the sheet calls a type -> as files do, levels
    "noise": ("AWGN", 5),
    "jpeg": ("JPEG", 5),
    "jpeg 2000": ("jpeg2000", 5),
    "fnoise": ("fnoise", 5),
    "blur": ("BLUR", 5),
    "contrast": ("contrast", 4),
}
TID2013_CAPITAL = (1, 11, 13)  # types whose names at level 1 start with I in the list


def worst_high(level: int, low: float, high: float) -> float:
    """The score of a level where lower is better."""
    return quality(LEVELS - 1 - level, low, high)


def live_entries() -> Iterator[tuple[str, bool, int]]:
    """Name, whether it is a copy of a reference, and number among its like, of all 982 entries."""
    counts = {True: 0, False: 0}
    for kind, n in LIVE_FILES.items():
        for k in range(n):
            copy = k * 7 % n < LIVE_COPIES[kind]
            yield f"{kind}/img{k + 1}.bmp", copy, counts[copy]
            counts[copy] += 1


def live_level(number: int) -> int:
    """The level of a distorted picture by its number."""
    return number // 20 % LEVELS


def live_reference(number: int) -> str:
    """The reference of an entry by its number among its like: 29 of them."""
    return "studentsculpture.bmp" if number % 29 == 0 else f"Scene{number % 29:02d}.bmp"


def live_arrays() -> dict[str, list]:
    """The variables of all label files."""
    entries = list(live_entries())
    levels = [None if copy else live_level(number) for _, copy, number in entries]
    return {
        "orgs": [float(copy) for _, copy, _ in entries],
        "dmos_new": [55 if k is None else worst_high(k, -2.64, 111.77) for k in levels],
        "dmos_std": [9 if k is None else 1.08 + k / 4 for k in levels],
        "dmos": [0 if k is None else worst_high(k, 17.9, 84.49) for k in levels],
        "refnames_all": [live_reference(number) for _, _, number in entries],
    }


def build_live(root: Path) -> None:
    """Both score files; 39 distorted pictures, four copies of references, one reference."""
    arrays = live_arrays()
    live_labels(root, arrays, "dmos_new", "dmos_std", "orgs", file="dmos_realigned.mat")
    live_labels(root, arrays, "dmos", "orgs", file="dmos.mat")
    live_labels(root, arrays, "refnames_all", file="refnames_all.mat")
    lines = [f"studentsculpture.bmp img{k}.bmp 0.5" for k in (2, 1)]
    write_text(root / "gblur" / "info.txt", lines, "\r\r\n")
    tiny(root / "refimgs" / "studentsculpture.bmp", 0)
    for name, copy, number in live_entries():
        if number % (60 if copy else 20) == 0:
            tiny(root / name, 0 if copy else live_level(number), number)


def build_live_original(root: Path) -> None:
    """As it was first published, without realigned scores."""
    build_live(root)
    (root / "dmos_realigned.mat").unlink()


def live_labels(root: Path, arrays: dict[str, list], *variables: str, file: str) -> None:
    """Write some of the variables into a file."""
    write_mat(root / file, **{name: arrays[name] for name in variables})


def csiq_rows() -> Iterator[tuple[object, str, str, int, int]]:
    """Reference, type in the sheet and in files, level, and level of noise, of all 866 rows."""
    for k, reference in enumerate(CSIQ_REFERENCES):
        for kind, (token, n_levels) in CSIQ_TYPES.items():
            fewer = kind == "contrast" and reference in CSIQ_NO_FOURTH
            for level in range(1, n_levels + 1 - fewer):
                yield reference, kind, token, level, 2 * (level - 1) + k % 2


def build_csiq(root: Path) -> None:
    """The workbook, whose table starts at D4 of one of its sheets."""
    order = ["noise", "jpeg", "jpeg 2000", "fnoise", "blur", "contrast"]
    rows: list[tuple] = [(None,)] * 3
    rows.append((*[None] * 3, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"))
    for reference, kind, _, level, noise in csiq_rows():
        scores = (0.01 * level, worst_high(noise, 0, 1))
        rows.append((*[None] * 3, reference, order.index(kind) + 1, kind, level, *scores))
    rows += [(*[None] * 3, "", None, "", None, "", None)] * 4
    working = [("image", "dmos"), ("#REF!", "#REF!")]
    write_xlsx(root / "csiq.DMOS.xlsx", {"realign": working, "all_by_image": rows, "z": working})
    _csiq_pictures(root, flat=False)


def build_csiq_flat(root: Path) -> None:
    """The list that others made, by type, and all pictures in one folder."""
    rows = sorted(csiq_rows(), key=lambda row: list(CSIQ_TYPES).index(row[1]))
    lines = [
        f"{reference}.{token}.{level}.png {worst_high(noise, 0, 1):.6f}"
        for reference, _, token, level, noise in rows
    ]
    write_text(root / "csiq_label.txt", lines)
    _csiq_pictures(root, flat=True)
    tiny(root / "dst_imgs_all" / "1600.png", 0)


def _csiq_pictures(root: Path, flat: bool) -> None:
    for row, (reference, _, token, level, noise) in enumerate(csiq_rows()):
        if row % 23 == 0:
            folder = "dst_imgs_all" if flat else f"dst_imgs/{token.lower()}"
            tiny(root / folder / f"{reference}.{token}.{level}.png", noise, row)
    if not flat:
        tiny(root / "src_imgs" / "1600.png", 0)


def tid2013_rows() -> Iterator[tuple[str, int]]:
    """Name as the list writes it, and level of noise, of all 3,000 rows."""
    for reference in range(1, 26):
        for kind in range(1, 25):
            for level in range(1, 6):
                first = "I" if level == 1 and kind in TID2013_CAPITAL else "i"
                name = f"{first}{reference:02d}_{kind:02d}_{level}.bmp"
                yield name, 2 * (level - 1) + reference % 2


def build_tid2013(root: Path) -> None:
    """Scores first in the list; on the disk the case of some names is another one."""
    rows = list(tid2013_rows())
    scores = [f"{quality(noise, 0.242, 7.214):.5f}" for _, noise in rows]
    names = [name for name, _ in rows]
    lines = [f"{score} {name}" for score, name in zip(scores, names, strict=True)]
    write_text(root / "mos_with_names.txt", lines, "\r\n")
    write_text(root / "mos.txt", scores, "\r\n")
    write_text(root / "mos_std.txt", [f"{0.1 + noise / 100:.5f}" for _, noise in rows], "\r\n")
    for row in range(0, len(rows), 77):
        name, noise = rows[row]
        tiny(root / "distorted_images" / (name.swapcase() if row % 2 else name), noise, row)
    for name in ("I01.BMP", "i25.bmp"):
        tiny(root / "reference_images" / name, 0)


def kadid_rows() -> Iterator[tuple[str, str, int]]:
    """Name, reference, and level of noise, of all 10,125 rows."""
    for reference in range(1, 82):
        for kind in range(1, 26):
            for level in range(1, 6):
                name = f"I{reference:02d}_{kind:02d}_{level:02d}.png"
                yield name, f"I{reference:02d}.png", 2 * (level - 1) + reference % 4 // 2


def build_kadid(root: Path) -> None:
    """References and distorted pictures in one folder; `dmos` is higher for better pictures."""
    kadid_labels(root / "dmos.csv")
    for row, (name, reference, noise) in enumerate(kadid_rows()):
        if row % 253 == 0:
            tiny(root / "images" / name, noise, row)
            tiny(root / "images" / reference, 0, row)


def build_kadid_parts(root: Path) -> None:
    """A mirror's three parts, the label file in the first."""
    kadid_labels(root / "kadid10k_part1" / "dmos.csv")
    for row, (name, _, noise) in enumerate(kadid_rows()):
        if row % 253 == 0:
            tiny(root / f"kadid10k_part{row // 3375 + 1}" / "images" / name, noise, row)


def kadid_labels(path: Path) -> None:
    """Write dmos.csv; `var` holds a standard deviation."""
    lines = ["dist_img,ref_img,dmos,var"]
    for name, reference, noise in kadid_rows():
        lines.append(f"{name},{reference},{quality(noise, 1, 4.93):.2f},{0.4 + noise / 20:.3f}")
    write_text(path, lines)


BUILDERS = {
    "live": build_live,
    "csiq": build_csiq,
    "tid2013": build_tid2013,
    "kadid": build_kadid,
}
# The second layout of those that have two.
OTHER_LAYOUTS = {
    "live": build_live_original,
    "csiq": build_csiq_flat,
    "kadid": build_kadid_parts,
}
