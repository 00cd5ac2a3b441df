"""Saliency on pictures whose most salient place is known, and windows against all of them tried."""

import numpy as np
import pytest
from conftest import picture

from features.saliency import salient_crop, salient_place, spectral_residual
from features.views import centred


def with_object(x: int, y: int, width: int = 640, height: int = 512, side: int = 80) -> np.ndarray:
    """A field of noisy stripes with one bright square."""
    noise = np.random.default_rng(0).normal(0, 9, (height, width))
    stripes = 120 + 20 * np.sin(np.arange(width) / 3)[None, :] + noise
    stripes[y : y + side, x : x + side] = 250
    return np.repeat(np.clip(stripes, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(("x", "y"), [(40, 60), (500, 60), (300, 300), (540, 400)])
def test_the_object_is_salient(x, y):
    """The peak of the map lies on it, and the window holds it."""
    one = with_object(x, y)
    saliency = spectral_residual(one)
    assert saliency.shape == (51, 64)
    row, column = np.unravel_index(saliency.argmax(), saliency.shape)
    assert abs(column * 10 + 5 - (x + 40)) <= 45
    assert abs(row * 10 + 5 - (y + 40)) <= 45
    top, left = salient_place(saliency, 512, 640, 200)
    assert top <= y and y + 80 <= top + 200
    assert left <= x and x + 80 <= left + 200
    np.testing.assert_array_equal(salient_crop(one, 200), one[top : top + 200, left : left + 200])


def test_the_map_follows_the_picture():
    """Mirrored pictures have mirrored maps; brightness does not matter."""
    one = with_object(40, 60) // 2
    saliency = spectral_residual(one)
    np.testing.assert_allclose(spectral_residual(one[:, ::-1])[:, ::-1], saliency, rtol=1e-9)
    brighter = spectral_residual(one + 60)
    # the constant itself is a frequency: all but the map's overall level stays
    assert np.corrcoef(brighter.ravel(), saliency.ravel())[0, 1] > 0.99


def test_the_window_is_the_best_of_all():
    """Every place tried on the map enlarged pixel by pixel."""
    rng = np.random.default_rng(1)
    saliency = rng.random((6, 8))
    pixels = np.kron(saliency, np.ones((5, 5)))
    sums = {
        (top, left): pixels[top : top + 13, left : left + 13].sum()
        for top in range(30 - 13 + 1)
        for left in range(40 - 13 + 1)
    }
    assert salient_place(saliency, 30, 40, 13) == max(sums, key=sums.get)


@pytest.mark.parametrize("size", [(640, 512), (641, 515), (300, 700), (47, 33), (1, 1), (33, 1000)])
def test_equal_places_give_the_central_crop(size):
    """A flat picture has no salient place; a short side is padded as in the central crop."""
    flat = np.full((*size[::-1], 3), 77, np.uint8)
    np.testing.assert_array_equal(salient_crop(flat, 480), centred(flat, 480, 480))


def test_only_the_long_side_moves():
    """Along a side shorter than the window, the padding is the central crop's."""
    one = with_object(1100, 60, width=1200, height=300)
    view = salient_crop(one, 480)
    assert not view[:90].any() and not view[390:].any()
    _, left = salient_place(spectral_residual(one), 300, 1200, 480)
    assert left > 1180 - 480
    np.testing.assert_array_equal(view[90:390], one[:, left : left + 480])


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 7), (33, 47)])
def test_any_size(size):
    """The map is finite and not negative, and the same twice."""
    one = picture(2, *size)
    saliency = spectral_residual(one)
    assert np.isfinite(saliency).all() and (saliency >= 0).all()
    np.testing.assert_array_equal(spectral_residual(one), saliency)
    assert salient_crop(one, 480).shape == (480, 480, 3)
