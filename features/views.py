"""Views: the pictures that a network sees of one picture. All resizing is Pillow's."""

import hashlib
import math

import numpy as np
from PIL import Image

# Resizing a picture that is longer than this many times its short side would make one of unbounded
# length, only to throw all but its middle away.
_LONGEST = 64


def scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    """Resize with Pillow's bicubic filter to (int(w * scale), int(h * scale)).

    At 0.5 this is the half-size view of Re-IQA, (w // 2, h // 2).

    Parameters
    ----------
    picture : (height, width, 3) uint8
    scale : in (0, 1]; 1 returns the picture itself
    """
    if scale == 1:
        return picture
    height, width = picture.shape[:2]
    size = int(width * scale), int(height * scale)
    if min(size) < 1:
        raise ValueError(f"a {width}x{height} picture has no pixel left at scale {scale:g}")
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def smallest_side(scales: tuple[float, ...]) -> int:
    """Return the smallest side, in pixels, that keeps a pixel at every scale."""
    side = 1
    while int(side * min(scales)) < 1:
        side += 1
    return side


def window(
    picture: np.ndarray,
    top: int,
    left: int,
    height: int,
    width: int,
    fill: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Return (height, width, 3) from that place on; what lies outside of the picture is `fill`."""
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = fill
    part = picture[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    y, x = max(-top, 0), max(-left, 0)
    canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
    return canvas


def central_start(side: int, length: int) -> int:
    """Return where the middle `length` pixels of a side begin; below 0 where it is shorter.

    These are torchvision's places: half a pixel goes to the even number, an odd pixel of padding to
    the end.
    """
    return round((side - length) / 2) if side >= length else -((length - side) // 2)


def centred(
    picture: np.ndarray, height: int, width: int, fill: tuple[int, int, int] = (0, 0, 0)
) -> np.ndarray:
    """Crop the middle; a side that is too short is padded at both ends (torchvision's CenterCrop).

    Parameters
    ----------
    picture : (h, w, 3) uint8
    height, width : of the crop
    fill : colour of the padding; torchvision's is black
    """
    top, left = central_start(picture.shape[0], height), central_start(picture.shape[1], width)
    return window(picture, top, left, height, width, fill)


def resized(picture: np.ndarray, height: int, width: int, resample: str) -> np.ndarray:
    """Resize with one of Pillow's filters, such as "bicubic"."""
    filter_ = Image.Resampling[resample.upper()]
    return np.asarray(Image.fromarray(picture).resize((width, height), filter_))


def trimmed(picture: np.ndarray) -> np.ndarray:
    """Return the middle of a picture that is more than 64 times as long as wide."""
    limit = _LONGEST * min(picture.shape[:2])
    if max(picture.shape[:2]) <= limit:
        return picture
    return centred(picture, *(min(n, limit) for n in picture.shape[:2]))


def with_short_side(picture: np.ndarray, short: int, resample: str) -> np.ndarray:
    """Resize to a short side of `short` pixels, the other in proportion and rounded down."""
    picture = trimmed(picture)
    height, width = (int(short * n / min(picture.shape[:2])) for n in picture.shape[:2])
    return resized(picture, height, width, resample)


def resized_centre(picture: np.ndarray, short: int, crop: int, resample: str) -> np.ndarray:
    """Resize to a short side of `short` and crop the middle (crop, crop, 3).

    The usual view of an ImageNet network, as torchvision's Resize and CenterCrop make it.
    """
    return centred(with_short_side(picture, short, resample), crop, crop)


def fitted(
    picture: np.ndarray,
    height: int,
    width: int,
    share: float,
    mode: str,
    resample: str,
    fill: tuple[int, int, int],
) -> np.ndarray:
    """Return the (height, width, 3) view of a network of timm, as its evaluation makes it.

    The picture is resized to the input's size / `share`, then its middle is cropped.

    Parameters
    ----------
    mode : "squash" changes the aspect ratio to the input's, "center" keeps it and fills the input,
        "border" keeps it and fits into the input
    fill : colour of the border
    """
    size = [math.floor(n / share) for n in (height, width)]
    if mode == "squash":
        whole = resized(picture, *size, resample)
    elif mode == "center" and size[0] == size[1]:
        whole = with_short_side(picture, size[0], resample)
    else:
        limit = max if mode == "border" else min
        picture = picture if mode == "border" else trimmed(picture)
        ratio = limit(n / target for n, target in zip(picture.shape, size, strict=False))
        whole = resized(picture, *(max(round(n / ratio), 1) for n in picture.shape[:2]), resample)
    return centred(whole, height, width, fill)


def fragments(picture: np.ndarray, grid: int, patch: int) -> np.ndarray:
    """Return a patch from a random place of every cell, side by side (FAST-VQA, UIQA).

    The places are a function of the picture alone: the same pixels always give the same view.

    Parameters
    ----------
    picture : (h, w, 3) uint8
    grid : cells along each side
    patch : side of a patch, in pixels
    """
    return fragments_at(picture, *fragment_offsets(picture, grid, patch), patch)


def fragment_offsets(picture: np.ndarray, grid: int, patch: int) -> np.ndarray:
    """Return the places of the patches inside their cells: (2, grid, grid), rows then columns.

    Uniform over the cell, short of its last place, as published. The raw stream of the generator is
    used, which NumPy keeps the same for ever.
    """
    height, width = picture.shape[:2]
    content = hashlib.sha256(f"{height}x{width} ".encode())
    content.update(np.ascontiguousarray(picture))
    raw = np.random.PCG64(int.from_bytes(content.digest(), "big")).random_raw((2, grid, grid))
    room = [max(side // grid - patch, 1) for side in (height, width)]
    return (raw % np.array(room, np.uint64)[:, None, None]).astype(np.int64)


def fragments_at(
    picture: np.ndarray, rows: np.ndarray, columns: np.ndarray, patch: int
) -> np.ndarray:
    """Return the patches at given places, side by side.

    A picture with a side under grid * patch is enlarged (bilinear, without rounding) until both
    sides have them. As in the published code, the cells of an enlarged picture are still those of
    its own size: its patches overlap, and its right and lower margin stays unseen. The published
    code stops at a side below `patch`; here all cells begin at 0 then.

    Parameters
    ----------
    picture : (h, w, 3) uint8
    rows, columns : (grid, grid) offsets inside the cells

    Returns
    -------
    (grid * patch, grid * patch, 3) uint8, or float32 in 0..255 where the picture was enlarged
    """
    grid = len(rows)
    side = grid * patch
    top, left = (
        np.clip(n // grid * np.arange(grid), 0, max(n - patch, 0)) for n in picture.shape[:2]
    )
    inside = np.arange(patch)
    # (cell row, patch row, cell column, patch column)
    y = (top[:, None] + rows)[:, None, :, None] + inside[:, None, None]
    x = (left[None, :] + columns)[:, None, :, None] + inside
    y, x = (np.broadcast_to(n, (grid, patch, grid, patch)).reshape(side, side) for n in (y, x))
    ratio = min(picture.shape[:2]) / side
    if ratio >= 1:
        return picture[y, x]
    return _bilinear(picture, (y + 0.5) * ratio - 0.5, (x + 0.5) * ratio - 0.5)


def _bilinear(picture: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the picture at fractional places, as float32; beyond its edge, its edge."""
    floors, shares = [], []
    for place, n in ((y, picture.shape[0]), (x, picture.shape[1])):
        place = np.clip(place, 0, n - 1)
        first = np.minimum(place.astype(np.int64), max(n - 2, 0))
        floors.append((first, np.minimum(first + 1, n - 1)))
        shares.append((place - first)[..., None])
    (y0, y1), (x0, x1) = floors
    dy, dx = shares
    upper = picture[y0, x0] * (1 - dx) + picture[y0, x1] * dx
    lower = picture[y1, x0] * (1 - dx) + picture[y1, x1] * dx
    return (upper * (1 - dy) + lower * dy).astype(np.float32)
