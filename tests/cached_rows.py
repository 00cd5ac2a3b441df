"""Rows of a cache, written by hand."""

import numpy as np

from features.cache.folder import CacheFolder, ShardWriter
from features.cache.settings import settings_of
from features.cache.shards import OK, Row
from features.names import parse
from features.sources import FileFacts

NAMES = ["b.png", "ä/图片 1.png", "a+b [c].png", "a.png"]


def rows_of(names=NAMES, n_dims=36, seed=0):
    """Rows with seeded embeddings, the second of them failed."""
    rng = np.random.default_rng(seed)
    rows = []
    for index, name in enumerate(names):
        result = rng.standard_normal(n_dims).astype(np.float32)
        facts = FileFacts(100 + index, 10**18 + index, f"{index:064x}")
        rows.append(Row(name, facts, "cannot be decoded: größer" if index == 1 else result))
    return rows


def same(ours: Row, expected: Row) -> bool:
    """Tell whether two rows hold the same, embeddings to the bit."""
    if (ours.name, ours.facts, ours.status) != (expected.name, expected.facts, expected.status):
        return False
    return ours.status != OK or np.array_equal(ours.result, expected.result)


def put(cache, encoder="nss", rows=(), shard_rows=100, **changes):
    """Write rows into the folder of an encoder's settings, some of them changed."""
    settings = settings_of(parse("nss")[0], cache) | {"encoder": encoder} | changes
    folder = CacheFolder.create(cache, "db", settings)
    writer = ShardWriter(folder, {"versions": "x"}, shard_rows)
    for row in rows:
        writer.add([row])
    writer.close()
    return folder


def many(n, n_dims=36, seed=3) -> list[Row]:
    """Rows of seeded numbers, in no order of name."""
    rng = np.random.default_rng(seed)
    facts = FileFacts(1, 2, "0" * 64)
    return [
        Row(f"p{index:04d}", facts, rng.standard_normal(n_dims).astype(np.float32))
        for index in rng.permutation(n).tolist()
    ]
