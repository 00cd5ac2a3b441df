"""Natural-scene statistics against another implementation, closed forms and symmetries."""

import numpy as np
import pytest

from features.encoders.nss import (
    NSS_COLUMNS,
    NSS_DIMS,
    NSS_MIN_SIDE,
    fit_aggd,
    fit_ggd,
    halve,
    nss_embedding,
    scale_statistics,
)

GREY_WEIGHTS = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def picture():
    """A photograph, (512, 512, 3) uint8."""
    return pytest.importorskip("skimage.data").astronaut()


def swapped(embedding, pairs):
    """The embedding with the columns of each pair of neighbours exchanged."""
    names = list(NSS_COLUMNS)
    for first, second in pairs:
        exchange = {f"_{first}_": f"_{second}_", f"_{second}_": f"_{first}_"}
        names = [
            next((name.replace(a, b) for a, b in exchange.items() if a in name), name)
            for name in names
        ]
    return embedding[[NSS_COLUMNS.index(name) for name in names]]


def test_each_scale_agrees_with_piq(picture):
    brisque = pytest.importorskip("piq.brisque")
    torch = pytest.importorskip("torch")
    full = picture @ GREY_WEIGHTS
    for grey in (full, halve(full)):
        tensor = torch.from_numpy(grey)[None, None]
        theirs = brisque._natural_scene_statistics(tensor).numpy().ravel()
        np.testing.assert_allclose(scale_statistics(grey), theirs, rtol=0, atol=1e-6)


def test_half_scale_agrees_with_piq(picture):
    functional = pytest.importorskip("piq.functional")
    torch = pytest.importorskip("torch")
    grey = picture @ GREY_WEIGHTS
    theirs = functional.imresize(torch.from_numpy(grey)[None, None], sizes=(256, 256))
    inside = np.s_[3:-3, 3:-3]  # the two treat the border differently
    np.testing.assert_allclose(halve(grey)[inside], theirs.numpy()[0, 0][inside], atol=1e-3)


def test_embedding_is_both_scales(picture):
    embedding = nss_embedding(picture)
    assert embedding.shape == (NSS_DIMS,) == (len(NSS_COLUMNS),)
    assert embedding.dtype == np.float32
    assert len(set(NSS_COLUMNS)) == NSS_DIMS
    grey = picture @ GREY_WEIGHTS
    np.testing.assert_allclose(embedding[:18], scale_statistics(grey), rtol=1e-6)
    np.testing.assert_allclose(embedding[18:], scale_statistics(halve(grey)), rtol=1e-6)


def test_ggd_shape_of_known_laws():
    rng = np.random.default_rng(0)
    size = (600, 600)
    draws = {2: rng.normal(0, 3, size), 1: rng.laplace(0, 3 / np.sqrt(2), size)}
    for expected, values in draws.items():
        shape, variance = fit_ggd(values)
        assert shape == pytest.approx(expected, rel=0.02)
        assert variance == pytest.approx(9, rel=0.02)


def test_aggd_of_a_law_with_two_sides():
    # Half-normal sides of scale 1 and 3, taken in proportion to their scales: an AGGD of shape 2.
    rng = np.random.default_rng(0)
    size = np.abs(rng.standard_normal(400_000))
    values = np.where(rng.random(size.shape) < 0.25, -size, 3 * size)
    shape, mean, left_variance, right_variance = fit_aggd(values)
    assert shape == pytest.approx(2, rel=0.02)
    assert left_variance == pytest.approx(1, rel=0.02)
    assert right_variance == pytest.approx(9, rel=0.02)
    # The published mean is (right - left) G(2/a) / sqrt(G(1/a) G(3/a)), here 2 sqrt(2 / pi).
    assert mean == pytest.approx(2 * np.sqrt(2 / np.pi), rel=0.02)


def test_aggd_mirrors():
    values = np.random.default_rng(0).gamma(2, size=(50, 50)) - 1.5
    shape, mean, left_variance, right_variance = fit_aggd(values)
    mirrored = fit_aggd(-values)
    np.testing.assert_allclose(mirrored, (shape, -mean, right_variance, left_variance))


def test_one_sided_and_zero_values():
    assert fit_ggd(np.zeros((4, 4))) == (0.2, 0.0)
    assert fit_aggd(np.zeros((4, 4))) == (0.2, 0.0, 0.0, 0.0)
    for sign in (1, -1):
        assert np.isfinite(fit_aggd(sign * np.arange(16.0))).all()


@pytest.mark.parametrize("value", [0, 1, 128, 255])
@pytest.mark.parametrize("size", [(NSS_MIN_SIDE, NSS_MIN_SIDE), (64, 48), (NSS_MIN_SIDE, 99)])
def test_constant_pictures_are_finite(value, size):
    assert np.isfinite(nss_embedding(np.full((*size, 3), value, dtype=np.uint8))).all()


def test_constant_region_is_finite(picture):
    half_flat = picture.copy()
    half_flat[:, :400] = 77
    assert np.isfinite(nss_embedding(half_flat)).all()


def test_mirrored_and_transposed_pictures(picture):
    # Neighbours are circular, so a symmetry of the picture only renames them. The shapes move by
    # up to one step of their grid where float32 halving rounds differently.
    embedding = nss_embedding(picture)
    diagonals = [("diagonal", "antidiagonal")]
    close = {"rtol": 1e-5, "atol": 1.5e-3}
    np.testing.assert_allclose(
        nss_embedding(picture[:, ::-1]), swapped(embedding, diagonals), **close
    )
    np.testing.assert_allclose(nss_embedding(picture[::-1]), swapped(embedding, diagonals), **close)
    np.testing.assert_allclose(
        nss_embedding(picture.transpose(1, 0, 2)),
        swapped(embedding, [("horizontal", "vertical")]),
        **close,
    )


def test_only_the_grey_picture_counts(picture):
    # Within what rounding the grey values to uint8 does.
    grey = np.repeat(np.rint(picture @ GREY_WEIGHTS).astype(np.uint8)[:, :, None], 3, axis=2)
    rounded = nss_embedding(grey)
    np.testing.assert_allclose(nss_embedding(picture), rounded, atol=0.05)


def test_errors(picture):
    with pytest.raises(ValueError, match="uint8.*float64"):
        nss_embedding(picture / 255)
    for wrong in (picture[:, :, 0], picture[:, :, :2], picture[None]):
        with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
            nss_embedding(wrong)
    for wrong in (picture[: NSS_MIN_SIDE - 1], picture[:, : NSS_MIN_SIDE - 1]):
        with pytest.raises(ValueError, match=f"at least {NSS_MIN_SIDE} px"):
            nss_embedding(wrong)
