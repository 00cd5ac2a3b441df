"""Embeddings and scores that trip careless solvers up: each makes (n, p) and (n,) of a shape."""

import numpy as np


def problem(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns of unlike scale, and scores on 0..100."""
    rng = np.random.default_rng(n + p)
    X = rng.normal(size=(n, p)) @ (rng.normal(size=(p, p)) / np.sqrt(p)) * rng.uniform(0.01, 50, p)
    X += rng.normal(size=p)
    return X, 60 + 10 * X[:, 0] / X[:, 0].std() + rng.normal(0, 5, n)


def constant(n, p, make=problem):
    """Some columns never change: zero, a value that rounding cannot halve, a large one."""
    X, y = make(n, p)
    X[:, 1], X[:, 2], X[:, 3] = 0.0, 0.1, 1e6 + 0.1
    return X, y


def duplicated(n, p):
    """Every row stands there twice."""
    X, y = problem(n // 2, p)
    return np.repeat(X, 2, axis=0), np.repeat(y, 2)


def repeated_columns(n, p):
    """Half of the columns repeat the others, and one repeats another with its sign changed."""
    X, y = problem(n, p)
    X[:, p // 2 :] = X[:, : p - p // 2]
    X[:, -1] = -X[:, 0]
    return X, y


def offset(n, p, make=problem):
    """Float32 columns far from zero: only some of their bits vary."""
    X, y = make(n, p)
    return (1000 + X / X.std(axis=0)).astype(np.float32), y


def one_column(n, p, make=problem):
    """A single column."""
    X, y = make(n, p)
    return X[:, :1], y
