"""Run folders: runs/<db>/<features>/<regressor>/<target>/<settings12>/, and what lies in them."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from features.errors import InputError
from features.files import digest, read_json
from features.names import slug
from features.places import place
from features.provenance import versions

_LIBRARIES = ("meanopinion", "numpy", "scipy", "scikit-learn", "optuna", "pandas")


def run_folder(runs: Path, settings: dict) -> Path:
    """Return the folder of a run: its settings decide the last part of the path."""
    parts = settings["db"], slug(settings["features"]), settings["regressor"], settings["target"]
    return runs.joinpath(*parts, digest(settings)[:12])


def point_latest(folder: Path) -> None:
    """Let `latest` beside the folder lead to it."""
    aside = folder.parent / f".latest.{folder.name}"
    aside.unlink(missing_ok=True)
    aside.symlink_to(folder.name)
    aside.replace(folder.parent / "latest")


def find_run(path: Path, runs: Path) -> Path:
    """Return the finished run that a path means.

    The path may be the run's own folder, or any folder above it that holds one run only by
    `latest`; a relative one is looked for here, under runs/, and under runs/<db>/.

    Raises
    ------
    InputError
        When there is none, or more than one.
    """
    for starts in _starts(path, runs):
        found = sorted({run for start in starts for run in _runs_in(start)})
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"{path}: there are {len(found)} runs, name one: "
                + ", ".join(str(run) for run in found[:6])
            )
    raise InputError(
        f"{path}: there is no finished run there nor under {runs}; python -m pipeline.fit "
        "makes one and prints its folder"
    )


def _starts(path: Path, runs: Path) -> Iterator[list[Path]]:
    """Yield where a path may lead, the nearest first."""
    if str(path) == ".":
        return
    yield [path]
    yield [runs / path]
    if not path.is_absolute() and ".." not in path.parts:
        yield list(runs.glob(f"*/{path}"))


def _runs_in(start: Path) -> list[Path]:
    """Return the finished run that a folder is, or those in it that `latest` leads to."""
    if (start / "result.json").is_file():
        return [start.resolve()]
    found = [p.parent.resolve() for p in start.glob("**/latest/result.json")]
    # a run that was copied without links has no latest
    found = found or [p.parent.resolve() for p in start.glob("**/result.json")]
    if not found and (start / "latest" / "result.json").is_file():
        found = [(start / "latest").resolve()]
    return found


class Run(NamedTuple):
    """A finished run, for a notebook.

    Attributes
    ----------
    folder : where it lies
    result : result.json, as a dict
    predictions : predictions.csv: name, fold, the target, prediction, group
    """

    folder: Path
    result: dict
    predictions: pd.DataFrame


def load_run(run: str | os.PathLike, runs: str | os.PathLike | None = None) -> Run:
    """Load a run by its folder, or by a part of its path that leads to one, as `pcuid/nss`."""
    folder = find_run(Path(run), place("runs", runs))
    predictions = pd.read_csv(
        folder / "predictions.csv", dtype={"name": str, "group": str}, keep_default_na=False
    )
    return Run(folder, read_json(folder / "result.json", "median", "folds"), predictions)


def provenance() -> dict[str, str]:
    """Return the versions and the commit that a run was made with."""
    root = Path(__file__).resolve().parent.parent
    commit = "not a checkout"
    if (root / ".git").exists():
        describe = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                describe, cwd=root, capture_output=True, text=True, timeout=10, check=True
            )
            commit = done.stdout.strip()
    return versions(_LIBRARIES) | {"git_commit": commit}
