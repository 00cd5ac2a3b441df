"""A folder as a contact sheet, sorted by score: one HTML file that needs nothing else."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jinja2

from features.cache.shards import OK
from features.plan import Picture
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
    higher_is_better: bool,
    on_done: Callable[[], object] = lambda: None,
) -> str:
    """Return pictures as HTML, the best first, then those without a score, with their reasons.

    Parameters
    ----------
    rows : as of `pipeline.outputs.values_of`
    pictures : where each lies; beyond `MOST`, the best half and the worst half are shown
    on_done : called after each thumbnail
    """
    sign = -1 if higher_is_better else 1
    scored, failed = [], []
    for row in rows:
        (scored if row[-1] == OK else failed).append(row)
    scored.sort(key=lambda row: (sign * row[1], row[0]))
    left_out = max(0, len(scored) - MOST)
    shown = scored[: MOST // 2] + scored[-(MOST // 2) :] if left_out else scored
    path = {one.name: one.path for one in pictures}
    cells = []
    for row in shown:
        cells.append(Cell(*row, thumbnail(path[row[0]])))
        on_done()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("sheet.html.j2").render(
        title=title,
        cells=cells,
        failed=[Cell(*row, Thumbnail("")) for row in failed],
        left_out=left_out,
        cut=MOST // 2 if left_out else 0,
    )
