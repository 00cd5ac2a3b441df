"""Runs whose heads are drawn, pictures for them, and `score -o`."""

import numpy as np
from conftest import write_pictures
from test_commands import call

from features.cache.settings import key_of, settings_of
from features.encoders.nss import NSS_DIMS
from features.names import parse
from pipeline.heads import write_head


def write_run(folder, features="nss", n_dims=NSS_DIMS, key=None, weights=None, seed=0):
    """Write the head of a run that has drawn coefficients."""
    rng = np.random.default_rng(seed)
    arrays = {
        "mean": np.zeros(n_dims),
        "scale": np.ones(n_dims),
        "coef": rng.normal(size=n_dims),
        "intercept": np.array([50.0]),
    }
    key = key or key_of(settings_of(parse(features)[0], weights or folder))
    facts = {
        "kind": "linear",
        "db": "own",
        "target": "mos",
        "range": {"low": None, "high": None, "higher_is_better": True},
        "features": features,
        "encoders": {features: key},
        "note": "",
        "median_srcc": 0.5,
        "error90": 3.25,
        "distance_max": 1.5,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_head(folder, arrays, facts)
    (folder / "result.json").write_text("{}")
    return folder


def write_folder(folder):
    """Write twenty pictures, one of them unreadable, one with a name that CSV must quote."""
    names = write_pictures(folder, 20)
    (folder / names[3]).write_bytes(b"<html>not found</html>")
    (folder / names[5]).rename(folder / 'p005, "so".png')
    return folder


def score(capsys, run_path, folder, output, *more):
    """Score into a file; returns what was said and what was printed."""
    code, out, err = call(capsys, "score", "--run", run_path, folder, "-o", output, *more)
    assert code == 0, err
    assert not partial_of(output).exists()
    assert not list(output.parent.glob(f".{output.name}*"))
    return out, err


def partial_of(output):
    """The folder that is there while an output is made."""
    return output.with_name(f"{output.name}.partial")
