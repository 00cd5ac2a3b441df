"""Near-duplicates: pictures so alike that they must not stand on both sides of a fold.

Pictures are compared as 32x32 grey thumbnails; two whose pixels correlate above .95 are joined, and
joining is carried on: a series of shots of one scene is one group.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse.csgraph import connected_components

from features.decode import open_picture

SIDE = 32
CORRELATION = 0.95


def thumbnail(path: Path) -> np.ndarray | None:
    """Return a (32, 32) grey thumbnail in float, or None for a file that gives no picture."""
    try:
        with open_picture(path.read_bytes()) as picture:
            picture.draft("L", (8 * SIDE, 8 * SIDE))  # a JPEG is decoded at a fraction of its size
            small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            return np.asarray(small, float)
    except Exception:  # what the picture holds is the extraction's business to report
        return None


def duplicate_groups(paths: Sequence[Path], correlation: float = CORRELATION) -> np.ndarray:
    """Return (n,) group numbers, 0 upwards in order of first appearance; alone is a group too."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        thumbnails = list(pool.map(thumbnail, paths))
    flat = np.zeros((len(paths), SIDE * SIDE))
    for index, small in enumerate(thumbnails):
        if small is not None:
            flat[index] = small.ravel() - small.mean()
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat /= np.where(length > 0, length, 1)  # a flat picture correlates with none
    _, labels = connected_components(flat @ flat.T > correlation, directed=False)
    _, first = np.unique(labels, return_index=True)
    order = np.argsort(np.argsort(first))
    return order[labels]
