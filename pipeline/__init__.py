"""The commands, and what joins pictures, embeddings and scores.

import pipeline
data = pipeline.load("koniq", "reiqa", target="mos")
"""

from pipeline.data import Data, load

__all__ = ["Data", "load"]
