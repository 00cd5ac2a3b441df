"""Synthetic distortions at five levels, the material of quality-aware pretraining.

A picture is (H, W, 3) uint8 RGB and stays so. A distortion is a function
``(picture, parameter, rng) -> picture`` in one of the modules beside this one and one line of
``DISTORTIONS``; it takes all its randomness from ``rng`` and leaves its input alone.

Only a window of the result may be asked for. A type with a ``reach`` is then given so much more of
the picture; one without is given all of it, and the window, for what it does depends on where in
the picture that lies.

A level, 0 to 4, picks the parameter. It is not severity everywhere: ``immeanshift`` passes through
"no change" at level 2.

Source: the types and parameters that Re-IQA (Saha, Mishra, Bovik, CVPR 2023) took from KADID-10k
(Lin, Hosu, Saupe, QoMEX 2019). Names and numbers are theirs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL.Image import Resampling

from features.distortions import (
    blur,
    colour,
    compression,
    detail,
    noise,
    patches,
    resizing,
    tone,
)
from features.distortions.windows import Window
from features.errors import unknown_name

N_LEVELS = 5


@dataclass(frozen=True)
class Distortion:
    """One type of distortion.

    ``number`` is its place, 1 to 26, in the published list; ``parameters`` holds what
    ``function`` gets at level 0 to 4. ``reach`` is how many pixels around it a pixel of the result
    depends on, given the parameter; None where the function takes the window itself. ``grid`` is
    the side of the blocks that it works in.
    """

    name: str
    number: int
    label: str
    function: Callable[..., np.ndarray]
    parameters: tuple[float, float, float, float, float]
    reach: Callable[[float], float] | None = lambda parameter: 0
    grid: int = 1


def _itself(length: float) -> float:
    return length


def _reach_of_smoothers(variance: float) -> float:
    return blur.reach_of_gaussian(3)


_placed = partial(Distortion, reach=None)  # what it does depends on where in the picture
_bicubic = partial(resizing.down_and_up, resample=Resampling.BICUBIC)
_bilinear = partial(resizing.down_and_up, resample=Resampling.BILINEAR)
_nearest = partial(resizing.down_and_up, resample=Resampling.NEAREST)
_lanczos = partial(resizing.down_and_up, resample=Resampling.LANCZOS)

_radii = (0.1, 0.5, 1, 2, 5)
_sigmas = (0.05, 0.1, 0.2, 0.5, 1)
_variances = (0.001, 0.002, 0.003, 0.005, 0.01)
_colour_variances = (0.0001, 0.0005, 0.001, 0.002, 0.003)
_saturations = (0.4, 0.2, 0.1, 0, -0.4)
_speckle = (0.001, 0.005, 0.01, 0.02, 0.05)
_shares = (0.001, 0.005, 0.01, 0.02, 0.03)
_shifts = (0.15, 0.08, 0, -0.08, -0.15)

DISTORTIONS: dict[str, Distortion] = {
    distortion.name: distortion
    for distortion in (
        Distortion(
            "imblurgauss", 1, "Gaussian blur", blur.gaussian, _radii, blur.reach_of_gaussian
        ),
        Distortion("imblurlens", 2, "lens blur", blur.lens, (1, 2, 4, 6, 8), _itself),
        _placed("imcolordiffuse", 3, "colour diffusion", colour.diffuse, (1, 3, 6, 8, 12)),
        _placed("imcolorshift", 4, "colour shift", colour.shift_green, (1, 3, 6, 8, 12)),
        Distortion("imcolorsaturate", 5, "HSV saturation", colour.saturate_hsv, _saturations),
        Distortion("imsaturate", 6, "Lab saturation", colour.saturate_lab, (1, 2, 3, 6, 9)),
        Distortion(
            "imcompressjpeg", 7, "JPEG", compression.jpeg, (70, 43, 36, 24, 7), lambda _: 4, 16
        ),
        Distortion("imnoisegauss", 8, "white noise", noise.gaussian, _variances),
        Distortion("imnoisecolormap", 9, "colour noise", noise.colour_map, _colour_variances),
        Distortion("imnoiseimpulse", 10, "impulse noise", noise.impulse, _shares),
        Distortion("imnoisemultiplicative", 11, "speckle", noise.multiplicative, _speckle),
        Distortion(
            "imdenoise", 12, "smoothed noise", noise.denoised, _variances, _reach_of_smoothers
        ),
        Distortion("imbrighten", 13, "brightening", tone.brighten, (0.1, 0.2, 0.4, 0.7, 1.1)),
        Distortion("imdarken", 14, "darkening", tone.darken, (0.05, 0.1, 0.2, 0.4, 0.8)),
        Distortion("immeanshift", 15, "mean shift", colour.shift_mean, _shifts),
        _placed("imresizedist", 16, "bicubic resizing", _bicubic, (2, 3, 4, 8, 16)),
        Distortion(
            "imsharpenHi", 17, "oversharpening", detail.sharpen, (1, 2, 3, 6, 12), lambda _: 1
        ),
        Distortion("imcontrastc", 18, "contrast", tone.contrast, (0.3, 0.15, 0, -0.4, -0.6)),
        _placed("imcolorblock", 19, "colour blocks", patches.colour_blocks, (2, 4, 6, 8, 10)),
        _placed("impixelate", 20, "pixelation", resizing.pixelate, (0.01, 0.05, 0.1, 0.2, 0.5)),
        _placed("imnoneccentricity", 21, "moved patches", patches.move, (20, 40, 60, 80, 100)),
        Distortion("imjitter", 22, "jitter", detail.jitter, _sigmas, detail.reach_of_jitter),
        _placed("imresizedist_bilinear", 23, "bilinear resizing", _bilinear, (2, 3, 4, 8, 16)),
        _placed("imresizedist_nearest", 24, "nearest resizing", _nearest, (2, 3, 4, 5, 6)),
        _placed("imresizedist_lanczos", 25, "Lanczos resizing", _lanczos, (2, 3, 4, 8, 16)),
        Distortion("imblurmotion", 26, "motion blur", blur.motion, (12, 16, 20, 24, 28), _itself),
    )
}


def distort(
    picture: np.ndarray,
    name: str,
    level: int,
    rng: np.random.Generator,
    window: Window | None = None,
) -> np.ndarray:
    """Distort a picture.

    Parameters
    ----------
    picture : (H, W, 3) uint8 RGB, at least one pixel. Patch sizes and factors are shrunk to fit
        pictures smaller than they are. Not changed.
    name : a key of ``DISTORTIONS``.
    level : 0 to 4.
    rng : the only source of randomness; types that draw nothing ignore it.
    window : the part of the result that is asked for; all of it when None. It is what the whole
        result would be there, but for rounding; noise is drawn for it alone.

    Returns
    -------
    (H, W, 3) uint8, a new array.

    Raises
    ------
    ValueError : unknown name, level outside 0 to 4, or a picture of another shape or dtype.
    TypeError : ``rng`` is not a ``numpy.random.Generator``.
    """
    if name not in DISTORTIONS:
        raise unknown_name("distortion", str(name), DISTORTIONS)
    if not isinstance(level, int | np.integer) or not 0 <= level < N_LEVELS:
        raise ValueError(f"level must be an integer from 0 to {N_LEVELS - 1}, got {level!r}")
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        got = getattr(picture, "dtype", type(picture).__name__)
        raise ValueError(f"expected a uint8 array with values 0 to 255, got {got}")
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ValueError(f"expected a picture of shape (H, W, 3), RGB, got {picture.shape}")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
    distortion, window = DISTORTIONS[name], window or Window.whole(picture.shape)
    parameter = distortion.parameters[level]
    if distortion.reach is None:
        return distortion.function(picture, parameter, rng, window)
    reach = math.ceil(distortion.reach(parameter))
    around = window.grown(reach, picture.shape, distortion.grid)
    result = distortion.function(picture[around.slices], parameter, rng)
    return result[window.seen_from(around).slices]
