"""How alike two sets of embeddings of the same pictures are, whatever their columns."""

import numpy as np


def linear_cka(X: np.ndarray, Y: np.ndarray) -> float:
    """Return the centred kernel alignment of two linear kernels.

    Kornblith, Norouzi, Lee, Hinton, "Similarity of neural network representations revisited", ICML
    2019, equations 3 and 4. Rotations and a common scale of the columns do not change it.

    Parameters
    ----------
    X, Y : (n, p) and (n, q) embeddings of the same n pictures

    Returns
    -------
    0 (nothing in common) to 1 (the same but for rotation and scale)

    Raises
    ------
    ValueError
        When the rows are not as many, or all rows of one are alike.
    """
    if len(X) != len(Y):
        raise ValueError(f"{len(X)} and {len(Y)} rows: expected the same pictures")
    if not all(len(Z) and np.ptp(Z, axis=0).any() for Z in (X, Y)):
        raise ValueError("the embeddings of one set are all alike")
    X, Y = (np.asarray(Z, float) - np.mean(Z, axis=0, dtype=float) for Z in (X, Y))
    if max(X.shape[1], Y.shape[1]) < len(X):  # columns by columns is smaller than rows by rows
        together = np.linalg.norm(Y.T @ X) ** 2
        spread = np.linalg.norm(X.T @ X) * np.linalg.norm(Y.T @ Y)
    else:
        K, L = X @ X.T, Y @ Y.T
        together, spread = np.sum(K * L), np.linalg.norm(K) * np.linalg.norm(L)
    return float(together / spread)
