"""What an encoder in training is good for: ridge on its embeddings of a database with scores.

A look on the way, not a result: four folds of whole groups, the penalty by generalised
cross-validation in the training part. Results come from `pipeline.fit`.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from features.decode import read_picture
from features.encoders.pretrained import file_of
from features.errors import InputError
from features.files import write_atomic
from features.loading import load_encoder
from features.names import parse
from features.progress import progress
from features.runtime import Runtime, engines
from pipeline.databases.table import Database
from regressors.metrics import srcc

_ALPHAS = np.logspace(0, 6, 13)
_FOLDS = 4


def probe_of(
    database: Database, arch: str, gpu: str | None = None
) -> Callable[[bytes], dict[str, float]]:
    """Return the function that probes an encoder, given its file.

    Parameters
    ----------
    database : whose first target is predicted
    arch : of the encoder

    Raises
    ------
    InputError
        When the database has no scores, or fewer than four groups.
    """
    if not database.targets:
        raise InputError(f"--probe {database.name}: it has no scores to predict")
    target = next(iter(database.targets))
    table = database.table
    rated = table[target].notna().to_numpy()
    mos, groups = table[target].to_numpy(float)[rated], table["group"].to_numpy()[rated]
    if len(set(groups)) < _FOLDS:
        raise InputError(f"--probe {database.name}: expected {_FOLDS} groups or more")
    paths = [path for path, keep in zip(database.paths(), rated, strict=True) if keep]
    # the engine of a probe may be another than that of an extraction: it is no result
    runtime = Runtime(engines(gpu is not None)[0], gpu)

    def probe(encoder: bytes) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            write_atomic(Path(folder) / file_of(arch, "probe"), encoder)
            request = parse(f"pretrained:{arch}/probe")[0]
            loaded = load_encoder(request, Path(folder), runtime)
            X, kept = _embedded(loaded, paths)
        signs = 1 if database.targets[target].higher_is_better else -1
        return score(X, signs * mos[kept], groups[kept])

    return probe


def _embedded(loaded, paths: list) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings of the pictures that can be read, and which those are."""
    rows, kept = [], []
    bar = progress(len(paths), "probe")
    for index, path in enumerate(paths):
        picture, _ = read_picture(path)
        if not isinstance(picture, str) and loaded.refusal(picture.shape, "") is None:
            rows.append(loaded.encode(picture[None])[0])
            kept.append(index)
        bar.update()
    bar.close()
    if not rows:
        raise InputError("--probe: none of its pictures can be read")
    return np.stack(rows), np.array(kept)


def score(X: np.ndarray, mos: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Return the mean SRCC over four folds of whole groups, and that of all predictions together.

    Parameters
    ----------
    X : (n, d) embeddings
    mos : (n,), higher is better
    groups : (n,), at least four different ones
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    predicted, each = np.empty(len(mos)), []
    for train, test in GroupKFold(_FOLDS).split(X, groups=groups):
        model = make_pipeline(StandardScaler(), RidgeCV(_ALPHAS)).fit(X[train], mos[train])
        predicted[test] = model.predict(X[test])
        each.append(srcc(mos[test], predicted[test]))
    return {"srcc": float(np.mean(each)), "srcc_pooled": float(srcc(mos, predicted))}
