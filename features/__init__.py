"""Frozen encoders and their cache: pictures in, embeddings out.

import features
names, embeddings, *_ = features.load("koniq", "reiqa")
"""

from features.cache.load import Augmented, Embeddings, load, load_augmented

__all__ = ["Augmented", "Embeddings", "load", "load_augmented"]
