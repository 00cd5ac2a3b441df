"""MoCo v2's two views of a picture, for content-aware pretraining.

Chen, Fan, Girshick, He, arXiv 2003.04297, "aug+": a random part, resized; colours jittered; grey at
times; blurred at times; mirrored at times.
"""

import functools

import numpy as np
import torch


def pair(picture: np.ndarray, rng: np.random.Generator, side: int) -> np.ndarray:
    """Return two views of a (height, width, 3) uint8 picture: (2, side, side, 3) uint8."""
    batch = torch.from_numpy(np.require(picture, requirements="CW")).permute(2, 0, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63)))
        made = [_augment(side)(batch) for _ in range(2)]
    return torch.stack(made).permute(0, 2, 3, 1).numpy()


@functools.cache
def _augment(side: int):
    from torchvision.transforms import v2

    blur = v2.GaussianBlur(_odd(side // 10), sigma=(0.1, 2.0))
    return v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(0.2, 1.0), antialias=True),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomApply([blur], p=0.5),
            v2.RandomHorizontalFlip(),
        ]
    )


def _odd(n: int) -> int:
    return n if n % 2 else n + 1
