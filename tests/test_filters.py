"""Separable filters against SciPy."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage
from test_distortions import any_picture

from features.distortions.filters import box, filtered, gaussian, three_boxes


@pytest.mark.parametrize("shape", [(3, 5), (64, 64), (70, 130), (3, 65, 31)])
@pytest.mark.parametrize("sigma", [0.6, 2.0, 9.0])
def test_gaussian_is_scipy_s(shape, sigma):
    planes = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    taps = gaussian(sigma)
    sigmas = (0,) * (len(shape) - 2) + (sigma, sigma)
    expected = ndimage.gaussian_filter(planes.astype(float), sigmas, mode="nearest")
    np.testing.assert_allclose(filtered(planes, taps, taps), expected, atol=1e-3)


@pytest.mark.parametrize("length", [5, 12, 28])
def test_box_is_scipy_s(length):
    planes = np.random.default_rng(0).uniform(0, 255, (90, 70)).astype(np.float32)
    for axis, taps in ((0, {"rows": box(length)}), (1, {"columns": box(length)})):
        expected = ndimage.uniform_filter1d(planes.astype(float), length, axis, mode="nearest")
        np.testing.assert_allclose(filtered(planes, **taps), expected, atol=1e-3)


@pytest.mark.parametrize("radius", [0.1, 0.5, 1, 2, 3, 5])
def test_three_boxes_are_pillow_s_gaussian(radius):
    picture = any_picture()
    planes, taps = picture.transpose(2, 0, 1).astype(np.float32), three_boxes(radius)
    ours = filtered(planes, taps, taps).transpose(1, 2, 0)
    theirs = np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))
    reach = len(taps) // 2
    # Pillow repeats the edges of each box's result, and rounds six times on the way
    inner = (slice(reach, -reach), slice(reach, -reach))
    assert np.abs(ours - theirs)[inner].max() < 2.6
    variance = np.sum(np.arange(-reach, reach + 1) ** 2 * taps)
    assert variance == pytest.approx(radius**2, rel=1e-6)
