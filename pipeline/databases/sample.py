"""The embedded sample: a smoke test that needs no download.

Eight photographs that installed packages carry, cut to at most 512x384, distorted by twelve types
at five levels. The scores are those of a full-reference metric (VSI, Zhang, Shen, Li, IEEE TIP
2014, as the package piq computes it) against the undistorted photograph, spread over 0..100. They
are not opinions of people, and eight photographs prove nothing; they show that everything runs.
"""

import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from features.errors import InputError, UsageError
from features.files import locked, read_json, write_atomic, write_json
from features.progress import progress
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_table
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

WIDTH, HEIGHT = 512, 384
TYPES = (
    "imblurgauss",
    "imblurlens",
    "imcolorsaturate",
    "imcompressjpeg",
    "imnoisegauss",
    "imnoiseimpulse",
    "imnoisemultiplicative",
    "imresizedist",
    "imcolorblock",
    "impixelate",
    "imnoneccentricity",
    "imblurmotion",
)
NOTE = (
    "sample: these scores are a metric's (VSI), not people's, and eight photographs prove nothing: "
    "a smoke test"
)
# VSI of real distortions lies in its upper part; this puts them over 0..100.
VSI_WORST = 0.85
VERSION = 2  # raised when a picture or a score of the sample changes
_LICENCES = """\
astronaut.png        NASA, public domain (scikit-image)
chelsea.png          Stefan van der Walt, CC0 (scikit-image)
coffee.png           Rachel Michetti, CC0 (scikit-image)
motorcycle_left.png  Middlebury 2014 stereo set, Scharstein et al. (scikit-image)
rocket.jpg           SpaceX, CC0 (scikit-image)
china.jpg            danielbuechele, CC BY 2.0 (scikit-learn)
flower.jpg           vultilion, CC BY 2.0 (scikit-learn)
grace_hopper.jpg     US Navy, public domain (matplotlib)
Changes: cut, reduced in size, and distorted.
"""


def build_sample(root: Path) -> None:
    """Make the sample under `root` if it is not there."""
    if not _complete(root):
        _refuse_others(root)
        with locked(root.parent):
            if not _complete(root):  # another process may have built it meanwhile
                _build(root)


def read_sample(tree: Tree) -> Labels:
    """Return the sample's scores."""
    path = tree.label("scores.csv", title="the sample")
    table = read_table(path, "name", "mos", "group", "distortion", "level")
    for column in ("mos", "level"):
        table[column] = numbers(table[column], table["name"], column, path)
    table["level"] = table["level"].astype(int)
    return Labels(table, (path,))


def photographs() -> dict[str, np.ndarray]:
    """Return the photographs by name, (height, width, 3) uint8, at most 512x384 each.

    Raises
    ------
    InputError
        When a package that carries some of them is not installed.
    """
    try:
        import matplotlib
        import skimage
        import sklearn.datasets
    except ImportError as error:
        raise InputError(
            f"the sample needs the package {error.name}: pip install 'meanopinion[lite]'"
        ) from error
    skimage_data = Path(skimage.__file__).parent / "data"
    files = {
        "astronaut": skimage_data / "astronaut.png",
        "chelsea": skimage_data / "chelsea.png",
        "coffee": skimage_data / "coffee.png",
        "motorcycle": skimage_data / "motorcycle_left.png",
        "rocket": skimage_data / "rocket.jpg",
        "china": Path(sklearn.datasets.__file__).parent / "images" / "china.jpg",
        "flower": Path(sklearn.datasets.__file__).parent / "images" / "flower.jpg",
        "grace_hopper": Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    }
    absent = [str(path) for path in files.values() if not path.is_file()]
    if absent:
        raise InputError(
            f"the sample needs the photograph {absent[0]}, which this version of the package does "
            "not carry: pip install --upgrade 'meanopinion[lite]'"
        )
    return {name: _cut(Image.open(path).convert("RGB")) for name, path in files.items()}


def _cut(picture: Image.Image) -> np.ndarray:
    """Reduce a picture to cover 512x384, then cut the middle; a smaller one is only cut."""
    scale = max(WIDTH / picture.width, HEIGHT / picture.height)
    if scale < 1:
        size = round(picture.width * scale), round(picture.height * scale)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    width, height = min(WIDTH, picture.width), min(HEIGHT, picture.height)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return np.asarray(picture.crop((left, top, left + width, top + height)))


def distorted() -> Iterator[tuple[str, str, str, int, np.ndarray, np.ndarray]]:
    """Yield (name, photograph, type, level 1..5, reference, distorted), always the same."""
    from features.distortions import DISTORTIONS, distort

    for photograph, reference in photographs().items():
        for kind in TYPES:
            for level in range(len(DISTORTIONS[kind].parameters)):
                name = f"{photograph}/{kind}_{level + 1}.png"
                rng = np.random.default_rng([VERSION, zlib.crc32(name.encode())])
                picture = distort(reference, kind, level, rng)
                yield name, photograph, kind, level + 1, reference, picture


def _build(root: Path) -> None:
    """Write pictures and scores beside `root`, then move them into place."""
    try:
        import piq
        import torch
    except ImportError as error:
        raise InputError(
            f"the sample needs the package {error.name}: pip install 'meanopinion[lite]'"
        ) from error

    def tensor(picture: np.ndarray) -> "torch.Tensor":
        return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255

    aside = root.with_name(f".{root.name}.building")
    shutil.rmtree(aside, ignore_errors=True)
    rows = []
    try:
        aside.mkdir(parents=True)
        total = len(photographs()) * len(TYPES) * 5
        bar = progress(total, "build sample")
        for name, photograph, kind, level, reference, picture in distorted():
            vsi = float(piq.vsi(tensor(picture), tensor(reference), data_range=1.0))
            mos = 100 * np.clip((vsi - VSI_WORST) / (1 - VSI_WORST), 0, 1)
            path = aside / name
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(path, compress_level=1)
            rows.append((name, round(float(mos), 4), photograph, kind, level))
            bar.update()
        bar.close()
        table = pd.DataFrame(rows, columns=["name", "mos", "group", "distortion", "level"])
        write_atomic(aside / "scores.csv", table.to_csv(index=False).encode())
        write_atomic(aside / "LICENCES.txt", _LICENCES.encode())
        write_json(aside / "sample.json", {"version": VERSION, "pictures": len(rows)})
        if root.exists():
            shutil.rmtree(root)
        aside.rename(root)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise InputError(
            f"cannot build the sample at {root} ({error.strerror or error}): about 150 MB are "
            "needed; make room or choose another place with --root"
        ) from error


def _refuse_others(root: Path) -> None:
    """Building replaces what lies at `root`, so that must be ours or nothing."""
    ours = (root / "sample.json").is_file() or not root.exists()
    if not ours and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(
            f"--root {root} holds other files, and the sample would be built there: for your own "
            f"pictures give --db {root}"
        )


def _complete(root: Path) -> bool:
    marker = root / "sample.json"
    return marker.is_file() and read_json(marker).get("version") == VERSION


SAMPLE = Known(
    "sample",
    "embedded smoke test: distorted photographs, scored by a metric and not by people",
    read_sample,
    n_pictures=480,
    n_groups=8,
    targets={"mos": Target(0, 100)},
    group_by="photograph",
    terms="public domain, CC0, CC BY 2.0: see its LICENCES.txt",
    note=NOTE,
    build=build_sample,
)
