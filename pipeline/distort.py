"""Distort a picture: every type and level of the bank, each as a PNG, and all on a contact sheet.

The bank is that of Re-IQA's pretraining: 26 types at five levels, 0 to 4. A level is not severity
everywhere: immeanshift and imcontrastc pass through next to no change at level 2. PSNR, in dB, is
against the picture itself.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from features.decode import MAX_MEGAPIXELS, read_picture
from features.distortions import DISTORTIONS, N_LEVELS, distort
from features.errors import InputError, UsageError, unknown_name
from features.files import digest
from features.places import expand
from pipeline import cli

EXAMPLES = """\
  python -m pipeline.distort photo.jpg -o distorted            # all 130, and sheet.png
  python -m pipeline.distort photo.jpg --type imcompressjpeg imjitter --level 2 4 -o distorted
  python -m pipeline.distort photo.jpg -o distorted --seed 1 --json
  python -m pipeline.distort --list
"""
SHEET = "sheet.png"
_THUMB = 224  # pixels of the longer side on the sheet
_LABEL = 34  # pixels of text below each


def types_of(names: list[str]) -> list[str]:
    """Return the types that were asked for, in the order of the list.

    Raises
    ------
    UsageError
        When one is unknown.
    """
    if names == ["all"]:
        return list(DISTORTIONS)
    for name in names:
        if name not in DISTORTIONS:
            raise UsageError(f"--type: {unknown_name('distortion', name, DISTORTIONS)}")
    return [name for name in DISTORTIONS if name in names]


def psnr(picture: np.ndarray, other: np.ndarray) -> float | None:
    """Return the peak signal-to-noise ratio in dB of two uint8 pictures; None where equal."""
    error = np.mean((picture.astype(np.float32) - other) ** 2, dtype=np.float64)
    return round(float(10 * np.log10(255**2 / error)), 2) if error else None


def write_all(
    picture: np.ndarray, types: list[str], levels: list[int], folder: Path, seed: int
) -> list[dict]:
    """Write every version and the sheet; return a row for each version.

    What a version draws follows from the seed, its type and its level alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, thumbs = [], []
    for name in types:
        for level in levels:
            rng = np.random.default_rng(int(digest([seed, name, level])[:16], 16))
            result = distort(picture, name, level, rng)
            file = folder / f"{name}-{level}.png"
            Image.fromarray(result).save(file)
            rows.append(
                {
                    "type": name,
                    "number": DISTORTIONS[name].number,
                    "level": level,
                    "parameter": DISTORTIONS[name].parameters[level],
                    "psnr": psnr(picture, result),
                    "file": str(file),
                }
            )
            thumbs.append(_thumb(result))
    _sheet(rows, thumbs, len(levels)).save(folder / SHEET)
    return rows


def _thumb(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((_THUMB, _THUMB), Image.Resampling.LANCZOS)
    return image


def _sheet(rows: list[dict], thumbs: list[Image.Image], n_columns: int) -> Image.Image:
    """A row for each type, a column for each level."""
    width, height = thumbs[0].size[0] + 6, thumbs[0].size[1] + _LABEL
    n_rows = len(rows) // n_columns
    sheet = Image.new("RGB", (n_columns * max(width, 190), n_rows * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for index, (row, thumb) in enumerate(zip(rows, thumbs, strict=True)):
        left, top = index % n_columns * max(width, 190) + 3, index // n_columns * height
        sheet.paste(thumb, (left, top))
        lines = f"{row['type']} {row['level']}\n{row['parameter']:g}, {as_db(row['psnr'])}"
        draw.text((left, top + thumb.size[1] + 2), lines, "black", font, spacing=1)
    return sheet


def as_db(value: float | None) -> str:
    """Return a PSNR as people read it."""
    return "no change" if value is None else f"{value:.1f} dB"


def as_table(rows: list[dict]) -> str:
    """Return a line for each type: its PSNR at every level."""
    levels = sorted({row["level"] for row in rows})
    lines = ["  #  type                   " + "".join(f"  level {level}" for level in levels)]
    for name in dict.fromkeys(row["type"] for row in rows):
        own = [row for row in rows if row["type"] == name]
        cells = ["same" if row["psnr"] is None else f"{row['psnr']:.1f}" for row in own]
        lines.append(f" {own[0]['number']:2}  {name:23}" + "".join(f"{c:>9}" for c in cells))
    return "\n".join(lines)


def as_list() -> str:
    """Return the bank: number, name, what it does, and its parameter at each level."""
    lines = ["  #  type                    what it is          parameter at level 0 to 4"]
    lines += [
        f" {one.number:2}  {one.name:23} {one.label:18}  "
        + " ".join(f"{value:g}" for value in one.parameters)
        for one in DISTORTIONS.values()
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Parse, distort, print."""
    options = cli.parser(__doc__, EXAMPLES)
    add = options.add_argument
    add("picture", nargs="?", metavar="PICTURE", help="any that Pillow reads; as `extract` sees it")
    add("--type", nargs="+", default=["all"], metavar="NAME", help="types (default all)")
    add(
        "--level",
        nargs="+",
        type=_level,
        default=list(range(N_LEVELS)),
        metavar="N",
        help="levels, 0 to 4 (default all)",
    )
    add("-o", "--out", metavar="DIR", help=f"folder for the pictures and {SHEET}")
    add("--seed", type=cli.natural, default=0, help="of all that is drawn (default 0)")
    add("--list", action="store_true", help="print the bank and its parameters")
    add("--json", action="store_true", help="print JSON")
    chosen = options.parse_args(argv)
    if chosen.list:
        print(as_list())
        return 0
    types, levels = types_of(chosen.type), sorted(set(chosen.level))
    if not chosen.picture or not chosen.out:
        raise UsageError("expected a picture and -o DIR: see --help for examples")
    path, folder = expand(chosen.picture), expand(chosen.out)
    picture, _ = read_picture(path, MAX_MEGAPIXELS)
    if isinstance(picture, str):
        raise InputError(f"{path}: {picture}")
    rows = write_all(picture, types, levels, folder, chosen.seed)
    if chosen.json:
        cli.print_json({"pictures": rows, "sheet": str(folder / SHEET)})
    else:
        print(as_table(rows))
        print(f"{len(rows)} pictures in {folder}; look at {folder / SHEET}")
    return 0


def _level(text: str) -> int:
    if text not in map(str, range(N_LEVELS)):
        raise argparse.ArgumentTypeError(f"expected 0 to {N_LEVELS - 1}, got {text!r}")
    return int(text)


if __name__ == "__main__":
    cli.run(main)
