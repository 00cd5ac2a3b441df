"""JPEG files for benchmarks: photographs brought to a size, or synthetic pictures where none are.

Every file has other pixels. Enlarged photographs get grain, since a smooth picture makes a JPEG
that is smaller, and faster to decode, than a camera's of that size.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
QUALITY = 92  # about what cameras write
GRAIN = 3.0  # standard deviation, of 255


def jpegs(folder: Path, sizes: Sequence[tuple[int, int]], seed: int = 0) -> tuple[list[Path], str]:
    """Write a JPEG of each size, (width, height); return their paths and what they show.

    Photographs are those of shared/data/pristine, inside the project or beside it.
    """
    folder.mkdir(parents=True)
    found = (home / "shared" / "data" / "pristine" for home in (ROOT, ROOT.parent))
    sources = sorted(path for home in found for path in home.rglob("*.png"))
    rng = np.random.default_rng(seed)
    paths = []
    for number, size in enumerate(sizes):
        paths.append(folder / f"{number:04}.jpg")
        if sources:
            picture = _photograph(sources[number % len(sources)], size, rng)
        else:
            picture = _synthetic(size, rng)
        picture.save(paths[-1], quality=QUALITY)
    bits = 8 * sum(path.stat().st_size for path in paths) / sum(w * h for w, h in sizes)
    kind = f"{len(sources)} photographs" if sources else "synthetic pictures"
    return paths, f"{kind}, JPEG quality {QUALITY}, {bits:.1f} bits a pixel"


def _photograph(path: Path, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return the middle of a photograph in that size, its longer side along the longer side."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    if (picture.width > picture.height) != (size[0] > size[1]):
        picture = picture.transpose(Image.Transpose.ROTATE_90)
    enlarged = size[0] > picture.width or size[1] > picture.height
    picture = ImageOps.fit(picture, size, Image.Resampling.BICUBIC)
    return _grainy(picture, rng) if enlarged else picture


def _synthetic(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return smooth patches of every size, whose contrast grows with their size, and grain."""
    width, height = size
    total = np.zeros((height, width, 3), np.float32)
    for cells in 2 ** np.arange(1, 8):
        coarse = rng.integers(0, 256, (cells, cells, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, np.float32) - 128) / cells
    return _grainy(Image.fromarray(np.clip(128 + total, 0, 255).astype(np.uint8)), rng)


def _grainy(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture, np.float32)
    grain = rng.standard_normal(pixels.shape, np.float32) * np.float32(GRAIN)
    return Image.fromarray(np.clip(np.rint(pixels + grain), 0, 255).astype(np.uint8))
