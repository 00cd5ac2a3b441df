"""`python -m pipeline.pretrain` as a user types it: in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, write_pictures

torch = pytest.importorskip("torch")

from test_pretraining_run import losses  # noqa: E402

from features.errors import InputError, UsageError  # noqa: E402
from pipeline import pretrain  # noqa: E402

FAST = {
    **{"preset": "small", "crop": 32, "distorted": 1, "batch": 4, "group": 2, "queue": 64},
    **{"precision": "fp32", "lr": 0.01, "probe": "none"},
}


def command(tmp_path, *options, torchrun=0):
    launcher = (
        ["-m", "torch.distributed.run", "--nproc-per-node", str(torchrun)] if torchrun else []
    )
    return [
        *(sys.executable, *launcher, "-m", "pipeline.pretrain"),
        *("--images", str(tmp_path / "pictures"), "--runs", str(tmp_path / "runs")),
        *("--weights", str(tmp_path / "weights"), "--sides"),
        *(text for name, value in FAST.items() for text in (f"--{name}", str(value))),
        *options,
    ]


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def called(*arguments, **options):
    done = subprocess.run(
        command(*arguments, **options), cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.mark.slow
def test_one_process_two_and_one_that_is_killed(tmp_path):
    """Fifty steps: two with gloo have the losses of one; after SIGKILL they are the very same."""
    write_pictures(tmp_path / "pictures", 8)
    runs = tmp_path / "runs" / "pretrain"
    done = called(tmp_path, "--name", "one", "--steps", "50", "--every", "5", "--json")
    summary = json.loads(done.stdout)
    assert summary["encoder"] == "pretrained:resnet18/one" and summary["steps"] == 50
    assert (tmp_path / "weights" / "pretrained" / "resnet18" / "one.safetensors").is_file()
    for name in ("curves.png", "log.csv", "settings.json", "published.pth", "checkpoint.pt"):
        assert (runs / "one" / name).is_file()
    one = losses(runs / "one")

    done = called(tmp_path, "--name", "two", "--steps", "50", torchrun=2)
    assert done.stdout.count("--features pretrained:resnet18/two") == 1
    for (step, loss), (other_step, other) in zip(one, losses(runs / "two"), strict=True):
        assert step == other_step
        assert float(loss) == pytest.approx(float(other), abs=1e-3)

    options = ("--name", "killed", "--steps", "50", "--every", "5")
    process = subprocess.Popen(
        command(tmp_path, *options), cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL
    )
    checkpoint = runs / "killed" / "checkpoint.pt"
    while not checkpoint.is_file() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (runs / "killed" / "encoder.safetensors").is_file()
    done = called(tmp_path, *options)
    assert "goes on after step" in done.stderr
    assert losses(runs / "killed") == one


def test_command(tmp_path, capsys):
    write_pictures(tmp_path / "pictures", 4)
    (tmp_path / "pictures" / "bad.png").write_bytes(b"no picture")
    options = command(tmp_path, "--name", "mine", "--steps", "3", "--workers", "0")[3:]
    assert pretrain.main(options) == 0
    out = capsys.readouterr().out
    assert "3 steps, 48 pairs of 4 pictures, 1 could not be read" in out
    assert "--features pretrained:resnet18/mine" in out
    from features.names import parse

    assert (
        parse("pretrained:resnet18/mine")[0]
        .encoder.files({})[0]
        .locate(tmp_path / "weights")
        .is_file()
    )


def test_content(tmp_path, capsys):
    write_pictures(tmp_path / "pictures", 4)
    options = command(tmp_path, "--name", "mine", "--steps", "2", "--workers", "0")[3:]
    options[options.index("--distorted") : options.index("--distorted") + 2] = []
    assert pretrain.main([*options, "--mode", "content", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 8


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (("--name", "../out"), UsageError, "expected letters, digits"),
        (("--name", "a+nss"), UsageError, "expected letters, digits"),
        (("--gpu", "0"), UsageError, "--gpu 0: "),
        (("--arch", "resnet19"), UsageError, "unknown architecture"),
        (("--images", "nothing-here"), UsageError, "nothing-here"),
        (("--batch", "3"), UsageError, "a number of groups"),
        (("--probe", "nothing-here"), UsageError, "nothing-here"),
    ],
)
def test_bad_input(tmp_path, options, error, says):
    write_pictures(tmp_path / "pictures", 2)
    with pytest.raises(error, match=says):
        pretrain.main([*command(tmp_path, "--steps", "2", "--workers", "0")[3:], *options])


def test_an_empty_folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError, match="no picture found"):
        pretrain.main(command(tmp_path, "--steps", "2")[3:])
