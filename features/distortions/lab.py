"""CIE L*a*b* (1976) from sRGB and back, by IEC 61966-2-1 and CIE 15 (D65, 2 degrees).

Pictures are (H, W, 3); L runs from 0 to 100, a and b to about 100 on either side of 0.
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
_RGB = np.linalg.inv(_XYZ)
# Below these the curves of either standard are straight lines, so that black has a slope.
_DARK_SRGB, _DARK_LINEAR = 0.04045, 0.0031308
_DARK, _SLOPE, _OFFSET = 0.008856, 7.787, 16 / 116

_levels = np.arange(256) / 255
_LINEAR = np.where(_levels <= _DARK_SRGB, _levels / 12.92, ((_levels + 0.055) / 1.055) ** 2.4)


def to_lab(picture: np.ndarray) -> np.ndarray:
    """Return the float64 Lab of an uint8 RGB picture."""
    xyz = _LINEAR[picture] @ (_XYZ / _WHITE[:, None]).T
    x, y, z = np.moveaxis(np.where(xyz > _DARK, np.cbrt(xyz), _SLOPE * xyz + _OFFSET), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def to_rgb(lab: np.ndarray) -> np.ndarray:
    """Return the RGB of a Lab picture on 0..1; colours that sRGB lacks are cut to the nearest."""
    y = (lab[..., 0] + 16) / 116
    x, z = y + lab[..., 1] / 500, y - lab[..., 2] / 200
    roots = np.stack([x, y, np.maximum(z, 0)], axis=-1)
    cubes = np.where(roots > np.cbrt(_DARK), roots**3, (roots - _OFFSET) / _SLOPE)
    linear = np.maximum((cubes * _WHITE) @ _RGB.T, 0)
    curved = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.clip(np.where(linear > _DARK_LINEAR, curved, 12.92 * linear), 0, 1)
