"""Progress bars: to stderr, often on a terminal, seldom in a log."""

import sys

from tqdm import tqdm


def progress(total: int, description: str, unit: str = "picture") -> tqdm:
    """Return a bar over `total` items."""
    seconds = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        file=sys.stderr,
        mininterval=seconds,
        ncols=90,
        delay=0.5,  # what is done already needs no bar
    )
