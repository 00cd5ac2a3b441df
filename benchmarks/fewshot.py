"""Few-shot scoring on a cached database: SRCC of all other pictures against the number of pairs.

    python benchmarks/fewshot.py --db pcuid --features content-lite

Each draw rates some pictures and judges the rest; medians and quartiles are over seeded draws.
`inside` is the share of ratings within the printed interval, which promises .9.
"""

import argparse

import numpy as np

import pipeline
from regressors.fewshot import FewShot
from regressors.metrics import srcc

PAIRS = (3, 5, 10, 20, 50)


def measure(data: pipeline.data.Data, k: int, seed: int) -> tuple[float, float, float]:
    """Return SRCC over the pictures that are not rated, share inside, half width of intervals."""
    rated = np.random.default_rng(seed).choice(len(data.y), k, replace=False)
    rest = np.setdiff1d(np.arange(len(data.y)), rated)
    model = FewShot(list(data.columns.values())).fit(data.X[rated], data.y[rated])
    scores, low, high = model.interval(data.X[rest])
    inside = np.mean((low <= data.y[rest]) & (data.y[rest] <= high))
    return srcc(data.y[rest], scores), inside, np.median(high - low) / 2


def main() -> None:
    """Print one line for each number of pairs."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--db", default="pcuid")
    options.add_argument("--features", default="content-lite")
    options.add_argument("--draws", type=int, default=20)
    chosen = options.parse_args()
    data = pipeline.load(chosen.db, chosen.features)
    print("pairs   SRCC  quartiles       inside  half width")
    for k in PAIRS:
        found = np.array([measure(data, k, seed) for seed in range(chosen.draws)])
        low, median, high = np.quantile(found[:, 0], [0.25, 0.5, 0.75])
        inside, width = found[:, 1].mean(), np.median(found[:, 2])
        print(f"{k:5}  {median:.3f}  {low:.3f} .. {high:.3f}   {inside:.3f}  {width:9.1f}")


if __name__ == "__main__":
    main()
