"""Small versions of pictures that fit into a page."""

import base64
import io
from typing import NamedTuple

from PIL import Image

from features.decode import MAX_MEGAPIXELS, read_picture
from features.sources import Source

SIDE = 160  # pixels of the longer side
_QUALITY = 72


class Thumbnail(NamedTuple):
    """`uri` is the picture itself as a data: address; empty where `reason` says why."""

    uri: str
    reason: str = ""


def thumbnail(
    source: Source, side: int = SIDE, max_megapixels: float = MAX_MEGAPIXELS
) -> Thumbnail:
    """Return a small version of a picture, upright and in its proportions."""
    pixels, _ = read_picture(source, max_megapixels)
    if isinstance(pixels, str):
        return Thumbnail("", pixels)
    small = Image.fromarray(pixels)
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return Thumbnail(uri("image/jpeg", buffer.getvalue()))


def uri(kind: str, data: bytes) -> str:
    """Return data as an address that a page can carry."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
