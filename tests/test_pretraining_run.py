"""A run in its folder: going on, what it refuses, what it leaves behind."""

import csv
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from safetensors.torch import load  # noqa: E402
from test_training import tiny  # noqa: E402

from features.encoders.base import Batch  # noqa: E402
from features.errors import InputError, UsageError  # noqa: E402
from features.files import write_atomic  # noqa: E402
from features.loading import load_encoder  # noqa: E402
from features.names import parse  # noqa: E402
from features.pretraining import checkpoint, export  # noqa: E402
from features.pretraining.run import ENCODER, PUBLISHED, Run  # noqa: E402
from features.pretraining.training import Diverged, Trainer  # noqa: E402
from features.runtime import Runtime  # noqa: E402


@pytest.fixture
def photographs(tmp_path):
    """Four pictures; the first is smaller than two crops, the last none."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, size in enumerate([(40, 40), (90, 70), (80, 100)]):
        pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        image.save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"no picture")
    return sorted(folder.iterdir())


def run_of(photographs, folder, recipe=None, **more):
    names = [path.name for path in photographs]
    said = more.pop("said", [])
    recipe = recipe or tiny(steps=6)
    return Run(recipe, photographs, names, folder, every=2, say=said.append, **more)


def losses(folder):
    with open(folder / "log.csv", newline="") as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file)]


def test_a_run_and_one_that_was_stopped(photographs, tmp_path, monkeypatch):
    summary = run_of(photographs, tmp_path / "whole")()
    assert summary["steps"] == 6 and summary["pairs"] == 6 * 4 * 4
    assert (summary["pictures"], summary["skipped"], summary["enlarged"]) == (3, 1, 1)
    assert [step for step, _ in losses(tmp_path / "whole")] == list("123456")
    assert "3.png,no picture" in (tmp_path / "whole" / "skipped.csv").read_text()

    step = Trainer.step

    def killed(self, number, crops):
        if number == 3:
            raise KeyboardInterrupt
        return step(self, number, crops)

    monkeypatch.setattr(Trainer, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        run_of(photographs, tmp_path / "stopped")()
    assert len(losses(tmp_path / "stopped")) == 2
    monkeypatch.setattr(Trainer, "step", step)
    said = []
    run_of(photographs, tmp_path / "stopped", said=said)()
    assert any("goes on after step 2 of 6" in line for line in said)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    ends = [load((tmp_path / name / ENCODER).read_bytes()) for name in ("whole", "stopped")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    # a finished one is finished
    before = (tmp_path / "whole" / ENCODER).read_bytes()
    assert run_of(photographs, tmp_path / "whole")()["steps"] == 6
    assert (tmp_path / "whole" / ENCODER).read_bytes() == before


def test_another_number_of_processes_is_said(photographs, tmp_path):
    run_of(photographs, tmp_path / "run")()
    settings = tmp_path / "run" / "settings.json"
    settings.write_text(settings.read_text().replace('"processes": 1', '"processes": 2'))
    said = []
    run_of(photographs, tmp_path / "run", said=said)()
    assert "with 1 processes, before 2: numbers agree to rounding" in said


def test_what_a_folder_refuses(photographs, tmp_path):
    folder = tmp_path / "run"
    run_of(photographs, folder)()
    other = dataclasses.replace(tiny(steps=6), arch="resnet50")
    with pytest.raises(UsageError, match="begun with arch resnet18, and resnet50 was asked for"):
        run_of(photographs, folder, other)()
    with pytest.raises(UsageError, match="begun with other pictures"):
        run_of(photographs[:2], folder)()
    torch.save({"a": 1}, folder / checkpoint.CHECKPOINT)
    with pytest.raises(InputError, match="no checkpoint of a pretraining run"):
        run_of(photographs, folder)()
    (folder / checkpoint.CHECKPOINT).write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match=r"checkpoint\.pt"):
        run_of(photographs, folder)()


def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(photographs, tmp_path, monkeypatch):
    step = Trainer.step

    def spoilt(self, number, crops):
        if number == 4:
            with torch.no_grad():
                self.query.head[2].bias[0] = float("nan")
        return step(self, number, crops)

    monkeypatch.setattr(Trainer, "step", spoilt)
    with pytest.raises(Diverged, match="step 5"):
        run_of(photographs, tmp_path / "run")()
    kept = checkpoint.load(tmp_path / "run", tiny(steps=6), _digest(photographs, tmp_path))
    assert kept.step == 4
    assert all(torch.isfinite(one).all() for one in kept.trainer["query"].values())


def _digest(photographs, tmp_path):
    return run_of(photographs, tmp_path)._digest


def test_no_picture_at_all(photographs, tmp_path):
    with pytest.raises(InputError, match="none of the 1 pictures can be read: no picture"):
        run_of(photographs[3:], tmp_path / "run")()


def test_too_little_memory(photographs, tmp_path, monkeypatch):
    def short(self, number, crops):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Trainer, "step", short)
    with pytest.raises(InputError, match=r"2 pictures \(8 crops of 32 pixels\).*smaller --group"):
        run_of(photographs, tmp_path / "run")()


def test_probes_are_kept(photographs, tmp_path):
    seen = []

    def probe(encoder):
        seen.append(len(load(encoder)))
        return {"srcc": 0.1 * len(seen)}

    summary = run_of(photographs, tmp_path / "run", probe=probe, probe_every=4)()
    assert summary["probe"] == {"srcc": 0.2} and len(seen) == 2
    rows = (tmp_path / "run" / "probes.csv").read_text().splitlines()
    assert rows == ["step,srcc", "4,0.1", "6,0.2"]
    again = run_of(photographs, tmp_path / "run", probe=probe, probe_every=4)()
    assert again["probe"] == {"srcc": 0.2} and len(seen) == 2


def test_tensorboard(photographs, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_of(photographs, tmp_path / "run", probe=lambda encoder: {"srcc": 0.5})()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    told = [float(loss) for _, loss in losses(tmp_path / "run")]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(told, rel=1e-6)
    assert set(events.Tags()["scalars"]) >= {"loss", "accuracy", "lr"}
    assert [(e.step, e.value) for e in events.Scalars("probe/srcc")] == [(6, 0.5)]


def test_a_probe_that_fails_stops_nothing(photographs, tmp_path):
    said = []

    def probe(encoder):
        raise ValueError("the predictions are all the same")

    assert run_of(photographs, tmp_path / "run", probe=probe, said=said)()["probe"] == {}
    assert "warning: no probe at step 6: the predictions are all the same" in said


@pytest.mark.parametrize("half", [False, True])
def test_the_encoder_is_the_network(half, tmp_path):
    """Means over space of the last maps, of the picture at full size, in evaluation mode."""
    recipe = tiny()
    trainer = Trainer(recipe)
    trainer.step(0, torch.randint(0, 256, (4, 2, 4, 32, 32, 3), dtype=torch.uint8))
    path = tmp_path / "pretrained" / "resnet18" / "mine.safetensors"
    write_atomic(path, export.encoder_bytes(trainer.query, recipe, {"steps": 1}, half))
    assert path.stat().st_size < (25e6 if half else 50e6)
    request = parse("pretrained:resnet18/mine[pool=last,scales=1]")[0]
    picture = np.random.default_rng(0).integers(0, 256, (1, 70, 90, 3), dtype=np.uint8)
    got = load_encoder(request, tmp_path, Runtime()).encode(Batch(picture))
    network = trainer.query.encoder.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255).numpy()
    assert got.shape == (1, 512)
    tolerance = 2e-3 if half else 1e-5
    np.testing.assert_allclose(got, expected, atol=tolerance * np.abs(expected).max())
    everything = load_encoder(parse("pretrained:resnet18/mine")[0], tmp_path, Runtime())
    assert everything.encode(Batch(picture)).shape == (1, 2 * (2 * 960 + 512))


@pytest.mark.slow
def test_published_layout(photographs, tmp_path, shared):
    """A ResNet-50 of ours is read as Re-IQA's own file; names, shapes and types are theirs."""
    import json

    recipe = tiny(arch="resnet50", batch=2, steps=1)
    run_of(photographs[:3], tmp_path / "run", recipe)()
    data = (tmp_path / "run" / PUBLISHED).read_bytes()
    state = torch.load(io.BytesIO(data), weights_only=True)
    layout = json.loads((shared / "golden" / "reiqa_r50.layout.json").read_text())
    found = {
        name: [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for name, tensor in state["model"].items()
    }
    assert found == layout["model"]
    (tmp_path / "quality_aware_r50.pth").write_bytes(data)
    request = parse("reiqa-quality[scales=1]")[0]
    picture = np.random.default_rng(0).integers(0, 256, (1, 70, 90, 3), dtype=np.uint8)
    got = load_encoder(request, tmp_path, Runtime()).encode(Batch(picture))
    ours = tmp_path / "pretrained" / "resnet50" / "mine.safetensors"
    write_atomic(ours, (tmp_path / "run" / ENCODER).read_bytes())
    name = "pretrained:resnet50/mine[pool=last,scales=1]"
    expected = load_encoder(parse(name)[0], tmp_path, Runtime()).encode(Batch(picture))
    np.testing.assert_array_equal(got, expected)


def test_files_that_are_no_encoder(tmp_path):
    from safetensors.torch import save

    path = tmp_path / "pretrained" / "resnet18" / "mine.safetensors"
    recipe = tiny()
    good = load(export.encoder_bytes(Trainer(recipe).query, recipe, {}))
    write_atomic(path, save(good))
    with pytest.raises(InputError, match="says no mode"):
        load_encoder(parse("pretrained:resnet18/mine")[0], tmp_path, Runtime())
    for name in ("resnet18", "resnet18/a/b", "resnet19/mine", "/mine"):
        with pytest.raises(UsageError):
            parse(f"pretrained:{name}")
