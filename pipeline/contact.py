"""A folder as a contact sheet, sorted by score: one HTML file that needs nothing else."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from features.cache.shards import OK
from features.decode import MAX_MEGAPIXELS
from features.plan import Picture
from features.progress import progress
from pipeline.templating import render
from pipeline.thumbnails import Thumbnail, thumbnail

MOST = 1000  # pictures: about 6 kB each


class Cell(NamedTuple):
    """One picture of the sheet; the numbers are None where there is no score."""

    picture: str
    score: float | None
    low: float | None
    high: float | None
    outside: bool | None
    status: str
    thumbnail: Thumbnail


def contact_sheet(
    title: str,
    rows: Iterable[tuple],
    pictures: Sequence[Picture],
    higher_is_better: bool | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> str:
    """Return pictures as HTML, the best first, then those without a score, with their reasons.

    Parameters
    ----------
    rows : as of `pipeline.outputs.values_of`
    higher_is_better : None where nobody says; the highest come first
    pictures : where each lies; beyond `MOST`, the best half and the worst half are shown
    """
    sign = 1 if higher_is_better is False else -1
    scored, failed = [], []
    for row in rows:
        (scored if row[-1] == OK else failed).append(row)
    scored.sort(key=lambda row: (sign * row[1], row[0]))
    left_out = max(0, len(scored) - MOST)
    shown = scored[: MOST // 2] + scored[-(MOST // 2) :] if left_out else scored
    path = {one.name: one.path for one in pictures}
    cells = []
    with progress(len(shown), "contact sheet") as bar:
        for row in shown:
            cells.append(Cell(*row, thumbnail(path[row[0]], max_megapixels=max_megapixels)))
            bar.update()
    return render(
        "contact",
        title=title,
        first="highest" if higher_is_better is None else "best",
        cells=cells,
        failed=[Cell(*row, Thumbnail("")) for row in failed],
        left_out=left_out,
        cut=MOST // 2 if left_out else 0,
    )
