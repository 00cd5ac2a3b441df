"""Picture files to pixels. Pillow's pixels are the truth.

What people rated is what they saw: EXIF orientation is applied, an animation is its first frame,
transparency lies on white, 16-bit grey is scaled to 8. ICC profiles are ignored, as every published
encoder does. `DECODING` names this policy in the cache key.

Layout everywhere: (height, width, 3) uint8, RGB, 0..255.
"""

import functools
import io
import threading
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from features import jpeg
from features.files import sha256
from features.remote import reason_of
from features.sources import FileFacts, Source, opened, read
from features.sources import facts as file_facts

DECODING = "pillow: exif orientation, first frame, alpha on white, 16-bit / 257, icc ignored; 1"
MAX_MEGAPIXELS = 200.0
# MPO is what many telephones write and call .jpg.
FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")

# EXIF's orientation to what puts it upright. Not ImageOps.exif_transpose: that writes the other
# tags anew, and fails where one of them is malformed.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_TURNED = (5, 6, 7, 8)
_TIFF_SIZE = (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength)

# Pillow's own limit is one number for the whole process; ours is an argument. The lock keeps the
# moment short in which Pillow's is lifted, and lets several threads decode.
_opening = threading.Lock()


class UnreadablePicture(Exception):
    """This picture gives no pixels; the message is the reason, fit for a row of a table."""


def read_picture(
    path: Source, max_megapixels: float = MAX_MEGAPIXELS
) -> tuple[np.ndarray | str, FileFacts]:
    """Read and decode one file, never raising for what the file holds.

    Parameters
    ----------
    path : a file, or another source of `features.sources`

    Returns
    -------
    pixels : (height, width, 3) uint8, or the reason why there are none
    facts : size, time and SHA-256 of the very bytes that were decoded
    """
    facts = file_facts(path)
    try:
        data = read(path)
    except OSError as error:
        return f"cannot be opened: {reason_of(error)}", facts
    facts = FileFacts(facts.size, facts.mtime_ns, sha256(data))
    try:
        return decode(data, max_megapixels), facts
    except UnreadablePicture as error:
        return str(error), facts


def decode(data: bytes, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Decode the bytes of a picture file to (height, width, 3) uint8 RGB.

    Raises
    ------
    UnreadablePicture
        Empty, truncated or foreign bytes; more than `max_megapixels`; pixels without a known range.
    """
    if not data:
        raise UnreadablePicture("the file is empty")
    try:
        with open_picture(data) as picture:
            megapixels = picture.width * picture.height / 1e6
            if megapixels > max_megapixels:
                raise UnreadablePicture(
                    f"{picture.width}x{picture.height} is {megapixels:.0f} megapixels, over "
                    f"the limit of {max_megapixels:g}"
                )
            pixels = jpeg.decoded(data, picture)
            if pixels is not None:
                turn = _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation))
                if turn is None:
                    return pixels
                return np.asarray(Image.fromarray(pixels).transpose(turn))
            picture.seek(0)
            return np.asarray(upright_rgb(picture))
    except (UnreadablePicture, KeyboardInterrupt):
        raise
    except MemoryError:
        raise UnreadablePicture("not enough memory to decode it") from None
    except UnidentifiedImageError:
        raise UnreadablePicture("no picture in a format that Pillow knows") from None
    except Exception as error:  # a decoder may raise anything on bytes that no one foresaw
        raise UnreadablePicture(f"cannot be decoded: {error}") from error


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return the formats that are read; none of them runs a program, as EPS would."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def open_picture(data: bytes | BinaryIO) -> Image.Image:
    """Read the header of a picture file, whatever its size; the pixels come later."""
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    with _opening:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=_formats())
        finally:
            Image.MAX_IMAGE_PIXELS = before


def upright_size(path: Source) -> tuple[int, int]:
    """Return width and height of a picture as it is seen, from its header: nothing is decoded.

    What `decode` gives is as large, but for a PNG that states an orientation behind its pixels.

    Raises
    ------
    UnreadablePicture
        When there is no header that can be read. One that can promises nothing of the pixels.
    """
    try:
        with opened(path) as file:
            file.read(1 << 16)  # the disk is waited for here, not where threads queue
            file.seek(0)
            with open_picture(file) as picture:
                width, height = picture.size
                if hasattr(picture, "tag_v2"):  # TIFF: some versions of Pillow have turned these
                    width, height = (picture.tag_v2[tag] for tag in _TIFF_SIZE)
                # not a PNG's own method: that decodes, to find a tag behind the pixels
                orientation = Image.Image.getexif(picture).get(ExifTags.Base.Orientation)
    except OSError as error:  # UnidentifiedImageError, too
        raise UnreadablePicture(f"cannot be opened: {reason_of(error)}") from error
    except Exception as error:  # see decode
        raise UnreadablePicture(f"has no header that can be read: {error}") from error
    return (height, width) if orientation in _TURNED else (width, height)


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture as it is seen: turned upright, 16 bits as 8, transparency on white."""
    picture.load()
    orientation = picture.getexif().get(ExifTags.Base.Orientation)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    if picture.mode == "F":
        raise UnreadablePicture("floating-point pixels have no defined range")
    if picture.mode.startswith("I"):  # I;16, I;16B, and I, which older Pillow gives for 16-bit PNG
        values = np.asarray(picture, dtype=np.int64)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise UnreadablePicture("32-bit pixels have no defined range")
        # 65535 / 255 = 257 exactly, so black and white stay black and white.
        picture = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")
