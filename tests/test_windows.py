"""A window of a distorted picture is what the whole distorted picture has there."""

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Resampling
from test_distortions import NAMES, any_picture, psnr

from features.distortions import DISTORTIONS, N_LEVELS, distort
from features.distortions.resizing import needed, resized
from features.distortions.windows import Window

HEIGHT, WIDTH = 240, 330
# one inside, one in a corner, one that is a side; none on a multiple of eight
WINDOWS = (Window(61, 83, 160, 190), Window(0, 0, 75, 90), Window(170, 150, HEIGHT, WIDTH))


# what these draw for every pixel is drawn for the window alone
NOISY = {name for name in DISTORTIONS if name.startswith("imnoise")} | {"imdenoise", "imjitter"}


class Field:
    """Draws what a generator would, but noise as the part of one field that a window covers."""

    def __init__(self, around, seed=0):
        self.around = around
        self.rng = np.random.default_rng(seed)
        self.integers_of = self.rng.integers
        self.uniform = self.rng.uniform

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False):
        if dtype is not np.uint16:
            return self.integers_of(low, high, size=size, dtype=dtype, endpoint=endpoint)
        field = self.integers_of(low, high, size=(HEIGHT, WIDTH, size[2]), dtype=dtype)
        return np.ascontiguousarray(field[self.around.slices])


def in_window(picture, name, level, window):
    """What `distort` gives for a window, with noise from the one field."""
    distortion = DISTORTIONS[name]
    parameter = distortion.parameters[level]
    if distortion.reach is None:
        return distortion.function(picture, parameter, Field(window), window)
    reach = int(np.ceil(distortion.reach(parameter)))
    around = window.grown(reach, picture.shape, distortion.grid)
    result = distortion.function(picture[around.slices], parameter, Field(around))
    return result[window.seen_from(around).slices]


@pytest.mark.parametrize("level", range(N_LEVELS))
@pytest.mark.parametrize("name", NAMES)
def test_windows_are_parts_of_the_whole(name, level):
    picture = any_picture(HEIGHT, WIDTH)
    whole = in_window(picture, name, level, Window.whole(picture.shape))
    for window in WINDOWS:
        part = in_window(picture, name, level, window)
        assert part.shape == (window.height, window.width, 3)
        assert psnr(part, whole[window.slices]) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_distort_cuts_so(name):
    """The command's own generator: types without noise give the same, noise the same strength."""
    picture, window = any_picture(HEIGHT, WIDTH), WINDOWS[0]
    for level in range(N_LEVELS):
        whole = distort(picture, name, level, np.random.default_rng(3))
        part = distort(picture, name, level, np.random.default_rng(3), window)
        there = picture[window.slices]
        assert part.shape == there.shape
        assert part.flags.writeable and not np.shares_memory(part, picture)
        if name not in NOISY:
            assert psnr(part, whole[window.slices]) >= 40
        else:
            difference = psnr(part, there) - psnr(whole[window.slices], there)
            assert abs(difference) < 3  # a few pixels of salt and pepper are a matter of luck


@pytest.mark.parametrize("filter_", [Resampling.BICUBIC, Resampling.LANCZOS, Resampling.BILINEAR])
@pytest.mark.parametrize("size", [(120, 165), (119, 165), (37, 51), (400, 500)])
def test_parts_of_resized_pictures_are_pillow_s(filter_, size):
    picture = any_picture(HEIGHT, WIDTH)
    whole = np.array(Image.fromarray(picture).resize(size[::-1], filter_))
    for window in (Window(3, 5, 31, 37), Window(0, 10, 37, 51), Window(20, 0, 21, 51)):
        around = needed(picture.shape[:2], size, filter_, window)
        part = resized(picture[around.slices], around, picture.shape[:2], size, filter_, window)
        difference = part.astype(int) - whole[window.slices]
        assert np.abs(difference).max() <= 1


def test_window():
    window = Window(10, 20, 30, 50)
    assert (window.height, window.width, window.area) == (20, 30, 600)
    assert window.grown(3, (32, 100)) == Window(7, 17, 32, 53)
    assert window.grown(3, (100, 100), grid=16) == Window(0, 16, 48, 64)
    assert window.grown(30, (35, 60), grid=16) == Window(0, 0, 35, 60)
    assert window.seen_from(Window(5, 5, 99, 99)) == Window(5, 15, 25, 45)
    assert window.common(Window(0, 0, 15, 25)) == Window(10, 20, 15, 25)
    assert window.common(Window(30, 20, 40, 50)) is None
    assert window.joined(Window(0, 40, 15, 60)) == Window(0, 20, 30, 60)
    assert Window.whole((4, 6, 3)) == Window(0, 0, 4, 6)
