"""CIE L*a*b* (1976) from sRGB and back, by IEC 61966-2-1 and CIE 15 (D65, 2 degrees).

Pictures are (H, W, 3) uint8 RGB. Lab is three planes, (3, H, W) float32; L runs from 0 to 100, a
and b to about 100 on either side of 0.
"""

import numpy as np

_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_TO_XYZ = (_XYZ / _WHITE[:, None]).astype(np.float32)
_TO_RGB = (np.linalg.inv(_XYZ) * _WHITE).astype(np.float32)
# L, a and b from the roots of x, y and z, but for what L lacks
_TO_LAB = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]], np.float32)
_TO_ROOTS = np.array([[1 / 116, 1 / 500, 0], [1 / 116, 0, 0], [1 / 116, 0, -1 / 200]], np.float32)
# Below these the curves of either standard are straight lines, so that black has a slope.
_DARK_SRGB = 0.04045
_DARK, _SLOPE, _OFFSET = np.float32(0.008856), np.float32(7.787), np.float32(16 / 116)
# The curve of sRGB at the end of each of so many steps, none over a twentieth of a level: a level
# that was exact stays so where fractions are dropped.
_FINE = 65535
_steps = np.minimum(np.arange(_FINE + 1) + 0.5, _FINE) / _FINE
_CURVED = 255 * np.where(_steps <= 0.0031308, 12.92 * _steps, 1.055 * _steps ** (1 / 2.4) - 0.055)
_CURVED = _CURVED.astype(np.float32)
_TO_FINE = np.float32(_FINE) * _TO_RGB
_DARK_ROOT = _SLOPE * _DARK + _OFFSET

_levels = np.arange(256) / 255
_LINEAR = np.where(
    _levels <= _DARK_SRGB, _levels / 12.92, ((_levels + 0.055) / 1.055) ** 2.4
).astype(np.float32)


def to_lab(picture: np.ndarray) -> np.ndarray:
    """Return the Lab of a picture."""
    planes = np.ascontiguousarray(picture.reshape(-1, 3).T)
    xyz = _TO_XYZ @ _LINEAR.take(planes, mode="clip")
    roots = np.cbrt(np.maximum(xyz, _DARK))
    # the line meets the curve there
    roots += _SLOPE * (np.minimum(xyz, _DARK) - _DARK)
    lab = _TO_LAB @ roots
    lab[0] -= 16
    return lab.reshape(3, *picture.shape[:2])


def to_rgb(lab: np.ndarray) -> np.ndarray:
    """Return the (3, H, W) RGB of Lab on 0..255, at most a twentieth too large.

    Colours that sRGB lacks are cut to the nearest.
    """
    flat = lab.reshape(3, -1)
    roots = _TO_ROOTS @ flat
    roots += _OFFSET
    np.maximum(roots[2], 0, out=roots[2])
    bright = np.maximum(roots, _DARK_ROOT)
    cubes = bright * bright
    cubes *= bright
    cubes += (np.minimum(roots, _DARK_ROOT) - _DARK_ROOT) / _SLOPE
    linear = _TO_FINE @ cubes
    np.clip(linear, 0, _FINE, out=linear)
    linear += np.float32(0.5)
    return _CURVED.take(linear.astype(np.uint16), mode="clip").reshape(lab.shape)
