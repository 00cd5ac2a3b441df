"""Standardised copies of large matrices, and the mean and scale of many of their row subsets.

Sums are float64, over some columns at a time, so that no copy of the matrix is.
"""

import numpy as np

from regressors.device import Array, Place, host
from regressors.scaling import standardiser

_CHUNK = 1024  # columns that are float64 at a time
_CONSTANT = 1e-6  # a spread that is rounding, of float32 columns of scale 1


def chunks(n_dims: int) -> list[slice]:
    """Return the columns in pieces that are float64 at a time."""
    # the standard knows no slice that ends beyond
    return [slice(start, min(start + _CHUNK, n_dims)) for start in range(0, n_dims, _CHUNK)]


def standardise(X: Array, dtype: type = np.float32) -> tuple[Array, np.ndarray, np.ndarray]:
    """Return a standardised copy of (n, p) rows where they lie, and (p,) mean and scale.

    A constant column has scale 1 and becomes zero.
    """
    place, p = Place.of(X), X.shape[1]
    exact, Z = place.exact(), place.empty(X.shape, dtype)
    mean, scale = np.empty((2, p))
    for columns in chunks(p):
        chunk = exact.double(X[:, columns])
        mean[columns], scale[columns] = _moments(chunk, exact)
        chunk -= exact.put(mean[columns], float)
        chunk /= exact.put(scale[columns], float)
        Z[:, columns] = chunk if place.is_host else place.put(chunk, dtype)
    return Z, mean, scale


def _moments(chunk: Array, place: Place) -> tuple[np.ndarray, np.ndarray]:
    if place.is_host:
        return standardiser(chunk)
    xp = place.xp
    constant = host(xp.max(chunk, axis=0)) == host(xp.min(chunk, axis=0))
    scale = host(xp.std(chunk, axis=0))
    return host(xp.mean(chunk, axis=0)), np.where(constant, 1.0, scale)


def standardisers(X: Array, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return (p, parts) means, scales, and whether a column varies, over the rows of each part.

    Parameters
    ----------
    X : (n, p) with columns of about mean 0 and scale 1, so that squares lose nothing
    mask : (n, parts), 1 where a row is in a part
    """
    exact, mask = Place.of(X).exact(), mask.astype(float)
    counts, members = mask.sum(axis=0), exact.put(mask, float)
    means, scales = np.empty((2, X.shape[1], mask.shape[1]))
    for columns in chunks(X.shape[1]):
        chunk = exact.double(X[:, columns])
        means[columns] = host(chunk.T @ members) / counts
        chunk *= chunk
        squares = host(chunk.T @ members) / counts - means[columns] ** 2
        scales[columns] = np.sqrt(np.maximum(squares, 0))
    varying = scales > _CONSTANT * (1 + np.abs(means))
    return means, np.where(varying, scales, 1), varying
