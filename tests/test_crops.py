"""Pairs of crops against distorting the whole picture first."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from test_distortions import any_picture, psnr  # noqa: E402
from test_windows import NOISY  # noqa: E402

from features.distortions import DISTORTIONS  # noqa: E402
from features.distortions.windows import Window  # noqa: E402
from features.pretraining import crops  # noqa: E402
from features.pretraining.crops import Crops, Version, halved, pairs, places  # noqa: E402

SMALL = Crops(side=64, distorted=3)


def common(first, second):
    both = first.common(second)
    return both.area if both else 0


@pytest.mark.parametrize("side", [32, 160])
def test_places_overlap_as_stated(side):
    rng, whole = np.random.default_rng(0), Window(10, 20, 10 + 4 * side, 20 + 5 * side)
    shares, corners = [], set()
    for _ in range(400):
        first, second = places(whole, Crops(side), rng)
        for window in (first, second):
            assert (window.height, window.width) == (side, side)
            assert window.common(whole) == window
        shares.append(common(first, second) / side**2)
        corners.add((first.top < second.top, first.left < second.left))
    assert 0.1 - 2 / side <= min(shares) and max(shares) <= 0.3 + 2 / side
    assert np.mean(shares) == pytest.approx(0.2, abs=0.01)
    assert len(corners) == 4


def test_places_where_there_is_little_room():
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second = places(Window(0, 0, 70, 64), Crops(64), rng)
        assert abs(first.top - second.top) <= 6 and first.left == second.left == 0
    with pytest.raises(ValueError, match="expected 64x64 pixels or more, got 63x80"):
        places(Window(0, 0, 80, 63), Crops(64), rng)


@pytest.mark.parametrize("name", ["", *DISTORTIONS])
def test_a_pair_is_what_distorting_the_whole_picture_gives(name, monkeypatch):
    """Noise is drawn for what is cut alone; it is seen to have the same strength elsewhere."""
    picture = any_picture(201, 260)
    version = Version(name, 3, seed=7)
    monkeypatch.setattr(crops, "versions", lambda n, rng: [version])
    seen = []
    spied = crops.places
    monkeypatch.setattr(crops, "places", lambda *a: seen.append(spied(*a)) or seen[-1])
    found = pairs(picture, np.random.default_rng(5), Crops(64, distorted=0))
    at_half, at_full = seen
    whole = version(picture[:200], Window(0, 0, 200, 260))
    size = (130, 100)
    half, plain = (
        np.array(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC))
        for one in (whole, picture[:200])
    )
    both = [(whole, picture, at_full), (half, plain, at_half)]
    for index, (large, undistorted, windows) in enumerate(both):
        expected = [large[window.slices] for window in windows]
        got = list(found[:, index])
        # one version is no half of any, so the sides are changed at the one size or the other
        if index == 1:
            got = got[::-1]
        for one, other, window in zip(got, expected, windows, strict=True):
            if name in NOISY:
                there = undistorted[window.slices]
                assert abs(psnr(one, there) - psnr(other, there)) < 1.5
            else:
                assert psnr(one, other) >= 40


def test_versions():
    found = pairs(any_picture(300, 400), np.random.default_rng(2), Crops(64, distorted=3))
    assert found.shape == (2, 8, 64, 64, 3) and found.dtype == np.uint8
    rng = np.random.default_rng(2)
    drawn = crops.versions(3, rng)
    assert drawn[0] == Version() and len({version.name for version in drawn}) == 4
    assert all(0 <= version.level <= 4 for version in drawn)


def test_swapping(monkeypatch):
    """With versions that change nothing, queries of one half are keys of the other."""
    monkeypatch.setattr(crops, "versions", lambda n, rng: [Version()] * (n + 1))
    found = pairs(any_picture(300, 400), np.random.default_rng(2), Crops(64, distorted=3))
    queries, keys = found
    for start in (0, 4):
        np.testing.assert_array_equal(queries[start], keys[start + 2])
        np.testing.assert_array_equal(queries[start + 1], keys[start + 3])
        assert (queries[start] != keys[start]).any()


def test_same_seed_same_pairs():
    picture = any_picture(300, 400)
    first, again, other = (pairs(picture, np.random.default_rng(s), SMALL) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_halved_is_pillow_s():
    picture = any_picture(120, 90)
    expected = np.array(Image.fromarray(picture).resize((45, 60), Image.Resampling.BICUBIC))
    assert np.abs(halved(picture).astype(int) - expected).max() <= 1
