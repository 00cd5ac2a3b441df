"""Near-duplicates: pictures so alike that they must not stand on both sides of a fold.

Candidates are pairs whose perceptual hashes (pHash of the package ImageHash, 64 bits) differ in at
most 16 bits; those of them are duplicates whose 32x32 grey thumbnails correlate above .95. Turned,
mirrored or strongly cut copies are not found.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from features.decode import open_picture, upright_rgb
from features.sources import Source, read

SIDE = 32
CORRELATION = 0.95
MAX_BITS = 16  # of 64; unrelated pictures differ in 32 on the average
_BLOCK = 512  # pictures whose hashes are compared at a time with those of as many others
VERSION = 1  # raised when other pairs are found


def thumbnail(path: Source) -> np.ndarray | None:
    """Return a (32, 32) grey thumbnail in uint8, or None for a file that gives no picture."""
    try:
        with open_picture(read(path)) as picture:
            picture.draft("L", (8 * SIDE, 8 * SIDE))  # a JPEG is decoded at a fraction of its size
            grey = upright_rgb(picture).convert("L")
            return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))
    except Exception:  # what the picture holds is the extraction's business to report
        return None


def near_duplicates(
    paths: Sequence[Source],
    groups: np.ndarray,
    on_picture: Callable[[], object] = lambda: None,
) -> np.ndarray:
    """Return pairs of near-duplicates that belong to different groups.

    As many as join all groups that share near-duplicates, and no more than a block holds of those
    that are joined already: a thousand shots of one scene are no million pairs.

    Parameters
    ----------
    groups : (n,) what each picture belongs to
    on_picture : called once for each picture

    Returns
    -------
    pairs : (m, 2) indices into `paths`, the smaller first, sorted
    """
    import imagehash  # brings its own packages, which a cache is read without

    small = np.zeros((len(paths), SIDE * SIDE), np.uint8)
    signs = np.zeros((len(paths), 64), np.float32)  # +1 and -1; zeros, of no picture, match none
    pairs = [np.empty((0, 2), int)]
    _, labels = np.unique(groups, return_inverse=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for top in range(0, len(paths), _BLOCK):
            block = slice(top, top + _BLOCK)
            for index, found in enumerate(pool.map(thumbnail, paths[block]), top):
                if found is not None and found.min() < found.max():  # a flat one is like none
                    bits = imagehash.phash(Image.fromarray(found)).hash.ravel()
                    small[index], signs[index] = found.ravel(), np.where(bits, 1, -1)
                on_picture()
            # this block against those before it, and itself
            for left in range(0, top + 1, _BLOCK):
                new = _alike(small, signs, labels, left, top)
                pairs.append(new)
                labels = joined(labels, new) if len(new) else labels
    return np.unique(np.concatenate(pairs), axis=0)


def _alike(
    small: np.ndarray, signs: np.ndarray, labels: np.ndarray, left: int, top: int
) -> np.ndarray:
    """Return the pairs of two blocks that are near-duplicates and have different labels."""
    found = np.argwhere(
        signs[left : left + _BLOCK] @ signs[top : top + _BLOCK].T >= 64 - 2 * MAX_BITS
    )
    found += [left, top]
    found = found[(found[:, 0] < found[:, 1]) & (labels[found[:, 0]] != labels[found[:, 1]])]
    parts = np.split(found, range(_BLOCK, len(found), _BLOCK))
    return np.concatenate([part[_correlations(small, part) > CORRELATION] for part in parts])


def _correlations(small: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return (m,) correlations of pairs of thumbnails; 0 for a flat one."""
    one, other = (small[pairs[:, side]].astype(np.float32) for side in (0, 1))
    one -= one.mean(axis=1, keepdims=True)
    other -= other.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.where(lengths > 0, lengths, 1)


def spanning(n: int, pairs: np.ndarray) -> np.ndarray:
    """Return as few of some pairs of `n` pictures as join all that they join, sorted."""
    one, other = pairs.astype(np.int32).T  # some versions of SciPy take no other
    graph = coo_array((np.ones(len(pairs)), (one, other)), (n, n))
    forest = minimum_spanning_tree(graph.tocsr()).tocoo()
    return np.unique(np.stack([forest.row, forest.col], axis=1).astype(int), axis=0)


def joined(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Join the groups that share near-duplicates, and carry joining on.

    Parameters
    ----------
    groups : (n,) what each picture belongs to
    pairs : (m, 2) indices of near-duplicates

    Returns
    -------
    numbers : (n,) group numbers, 0 upwards in order of first appearance
    """
    names, members = np.unique(groups, return_inverse=True)
    ones = np.ones(len(pairs), bool)
    links = coo_array((ones, (members[pairs[:, 0]], members[pairs[:, 1]])), (len(names),) * 2)
    _, labels = connected_components(links, directed=False)
    labels = labels[members]
    _, first = np.unique(labels, return_index=True)
    order = np.argsort(np.argsort(first))
    return order[labels]
