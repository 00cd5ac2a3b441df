"""Frozen encoders and their cache: pictures in, embeddings out.

import features
names, embeddings, *_ = features.load("koniq", "reiqa")
"""

from features.cache.load import Embeddings, load

__all__ = ["Embeddings", "load"]
