"""Views against torchvision's transforms, torch's interpolation, and their own definitions."""

import hashlib

import numpy as np
import pytest
from conftest import picture
from known import GOLDEN, reference_picture
from PIL import Image

from features.views import (
    centred,
    fragment_offsets,
    fragments,
    fragments_at,
    resized,
    resized_centre,
    scaled,
    trimmed,
    window,
    with_short_side,
)

# width, height: even and odd, small and long, on both sides of the crops below
SIZES = [(64, 48), (101, 33), (33, 101), (47, 47), (300, 201), (7, 300), (33, 1000), (1, 1)]


@pytest.fixture(scope="module")
def transforms():
    """torchvision's."""
    return pytest.importorskip("torchvision").transforms


def modes(transforms, name):
    """torchvision's name of a filter."""
    return transforms.InterpolationMode[name.upper()]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("short", "crop"), [(40, 36), (37, 37), (56, 51), (24, 36)])
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_resized_centre_is_torchvision_s(transforms, size, short, crop, resample):
    """Every pixel of Resize and CenterCrop, padding included."""
    one = picture(3, *size)
    theirs = transforms.Compose(
        [transforms.Resize(short, modes(transforms, resample)), transforms.CenterCrop(crop)]
    )(Image.fromarray(one))
    np.testing.assert_array_equal(resized_centre(one, short, crop, resample), np.asarray(theirs))


@pytest.mark.parametrize("size", SIZES)
def test_centred_is_torchvision_s(transforms, size):
    """Odd and even differences, too short in one direction or in both."""
    one = picture(4, *size)
    for height, width in ((32, 32), (33, 32), (32, 33), (47, 301), (480, 480)):
        theirs = transforms.CenterCrop((height, width))(Image.fromarray(one))
        np.testing.assert_array_equal(centred(one, height, width), np.asarray(theirs))


def test_the_padding_has_a_colour():
    """And only the padding."""
    one = picture(5, 10, 6)
    view = centred(one, 8, 13, (1, 2, 3))
    np.testing.assert_array_equal(view[1:7, 1:11], one)
    outside = np.ones((8, 13), bool)
    outside[1:7, 1:11] = False
    assert (view[outside] == (1, 2, 3)).all()


def test_a_window_may_lie_outside():
    """Wholly or in part; what is inside keeps its place."""
    one = picture(5, 10, 6)
    assert not window(one, 6, 0, 3, 3).any()
    assert not window(one, 0, -3, 3, 3).any()
    np.testing.assert_array_equal(window(one, -1, 8, 4, 4)[1:, :2], one[:3, 8:])


def test_resized_is_pillow_s():
    """(height, width) here, (width, height) there."""
    one = picture(6)
    theirs = Image.fromarray(one).resize((30, 20), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resized(one, 20, 30, "bicubic"), np.asarray(theirs))


def test_half_size_is_re_iqa_s():
    """Rounded down; the full size is the picture itself."""
    one = picture(6, 101, 33)
    theirs = Image.fromarray(one).resize((50, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(scaled(one, 0.5), np.asarray(theirs))
    assert scaled(one, 1) is one


def test_a_line_does_not_fill_the_memory():
    """Only the middle of a line of pixels is enlarged; 64 times the short side is still whole."""
    line = picture(7, 20_000, 1)
    assert with_short_side(line, 512, "bilinear").shape == (512, 512 * 64, 3)
    np.testing.assert_array_equal(trimmed(line), line[:, 9968:10032])
    whole = picture(7, 64, 1)
    assert trimmed(whole) is whole
    assert trimmed(picture(7, 1, 66)).shape == (64, 1, 3)


@pytest.fixture(scope="module")
def golden():
    """The fragment that the published code made, and its places."""
    numbers = np.load(GOLDEN / "uiqa.npz")
    places = [numbers[f"hubble_fragment_{axis}_offsets"] for axis in ("row", "col")]
    return numbers["hubble_fragment"].transpose(1, 2, 0), *places


def test_fragments_are_the_published_code(golden):
    """Every pixel, at the same places."""
    expected, rows, columns = golden
    ours = fragments_at(reference_picture("hubble_1000x872"), rows, columns, 32)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, expected)


def naive_fragments(one, rows, columns, patch):
    """The published definition with torch's own interpolation, patch by patch."""
    torch = pytest.importorskip("torch")
    grid = len(rows)
    height, width = one.shape[:2]
    ratio = min(height, width) / (grid * patch)
    large = torch.from_numpy(one.copy()).permute(2, 0, 1)[None].double()
    if ratio < 1:
        large = torch.nn.functional.interpolate(large, scale_factor=1 / ratio, mode="bilinear")
    view = np.zeros((grid * patch, grid * patch, 3))
    for i in range(grid):
        for j in range(grid):
            y = min(height // grid * i, height - patch) + rows[i, j]
            x = min(width // grid * j, width - patch) + columns[i, j]
            part = large[0, :, y : y + patch, x : x + patch].permute(1, 2, 0).numpy()
            view[i * patch : (i + 1) * patch, j * patch : (j + 1) * patch] = part
    return view


@pytest.mark.parametrize("size", [(480, 480), (600, 400), (208, 160), (33, 1000), (479, 481)])
def test_small_pictures_are_enlarged_as_published(size):
    """Bilinear without rounding; the cells are those of the picture before it was enlarged."""
    one = picture(8, *size)
    rows, columns = fragment_offsets(one, 15, 32)
    expected = naive_fragments(one, rows, columns, 32)
    ours = fragments_at(one, rows, columns, 32)
    assert ours.dtype == (np.uint8 if min(size) >= 480 else np.float32)
    np.testing.assert_allclose(ours, expected, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (31, 500), (7, 300)])
def test_fragments_of_tiny_pictures(size):
    """Below one patch the published code stops; here the whole view comes from the picture."""
    one = picture(9, *size)
    view = fragments(one, 15, 32)
    assert view.shape == (480, 480, 3)
    assert np.isfinite(view).all()
    assert one.min() <= view.min() and view.max() <= one.max()


def test_the_places_follow_from_the_pixels():
    """The same picture, the same places; another pixel or another shape, others."""
    one = np.ascontiguousarray(picture(10, 700, 600))
    places = fragment_offsets(one, 15, 32)
    np.testing.assert_array_equal(fragment_offsets(one.copy(), 15, 32), places)
    # the order in memory is not the picture
    np.testing.assert_array_equal(fragment_offsets(np.asfortranarray(one), 15, 32), places)
    changed = one.copy()
    changed[-1, -1, -1] ^= 1
    turned = one.reshape(700, 600, 3)  # the same bytes
    for other in (changed, turned):
        assert (fragment_offsets(other, 15, 32) != places).mean() > 0.5
    seed = hashlib.sha256(b"600x700 " + one.tobytes()).digest()
    raw = np.random.PCG64(int.from_bytes(seed, "big")).random_raw(450).reshape(2, 15, 15)
    room = np.array([600 // 15 - 32, 700 // 15 - 32], np.uint64)[:, None, None]
    np.testing.assert_array_equal(raw % room, places)


def test_the_places_are_spread_over_the_cell():
    """Uniform over 0 ... cell - patch - 1, as published: chi-squared at a chance of 1e-4."""
    drawn = np.concatenate(
        [fragment_offsets(picture(seed, 600, 630), 15, 32).reshape(2, -1) for seed in range(20)], 1
    )
    for places, room in zip(drawn, (630 // 15 - 32, 600 // 15 - 32), strict=True):
        counts = np.bincount(places, minlength=room)
        assert len(counts) == room
        expected = places.size / room
        assert ((counts - expected) ** 2 / expected).sum() < room + 4 * np.sqrt(2 * room) + 8
