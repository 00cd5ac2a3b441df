"""What the size of a picture alone says of its score: cache/<db>/sizes.csv and a baseline.

Width, height and bytes are read from the headers; no picture is decoded. A strong compression test
with several sizes can be won on them, and a result that does not beat them has learnt nothing else.
"""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from features.decode import UnreadablePicture, file_facts, upright_size
from features.files import write_atomic
from features.progress import progress
from features.sources import Source, is_remote
from pipeline.databases.table import Database
from pipeline.splits import Fold, rows_of
from regressors.intervals import group_draws, interval, median_draws
from regressors.metrics import MINIMUM_ROWS, is_flat, srcc

FILE = "sizes.csv"
COLUMNS = ("name", "width", "height", "bytes", "mtime_ns")
_TOGETHER = 4096  # pictures in the queue of the threads, so that an interruption is heeded soon

Row = tuple[int, int, int, int]  # the columns behind the name
RowFold = tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]


def write_sizes(folder: Path, database: Database, failed: Collection[str] = ()) -> Path:
    """Write sizes.csv: the upright width and height of every picture, and its file's facts.

    A picture whose header cannot be read is left out, as are those behind URLs: each would be a
    request of its own. A file whose size and time have not changed is not opened again.

    Parameters
    ----------
    folder : cache/<db>
    failed : names of pictures that are left out unopened
    """
    path = folder / FILE
    known = _known(path)
    names, paths = database.table["name"], database.paths()
    every = zip(names, paths, strict=True)
    wanted = ((name, path) for name, path in every if name not in failed and not is_remote(path))
    pictures = sorted(wanted, key=lambda pair: pair[0])
    rows: list[tuple] = []
    with progress(len(pictures), f"sizes {database.name}") as bar, ThreadPoolExecutor() as pool:
        for start in range(0, len(pictures), _TOGETHER):
            chunk = pictures[start : start + _TOGETHER]
            found = pool.map(lambda picture: _measured(picture[1], known.get(picture[0])), chunk)
            for (name, _), row in zip(chunk, found, strict=True):
                if row:
                    rows.append((name, *row))
                bar.update()
    data = pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False).encode()
    if not path.is_file() or path.read_bytes() != data:
        write_atomic(path, data)
    return path


def _measured(path: Source, known: Row | None) -> Row | None:
    try:
        facts = file_facts(path)
        if known and known[2:] == (facts.size, facts.mtime_ns):
            return known
        return (*upright_size(path), facts.size, facts.mtime_ns)
    except UnreadablePicture:
        return None


def _known(path: Path) -> dict[str, Row]:
    """Return what the file says, nothing where it is absent or damaged: it is made again."""
    try:
        table = pd.read_csv(
            io.BytesIO(path.read_bytes()),
            dtype={"name": str, **dict.fromkeys(COLUMNS[1:], "int64")},
            keep_default_na=False,
        )
        numbers = table[list(COLUMNS[1:])].to_numpy()
        return dict(zip(table["name"], map(tuple, numbers.tolist()), strict=True))
    except (OSError, ValueError, KeyError):
        return {}


def read_sizes(folder: Path, names: Sequence[str]) -> np.ndarray | None:
    """Return width, height and bytes of some pictures.

    Parameters
    ----------
    folder : cache/<db>

    Returns
    -------
    sizes : (n, 3) float64, a row of NaN for a picture that is not known; None where none is
    """
    known = _known(folder / FILE)
    unknown = (np.nan,) * 3
    sizes = np.array([known.get(name, unknown)[:3] for name in names], float).reshape(-1, 3)
    return sizes if np.isfinite(sizes).any() else None


def size_baseline(
    sizes: np.ndarray | None,
    y: np.ndarray,
    folds: Sequence[RowFold],
    group: np.ndarray,
    index: Mapping[str, int],
) -> dict | None:
    """Return what a ridge on sizes and their logarithms reaches on the folds of a run.

    Parameters
    ----------
    sizes : (n, 3) as `read_sizes` gives them, or None
    y : (n,) scores
    folds : of each its training rows, test rows, and inner folds as indices into the training rows
    group : (n,) group of every row
    index : group -> its column of the draws, as in the run's own interval

    Returns
    -------
    `srcc`, the median over the folds that have one; `srcc_interval`; `n_pictures` with a known
    size; `folds`, the SRCC of each, None where the predictions are all alike or too few pictures
    have a size; `n_without`, how many folds that are. None where all sizes are alike or unknown,
    or no fold has an SRCC.
    """
    if sizes is None:
        return None
    known = np.isfinite(sizes).all(axis=1) & (sizes > 0).all(axis=1)
    if not known.any() or not np.ptp(sizes[known], axis=0).any():
        return None
    kept = [_of_known(fold, known) for fold in folds]
    usable = [min(len(train), len(test)) >= MINIMUM_ROWS for train, test, _ in kept]
    Z = np.where(known[:, None], sizes, 1.0)
    Z = np.concatenate([Z, np.log(Z)], axis=1)
    from regressors.baseline import baseline  # scikit-learn, which a cache is read without

    found = baseline(Z, y, [fold for fold, ok in zip(kept, usable, strict=True) if ok])
    srccs, judged, predictions = [], [], iter(found)
    for (_, test, _), ok in zip(kept, usable, strict=True):
        prediction = next(predictions) if ok else np.zeros(1)
        if is_flat(prediction) or is_flat(y[test]):
            srccs.append(None)
            continue
        srccs.append(srcc(y[test], prediction))
        judged.append((y[test], prediction, np.array([index[name] for name in group[test]])))
    if not judged:
        return None
    draws = median_draws(judged, group_draws(len(index)))
    return {
        "srcc": float(np.median([value for value in srccs if value is not None])),
        "srcc_interval": list(interval(draws)),
        "n_pictures": int(known.sum()),
        "folds": srccs,
        "n_without": srccs.count(None),
    }


def _of_known(fold: RowFold, known: np.ndarray) -> RowFold:
    """Leave the rows without a size out of a fold."""
    train, test, inner = fold
    keep = known[train]
    position = np.cumsum(keep) - 1
    return (
        train[keep],
        test[known[test]],
        [tuple(position[part[keep[part]]] for part in pair) for pair in inner],
    )


def row_folds(names: list[str], folds: Sequence[Fold]) -> Iterator[RowFold]:
    """Yield the folds that have a test part, as rows of `names`.

    An inner validation part outside of the training part, as of a protocol that tunes on the test
    part, is empty here: the baseline does not look at it.
    """
    for fold in folds:
        if fold.test:
            train = rows_of(names, fold.train)
            own = [names[row] for row in train]
            inner = [(rows_of(own, a), rows_of(own, b)) for a, b in fold.inner]
            yield train, rows_of(names, fold.test), inner
