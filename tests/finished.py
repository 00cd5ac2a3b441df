"""Finished runs of a user's own database, made once."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from conftest import write_csv

from features.encoders import ENCODERS
from pipeline import cli, extract, fit

KINDS = ("noise", "blur", "jpeg")
# not known where the runs are read later, as an encoder of a newer version
OTHER = "nss-other"


class Finished(NamedTuple):
    """What lies in a home of its own.

    Attributes
    ----------
    home : has cache/ and runs/
    labels : the CSV; its pictures lie beside it
    runs : (feature set, regressor) -> the run's folder
    """

    home: Path
    labels: Path
    runs: dict[tuple[str, str], Path]


def finish(folder: Path) -> Finished:
    """Extract and fit: two feature sets, three heads, forty pictures of twenty groups."""
    home, labels = folder / "home", write_csv(folder / "own", 40, groups=20)
    home.mkdir()
    rows = labels.read_text().splitlines()
    lines = [f"{rows[0]},distortion", *(f"{r},{KINDS[k % 3]}" for k, r in enumerate(rows[1:]))]
    labels.write_text("\n".join(lines) + "\n")
    other = replace(ENCODERS["nss"], name=OTHER, version=99)
    runs = {}
    with _at(home), mock.patch.dict(ENCODERS, {OTHER: other}):
        for features in ("nss", OTHER):
            extract.main(["--db", str(labels), "--features", features])
        for regressor, *more in (
            ("ridge",),
            ("svr-linear",),
            ("elasticnet", "--protocol", "best-on-test"),
        ):
            fit.main(["--trials", "6", "--regressor", regressor, *more])
    for result in sorted((home / "runs").glob("*/*/*/*/*/result.json")):
        if result.parent.name != "latest":
            features, regressor = result.parts[-5], result.parts[-4]
            runs[features, regressor] = result.parent
    return Finished(home, labels, runs)


@contextlib.contextmanager
def _at(home: Path) -> Iterator[None]:
    isolated = mock.patch.object(cli, "ISOLATED", False)
    with mock.patch.dict(os.environ, {"MEANOPINION_HOME": str(home)}), isolated:
        yield
