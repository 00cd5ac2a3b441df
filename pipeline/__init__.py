"""The commands, and what joins pictures, embeddings and scores.

import pipeline
data = pipeline.load("koniq", "reiqa", target="mos")
run = pipeline.load_run("koniq/reiqa/ridge")
"""

from pipeline.data import Data, load
from pipeline.runs import Run, load_run

__all__ = ["Data", "Run", "load", "load_run"]
