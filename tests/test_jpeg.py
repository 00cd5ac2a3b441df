"""Pixels of JPEG files are Pillow's, whatever decodes them."""

import io

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from features import jpeg
from features.decode import UnreadablePicture, decode


@pytest.fixture
def turbo(monkeypatch):
    """The library is there, and agrees with Pillow; counts how often it is called."""
    pytest.importorskip("simplejpeg", reason="the extra cpu installs it")
    whole, calls = jpeg._decoder(), []
    assert whole is not None
    monkeypatch.setattr(jpeg, "_decoder", lambda: lambda data: calls.append(1) or whole(data))
    return calls


def encoded(mode: str = "RGB", seed: int = 0, size: tuple[int, int] = (97, 61), **options) -> bytes:
    """A JPEG file of a seeded picture."""
    file = io.BytesIO()
    Image.fromarray(picture(seed, *size)).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def pillow(data: bytes) -> np.ndarray:
    """What Pillow makes of it."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_are_equal(turbo, mode, progressive, subsampling):
    """Every kind of chroma, grey, progressive, odd sizes, all qualities."""
    kinds = {"subsampling": subsampling} if mode == "RGB" else {}
    for seed, size in enumerate([(97, 61), (16, 16), (1, 1), (200, 3), (64, 48)]):
        for quality in (20, 75, 100):
            data = encoded(mode, seed, size, quality=quality, progressive=progressive, **kinds)
            np.testing.assert_array_equal(decode(data), pillow(data))
    assert len(turbo) == 15


def test_what_pillow_alone_decodes(turbo):
    """CMYK, and what is no JPEG."""
    for data in (encoded("CMYK"),):
        np.testing.assert_array_equal(decode(data), pillow(data))
    file = io.BytesIO()
    Image.fromarray(picture(0)).save(file, "PNG")
    np.testing.assert_array_equal(decode(file.getvalue()), picture(0))
    assert not turbo


def test_orientation_is_applied(turbo):
    """The pixels are turned as EXIF says, like those of Pillow."""
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(exif=exif.tobytes())
        turned = decode(data)
        plain = pillow(data)
        assert turned.shape == (plain.shape if orientation < 5 else plain.transpose(1, 0, 2).shape)
        assert turned.flags.c_contiguous or turned.base is not None
        # the corner that EXIF calls the top left of the stored picture
        corners = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0)}
        if orientation in corners:
            np.testing.assert_array_equal(turned[0, 0], plain[corners[orientation]])
    assert len(turbo) == 8


def test_damage_is_said_in_pillow_s_words(turbo, monkeypatch):
    """A truncated file is refused for the same reason with and without the library."""
    data = encoded(quality=95)[:-400]
    with pytest.raises(UnreadablePicture) as here:
        decode(data)
    monkeypatch.setattr(jpeg, "_decoder", lambda: None)
    with pytest.raises(UnreadablePicture) as there:
        decode(data)
    assert str(here.value) == str(there.value)


def test_a_library_that_differs_is_not_used(monkeypatch):
    """One level is enough."""
    simplejpeg = pytest.importorskip("simplejpeg", reason="the extra cpu installs it")
    whole = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *a, **k: whole(*a, **k) ^ 1)
    assert jpeg._decoder.__wrapped__() is None
