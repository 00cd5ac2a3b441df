"""Picture files of every kind to upright 8-bit RGB, and plain reasons for what is none."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from conftest import picture
from PIL import Image, ImageOps

from features.decode import FileFacts, UnreadablePicture, decode, read_picture, upright_size
from features.sources import Member, Refused
from features.tars import archive_of

RGB = picture(3, 24, 16)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encoded(image, kind="PNG", **options) -> bytes:
    """The bytes of a file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(values: np.ndarray) -> np.ndarray:
    """A grey picture as RGB."""
    return np.repeat(values[:, :, None], 3, axis=2)


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What transparency over white gives, in exact arithmetic."""
    share = alpha[:, :, None] / 255
    return colour * share + 255 * (1 - share)


def animation(kind: str) -> bytes:
    """Two frames, of which the first is plain red."""
    frames = [Image.new("RGB", (12, 9), colour) for colour in ("red", "blue")]
    return encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], duration=50, lossless=True
    )


def png_header(width: int, height: int, depth: int) -> bytes:
    """A grey PNG of any size, whose pixels are missing: the header is all that its size costs."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def palette() -> Image.Image:
    """Four colours, each in a quarter of the picture."""
    image = Image.new("P", (4, 4))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30])
    image.putdata([index // 4 for index in range(16)])
    return image


PALETTE_RGB = np.repeat(
    np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]], np.uint8)[:, None], 4, axis=1
)
PALETTE_WHITE = np.where(np.arange(4)[:, None, None] == 1, 255, PALETTE_RGB).astype(np.uint8)
BITS = RAMP % 3 == 0
SIXTEEN = np.array([[0, 257, 257 * 100, 65535], [128, 129, 65535 - 129, 65535 - 128]], np.uint16)
SIXTEEN_RGB = grey(np.array([[0, 1, 100, 255], [0, 1, 254, 255]], np.uint8))
RED = np.full((9, 12, 3), (255, 0, 0), np.uint8)

EXACT = {
    "rgb png": (encoded(Image.fromarray(RGB)), RGB),
    "rgb bmp": (encoded(Image.fromarray(RGB), "BMP"), RGB),
    "rgb tiff": (encoded(Image.fromarray(RGB), "TIFF"), RGB),
    "rgb webp": (encoded(Image.fromarray(RGB), "WEBP", lossless=True), RGB),
    "grey": (encoded(Image.fromarray(RAMP)), grey(RAMP)),
    "1-bit": (encoded(Image.fromarray(BITS)), grey(BITS * np.uint8(255))),
    "palette": (encoded(palette()), PALETTE_RGB),
    "palette, one colour transparent": (encoded(palette(), transparency=1), PALETTE_WHITE),
    "palette, an alpha for each colour": (
        encoded(palette(), transparency=bytes([255, 0, 255, 255])),
        PALETTE_WHITE,
    ),
    "rgb, one colour transparent": (
        encoded(palette().convert("RGB"), transparency=(0, 255, 0)),
        PALETTE_WHITE,
    ),
    "gif with transparency": (encoded(palette(), "GIF", transparency=1), PALETTE_WHITE),
    "16-bit png": (encoded(Image.fromarray(SIXTEEN)), SIXTEEN_RGB),
    "16-bit tiff": (encoded(Image.fromarray(SIXTEEN), "TIFF"), SIXTEEN_RGB),
    "32-bit tiff that holds 16 bits": (
        encoded(Image.fromarray(SIXTEEN.astype(np.int32)), "TIFF"),
        SIXTEEN_RGB,
    ),
    "animated gif": (animation("GIF"), RED),
    "animated png": (animation("PNG"), RED),
    "animated webp": (animation("WEBP"), RED),
    "1x1": (encoded(Image.new("RGB", (1, 1), (7, 8, 9))), np.array([[[7, 8, 9]]], np.uint8)),
}


@pytest.mark.parametrize("kind", EXACT)
def test_pixels_are_exact(kind):
    """Kinds without loss give the very pixels that were written."""
    data, expected = EXACT[kind]
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("k", [0, 1, 2, 77, 254, 255])
def test_16_bit_is_divided_by_257(k):
    """257 k is exactly k."""
    values = np.full((3, 5), 257 * k, np.uint16)
    assert (decode(encoded(Image.fromarray(values))) == k).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode):
    """Half-transparent pixels mix with white, up to rounding."""
    alpha = np.resize(np.arange(0, 256, 5, dtype=np.uint8), (16, 16))
    colour = RAMP[::-1] if mode == "LA" else np.stack([RAMP, RAMP.T, RAMP[::-1]], axis=2)
    image = Image.merge(
        mode, [*Image.fromarray(np.ascontiguousarray(colour)).split(), Image.fromarray(alpha)]
    )
    expected = on_white(grey(colour) if mode == "LA" else colour, alpha)
    assert np.abs(decode(encoded(image)) - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    """Every orientation gives what Pillow's own ImageOps gives."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(RGB), exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert expected.shape[:2] == ((16, 24) if orientation < 5 else (24, 16))
    np.testing.assert_array_equal(decode(data), expected)


def test_exif_orientation_of_a_jpeg_and_a_tiff():
    """A picture stored on its side stands upright, whatever the format."""
    tall = np.zeros((40, 16, 3), np.uint8)
    tall[:20] = 255
    lying = Image.fromarray(np.rot90(tall).copy())
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "TIFF"):
        pixels = decode(encoded(lying, kind, exif=exif)).astype(int)
        assert np.abs(pixels - tall).max() <= 3


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_unknown_orientation_is_left(value):
    """A value that means nothing turns nothing."""
    exif = Image.Exif()
    exif[0x0112] = value
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(RGB), exif=exif)), RGB)


@pytest.mark.parametrize("tag", [0x0100, 0x010E, 0x011A, 0x0132])
@pytest.mark.parametrize("kind", [1, 2, 5, 7, 12])
def test_malformed_exif_costs_no_picture(tag, kind):
    """A tag of a type that is not its own hides neither the pixels nor the orientation."""
    entries = [struct.pack("<HHII", tag, kind, 1, 20), struct.pack("<HHII", 0x0112, 3, 1, 6)]
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + bytes(12)
    pixels = decode(encoded(Image.fromarray(RGB), "JPEG", exif=exif))
    stored = decode(encoded(Image.fromarray(RGB), "JPEG"))
    np.testing.assert_array_equal(pixels, np.rot90(stored, -1))


def test_cmyk_is_converted():
    """Ink without black: red is what cyan leaves over."""
    ink = Image.merge(
        "CMYK", [Image.fromarray(RGB[:, :, i]) for i in range(3)] + [Image.new("L", (24, 16))]
    )
    np.testing.assert_array_equal(decode(encoded(ink, "TIFF")), 255 - RGB)


def test_jpeg_is_as_pillow_decodes_it():
    """The pixels of a JPEG are Pillow's."""
    data = encoded(Image.fromarray(RGB), "JPEG", quality=80)
    np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data))))


def test_icc_profile_changes_nothing():
    """A profile is ignored, even one that no one can read."""
    data = encoded(Image.fromarray(RGB), icc_profile=b"no profile at all")
    np.testing.assert_array_equal(decode(data), RGB)


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
REFUSED = {
    "empty": (b"", "is empty"),
    "html": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "no picture in a format"),
    "random": (np.random.default_rng(0).bytes(5000), "no picture in a format"),
    "half a jpeg": (encoded(Image.fromarray(NOISE), "JPEG")[:2000], "truncated"),
    "half a png": (encoded(Image.fromarray(NOISE))[:6000], "cannot be decoded"),
    "png without its pixels": (png_header(64, 64, 8), "cannot be decoded"),
    "float tiff": (
        encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
        "floating-point pixels have no defined range",
    ),
    "32-bit tiff": (
        encoded(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"),
        "32-bit pixels have no defined range",
    ),
    "negative tiff": (
        encoded(Image.fromarray(np.full((4, 4), -1, np.int32)), "TIFF"),
        "32-bit pixels have no defined range",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_a_reason(kind):
    """What gives no pixels says why, in words that are the same every time."""
    data, reason = REFUSED[kind]
    with pytest.raises(UnreadablePicture, match=reason) as first:
        decode(data)
    with pytest.raises(UnreadablePicture) as second:
        decode(data)
    assert str(first.value) == str(second.value)
    assert "0x" not in str(first.value) and "\n" not in str(first.value)


def test_300_megapixels_are_refused_before_they_are_decoded():
    """The limit is named."""
    data = encoded(Image.new("1", (20000, 15000)))
    with pytest.raises(UnreadablePicture, match=r"20000x15000 is 300 megapixels.*limit of 200"):
        decode(data)


def test_pillow_s_own_limit_is_left_as_it_was(monkeypatch):
    """It stops no picture of ours, and whoever set it finds it again, errors or not."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(RGB))), RGB)
    for data, limit in ((b"<html>", 1), (encoded(Image.fromarray(RGB)), 0)):
        with pytest.raises(UnreadablePicture):
            decode(data, limit)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_the_limit_is_an_argument():
    """A picture of exactly the limit is let in, one of a pixel more is not."""
    data = encoded(Image.new("L", (1000, 1000)))
    assert decode(data, max_megapixels=1).shape == (1000, 1000, 3)
    with pytest.raises(UnreadablePicture, match="over the limit of 0.999"):
        decode(data, max_megapixels=0.999)


def test_pillow_s_limit_does_not_apply():
    """190 megapixels, over Pillow's own limit, get as far as the pixels, which are missing here."""
    with pytest.raises(UnreadablePicture) as error:
        decode(png_header(19000, 10000, 1))
    assert "megapixels" not in str(error.value) and "bomb" not in str(error.value)


def test_read_picture_gives_pixels_and_facts(tmp_path):
    """Size, time and SHA-256 are those of the bytes decoded."""
    path = tmp_path / "bild ü 图.png"
    path.write_bytes(encoded(Image.fromarray(RGB)))
    pixels, facts = read_picture(path)
    np.testing.assert_array_equal(pixels, RGB)
    state = path.stat()
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts == FileFacts(state.st_size, state.st_mtime_ns, expected)


def test_read_picture_never_raises(tmp_path):
    """A missing file, a folder and foreign bytes are each a reason."""
    assert read_picture(tmp_path / "none.png") == (
        "cannot be opened: No such file or directory",
        FileFacts(0, 0),
    )
    (tmp_path / "folder.png").mkdir()
    reason, _ = read_picture(tmp_path / "folder.png")
    assert reason == "cannot be opened: Is a directory"
    (tmp_path / "page.png").write_bytes(b"<html>")
    reason, facts = read_picture(tmp_path / "page.png")
    assert "no picture" in reason
    assert facts.sha256 == hashlib.sha256(b"<html>").hexdigest()


def test_read_picture_takes_any_source(tmp_path):
    """A member of a tar has the pixels and the digest of the file, and the time of the tar."""
    data = encoded(Image.fromarray(RGB))
    (tmp_path / "x.tar").write_bytes(bytes(100) + data + bytes(100))
    member = Member(archive_of(str(tmp_path / "x.tar")), "a.png", 100, len(data))
    pixels, facts = read_picture(member)
    np.testing.assert_array_equal(pixels, RGB)
    time = (tmp_path / "x.tar").stat().st_mtime_ns
    assert facts == FileFacts(len(data), time, hashlib.sha256(data).hexdigest())
    assert upright_size(member) == (24, 16)
    assert read_picture(Refused("a.png", "it is a link")) == (
        "cannot be opened: it is a link",
        FileFacts(0, 0),
    )


def test_read_picture_obeys_the_limit(tmp_path):
    """The limit reaches the decoder."""
    Image.new("L", (100, 100)).save(tmp_path / "a.png")
    reason, _ = read_picture(tmp_path / "a.png", max_megapixels=0.005)
    assert "over the limit of 0.005" in reason


# --- the size alone


@pytest.mark.parametrize("kind", EXACT)
def test_size_is_that_of_the_pixels(tmp_path, kind):
    """Width and height from the header are those of what is decoded."""
    data, pixels = EXACT[kind]
    (tmp_path / "x").write_bytes(data)
    assert upright_size(tmp_path / "x") == pixels.shape[1::-1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_upright(tmp_path, kind, orientation):
    """A picture on its side is as wide as what is decoded, whatever the format."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(RGB), kind, exif=exif)
    (tmp_path / "x").write_bytes(data)
    assert upright_size(tmp_path / "x") == decode(data).shape[1::-1]
    assert upright_size(tmp_path / "x") == ((24, 16) if orientation < 5 else (16, 24))


def test_size_needs_no_pixels(tmp_path, monkeypatch):
    """A header of any size is read where decoding it would be refused, and nothing is decoded."""
    (tmp_path / "huge.png").write_bytes(png_header(60_000, 50_000, 8))
    whole = encoded(Image.fromarray(RGB))
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])

    def load(self):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    monkeypatch.setattr("PIL.Image.Image.load", load)
    limit = Image.MAX_IMAGE_PIXELS
    assert upright_size(tmp_path / "huge.png") == (60_000, 50_000)
    assert upright_size(tmp_path / "cut.png") == (24, 16)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_no_size(tmp_path):
    """What is no picture, empty or absent has a reason."""
    (tmp_path / "text").write_bytes(b"<html>not found</html>")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("text", "empty", "absent"):
        with pytest.raises(UnreadablePicture, match=r"cannot be opened"):
            upright_size(tmp_path / name)
