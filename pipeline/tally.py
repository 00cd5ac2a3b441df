"""What a scoring has done so far, on a progress bar."""

import sys
import time
from collections import Counter

from tqdm import tqdm

from features.cache.shards import OK
from features.progress import progress
from features.work import SECONDS
from pipeline.scoring import Scored


class Tally:
    """Counts what is scored, and names what fails.

    Parameters
    ----------
    n_pictures : how many will be
    named : so many failures are named

    Attributes
    ----------
    seconds : what was done -> how long it took, over all workers
    pixels, files : that were decoded
    n_failed : pictures without a score
    """

    def __init__(self, n_pictures: int, named: int) -> None:
        self.seconds: Counter = Counter(dict.fromkeys(SECONDS, 0.0))
        self.pixels = self.files = self.n_failed = 0
        self._n_pictures, self._named = n_pictures, named
        self._bar: tqdm | None = None
        self._began = time.perf_counter()

    def __enter__(self) -> "Tally":
        self._bar = progress(self._n_pictures, "score")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, scored: Scored) -> None:
        """Count the scores of a block, and name those that failed."""
        for one in scored.scores:
            if one.status != OK:
                self.n_failed += 1
                if self.n_failed <= self._named:
                    self._bar.write(f"failed: {one.picture}: {one.status}", file=sys.stderr)
        self.seconds.update(scored.seconds)
        self.pixels, self.files = self.pixels + scored.pixels, self.files + scored.files
        rate = self.pixels / 1e6 / (time.perf_counter() - self._began)
        self._bar.set_postfix_str(f"{rate:.1f} MP/s, {self.n_failed} failed", refresh=False)
        self._bar.update(len(scored.scores))
