"""Distortions against results of the published code, and properties that all of them share."""

import json
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from features.distortions import DISTORTIONS, N_LEVELS, distort
from features.distortions.lab import to_lab, to_rgb

LEVELS = range(N_LEVELS)
# one type is warped by torch
NAMES = [name for name in DISTORTIONS if name != "imjitter" or find_spec("torch")]

# These pass through "no change" or near it at level 2, so more level is not more distortion.
NOT_MONOTONE = {"immeanshift", "imcontrastc"}


def psnr(first, second):
    """Peak signal-to-noise ratio in dB of two uint8 pictures; infinite where they are equal."""
    error = np.mean((first.astype(float) - second) ** 2)
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


def any_picture(height=96, width=128):
    """Smooth colours with texture on them, (height, width, 3) uint8."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:height, :width]
    phases = np.arange(3)
    waves = np.sin(rows[..., None] / 9 + phases) + np.cos(columns[..., None] / 7 - phases)
    return np.clip(120 + 45 * waves + rng.normal(0, 6, waves.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def golden(shared):
    """The original picture, results by name_level, and mean PSNR by name_level."""
    folder = shared / "golden"
    picture = np.array(Image.open(folder / "images" / "coffee_208x160.png").convert("RGB"))
    results = dict(np.load(folder / "distortions.npz"))
    return picture, results, json.loads((folder / "distortions.json").read_text())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_published_result(golden, name, level):
    picture, results, listed = golden
    key = f"{name}_{level}"
    if key in results:
        assert psnr(distort(picture, name, level, np.random.default_rng(0)), results[key]) >= 40
    elif isinstance(listed[key], dict):
        rngs = [np.random.default_rng(seed) for seed in range(50)]
        values = [psnr(picture, distort(picture, name, level, rng)) for rng in rngs]
        assert np.mean(values) == pytest.approx(listed[key]["psnr_mean"], abs=1)
    else:
        pytest.skip(f"{key}: {listed[key]}")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_shape_dtype_input_and_seed(name, level):
    picture = any_picture()
    before = picture.copy()
    result = distort(picture, name, level, np.random.default_rng(5))
    assert result.shape == picture.shape
    assert result.dtype == np.uint8
    assert result.flags.writeable and not np.shares_memory(result, picture)
    np.testing.assert_array_equal(picture, before)
    again = distort(picture, name, level, np.random.default_rng(5))
    np.testing.assert_array_equal(result, again)


@pytest.mark.parametrize("name", sorted(set(NAMES) - NOT_MONOTONE))
def test_severity_grows_with_level(name):
    picture = any_picture()
    means = [
        np.mean([psnr(picture, distort(picture, name, level, rng)) for rng in _rngs()])
        for level in LEVELS
    ]
    assert all(milder > stronger for milder, stronger in pairwise(means))


def _rngs():
    return [np.random.default_rng(seed) for seed in range(20)]


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (16, 9), (32, 32), (33, 47)])
@pytest.mark.parametrize("name", NAMES)
def test_small_pictures(name, size):
    picture = any_picture(*size)
    for level in LEVELS:
        assert distort(picture, name, level, np.random.default_rng(0)).shape == picture.shape


@pytest.mark.parametrize(
    "name", [name for name in DISTORTIONS if "blur" in name or "resize" in name]
)
def test_blur_and_resizing_keep_a_constant_picture(name):
    for value in (0, 1, 100, 254, 255):
        picture = np.full((40, 50, 3), value, dtype=np.uint8)
        for level in LEVELS:
            result = distort(picture, name, level, np.random.default_rng(0))
            np.testing.assert_array_equal(result, picture)


@pytest.mark.parametrize("level", LEVELS)
def test_noise_has_the_stated_variance(level):
    picture = np.full((200, 300, 3), 128, dtype=np.uint8)
    for name, scale in (("imnoisegauss", 255), ("imnoisemultiplicative", 128)):
        noisy = distort(picture, name, level, np.random.default_rng(1)).astype(float)
        stated = DISTORTIONS[name].parameters[level] * scale**2
        # Dropping the fraction adds 1/12; the largest noise is clipped beyond four sigma.
        assert noisy.var() == pytest.approx(stated + 1 / 12, rel=0.02)


def test_impulse_noise_has_the_stated_share():
    picture = np.full((200, 300, 3), 128, dtype=np.uint8)
    for level, share in enumerate(DISTORTIONS["imnoiseimpulse"].parameters):
        noisy = distort(picture, "imnoiseimpulse", level, np.random.default_rng(2))
        expected = share / 2 * noisy.size
        for extreme in (0, 255):
            assert abs(np.sum(noisy == extreme) - expected) < 5 * np.sqrt(expected)


def test_lab_is_scikit_image_s():
    """Every colour of a coarse cube, to its rounding of the standard's numbers; and back."""
    color = pytest.importorskip("skimage.color")
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 18, 3)
    np.testing.assert_allclose(to_lab(cube), np.moveaxis(color.rgb2lab(cube), -1, 0), atol=1e-3)
    lab = to_lab(cube) * np.float32([1, 1.5, 1.5])[:, None, None]
    theirs = 255 * np.moveaxis(color.lab2rgb(np.moveaxis(lab, 0, -1)), -1, 0)
    np.testing.assert_allclose(to_rgb(lab), theirs, atol=0.06)


def test_lab():
    """White, greys and the primaries have the numbers of the standard; the way back is exact."""
    known = {
        (255, 255, 255): (100, 0, 0),
        (0, 0, 0): (0, 0, 0),
        (119, 119, 119): (50.03, 0, 0),
        (255, 0, 0): (53.24, 80.09, 67.20),
        (0, 255, 0): (87.73, -86.18, 83.18),
        (0, 0, 255): (32.30, 79.19, -107.86),
    }
    colours = np.array([list(known)], dtype=np.uint8)
    np.testing.assert_allclose(to_lab(colours)[:, 0].T, list(known.values()), atol=0.02)
    picture = any_picture()
    np.testing.assert_allclose(to_rgb(to_lab(picture)), picture.transpose(2, 0, 1), atol=0.06)


@pytest.mark.parametrize("level", LEVELS)
def test_sharpening_is_unsharp_masking_of_lightness(level):
    """The published code saturates the picture; ours keeps its colours and adds the Laplacian."""
    strength = DISTORTIONS["imsharpenHi"].parameters[level]
    picture = np.full((21, 30, 3), 90, dtype=np.uint8)
    unchanged = distort(picture, "imsharpenHi", level, np.random.default_rng(0))
    np.testing.assert_array_equal(unchanged, picture)
    picture[:, 15:] = 92
    low, high = to_lab(picture)[0, 0, [0, -1]]
    sharp = to_lab(distort(picture, "imsharpenHi", level, np.random.default_rng(0)))
    step = strength * (high - low)  # one neighbour of four lies across the edge
    expected = [low, low - step, high + step, high]
    np.testing.assert_allclose(sharp[0, 10, [13, 14, 15, 16]], expected, atol=0.5)
    assert np.abs(sharp[1:]).max() < 0.1


def test_jitter_moves_by_the_stated_steps():
    """Places after five steps are Gaussian about those before, seen on a slope, inside."""
    pytest.importorskip("torch")
    rise = 6  # a pixel, so that dropping the fraction weighs little
    slope = rise * np.arange(42, dtype=np.uint8)
    picture = np.broadcast_to(slope[None, :, None], (400, 42, 3)).copy()
    for level, sigma in enumerate(DISTORTIONS["imjitter"].parameters):
        moved = distort(picture, "imjitter", level, np.random.default_rng(3)).astype(float)
        steps = (moved - picture + 0.5)[10:-10, 10:-10, 0]
        # what one step has torn apart, the next ones draw together a little; small steps are
        # longer on a slope than on the detail that the published PSNR is of
        assert 0.65 <= steps.std() / np.sqrt(1 / 12 + 5 * (rise * sigma) ** 2) <= 1.2
        np.testing.assert_array_equal(moved[..., 0], moved[..., 1])


def test_modes_are_drawn_alike():
    """Both smoothers of 12 and both directions of 26 come, and each has the strength of its own."""
    picture = any_picture()
    for name in ("imdenoise", "imblurmotion"):
        values = [
            psnr(picture, distort(picture, name, 0, np.random.default_rng(seed)))
            for seed in range(60)
        ]
        middle = (min(values) + max(values)) / 2
        assert 18 <= np.sum(np.array(values) > middle) <= 42


def test_table():
    assert [distortion.number for distortion in DISTORTIONS.values()] == list(range(1, 27))
    for name, distortion in DISTORTIONS.items():
        assert distortion.name == name
        assert len(distortion.parameters) == N_LEVELS


def test_errors():
    picture, rng = any_picture(), np.random.default_rng(0)
    with pytest.raises(ValueError, match="did you mean imblurgauss.*known are imblurgauss, imblur"):
        distort(picture, "imblurgaus", 0, rng)
    for level in (-1, 5, 1.0, "2"):
        with pytest.raises(ValueError, match="from 0 to 4"):
            distort(picture, "imblurgauss", level, rng)
    with pytest.raises(ValueError, match="uint8.*float64"):
        distort(picture / 255, "imblurgauss", 0, rng)
    with pytest.raises(ValueError, match="uint8.*list"):
        distort(picture.tolist(), "imblurgauss", 0, rng)
    for wrong in (picture[:, :, 0], picture[:, :, :2], picture[None], picture[:0]):
        with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
            distort(wrong, "imblurgauss", 0, rng)
    with pytest.raises(TypeError, match="Generator"):
        distort(picture, "imblurgauss", 0, 7)
