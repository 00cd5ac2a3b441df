"""The page: one HTML file that needs nothing else."""

from collections.abc import Sequence
from itertools import groupby

from features.provenance import versions
from pipeline.report import figures
from pipeline.report.collect import Line
from pipeline.report.details import Details
from pipeline.report.published import published_on
from pipeline.templating import render
from pipeline.thumbnails import uri

_LIBRARIES = ("meanopinion", "optuna", "scikit-learn", "numpy")


def page(
    title: str, lines: Sequence[Line], every: Sequence[Details], left_out: Sequence[str]
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    lines : all runs, best first within each database
    every : the details of those that have a section of their own
    left_out : folders that hold no finished run, and why
    """
    databases = []
    for (db, target), group in groupby(lines, key=lambda line: line.group[:2]):
        runs = list(group)
        databases.append(
            {
                "name": db,
                "target": target,
                "lines": runs,
                "overview": uri("image/png", figures.overview(runs)),
                "published": published_on(db, target),
                "ours": dict.fromkeys(map(_measured, runs)),
                "notes": dict.fromkeys(filter(None, (line.result.get("note") for line in runs))),
            }
        )
    return render(
        "report",
        title=title,
        databases=databases,
        details=every,
        sections={one.line.run for one in every},
        left_out=left_out,
        versions=versions(_LIBRARIES),
    )


def _measured(line: Line) -> str:
    result = line.result
    return f"{result['protocol']}: {result.get('protocol_says') or 'not stated'}"
