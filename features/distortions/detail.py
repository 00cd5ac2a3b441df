"""Detail made too strong, or moved. Pictures are (H, W, 3) uint8 RGB; lengths are in pixels."""

import math

import numpy as np

from features.distortions.lab import to_lab, to_rgb
from features.distortions.noise import normal
from features.distortions.pixels import from_planes, planes_of

_WARPS = 5
_STEPS = {0.05: 0.73, 0.1: 0.83, 0.2: 0.97, 0.5: 1.17, 1: 1.25}  # see `jitter`


def sharpen(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Subtract ``strength`` times its Laplacian (four neighbours) from the L of Lab.

    The published code hands 0..255 to a Lab conversion made for 0..1, which turns every picture
    nearly white; here the values are those that it is made for.
    """
    lab = to_lab(picture)
    padded = np.pad(lab[0], 1, mode="edge")
    laplacian = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
    laplacian -= 4 * lab[0]
    np.clip(lab[0] - np.float32(strength) * laplacian, 0, 100, out=lab[0])
    return from_planes(to_rgb(lab))


def jitter(picture: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Move every pixel by Gaussian steps of ``sigma`` pixels, five times.

    The published warps are by cubic splines. These are linear, which is some twenty times as fast,
    but blurs: by that alone much more at short steps, while five long ones leave less to move. So
    steps are scaled until the PSNR is the published one at every level (within 0.6 dB).
    """
    import torch  # two seconds, which those who only read the table need not wait for

    height, width = picture.shape[:2]
    values = torch.from_numpy(planes_of(picture))[None]
    # x, then y; the centres of the first and the last pixel are -1 and 1
    x, y = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).view(height, 2 * width)
    pixel = torch.tensor([2 / max(1, width - 1), 2 / max(1, height - 1)])
    step = (sigma * _STEPS[sigma] * pixel).repeat(width)  # a row of them, which is faster
    for _ in range(_WARPS):
        noise = torch.from_numpy(normal((height, width, 2), rng)).view(height, 2 * width)
        moved = torch.addcmul(places, noise, step).view(1, height, width, 2)
        values = torch.nn.functional.grid_sample(
            values, moved, mode="bilinear", padding_mode="border", align_corners=True
        )
    return from_planes(values[0].numpy())


def reach_of_jitter(sigma: float) -> float:
    """Return how far a pixel of the result comes from, but for one in some millions."""
    return _WARPS + math.ceil(4 * _STEPS[sigma] * sigma * math.sqrt(_WARPS))
