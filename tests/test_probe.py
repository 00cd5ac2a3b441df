"""The look at an encoder in training."""

import numpy as np
import pytest
from conftest import write_csv

torch = pytest.importorskip("torch")

from test_training import tiny  # noqa: E402

from features.errors import InputError  # noqa: E402
from features.pretraining import export  # noqa: E402
from features.pretraining.training import Trainer  # noqa: E402
from pipeline.databases import locate  # noqa: E402
from pipeline.probe import probe_of, score  # noqa: E402


def test_score_finds_what_is_there():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(160, 30)).astype(np.float32)
    groups = np.repeat(np.arange(8), 20)
    told = score(X, X[:, 0] + 0.05 * rng.normal(size=160), groups)
    assert told["srcc"] > 0.95 and told["srcc_pooled"] > 0.95
    untold = score(X, rng.normal(size=160), groups)
    assert abs(untold["srcc"]) < 0.3


def test_probe_of_a_csv(tmp_path):
    """Pictures that cannot be read are left out; without scores there is nothing to predict."""
    path = write_csv(tmp_path / "mine", 24)
    (tmp_path / "mine" / "p003.png").write_bytes(b"no picture")
    database = locate(str(path), None, tmp_path)()
    recipe = tiny()
    encoder = export.encoder_bytes(Trainer(recipe).query, recipe, {})
    found = probe_of(database, "resnet18")(encoder)
    assert set(found) == {"srcc", "srcc_pooled"}
    assert found == probe_of(database, "resnet18")(encoder)
    path.unlink()
    unrated = locate(str(tmp_path / "mine"), None, tmp_path)()
    with pytest.raises(InputError, match="no scores to predict"):
        probe_of(unrated, "resnet18")


def test_too_few_groups(tmp_path):
    database = locate(str(write_csv(tmp_path / "mine", 6, groups=3)), None, tmp_path)()
    with pytest.raises(InputError, match="expected 4 groups or more"):
        probe_of(database, "resnet18")
