"""The notebooks run from top to bottom, started from their own folder, on the sample database."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
N_PICTURES = {"analysis": 7, "getting-started": 2}


@pytest.fixture(scope="module")
def sample_home(tmp_path_factory):
    """A home in which the sample is extracted with two feature sets, and fitted."""
    for package in ("torch", "timm", "piq", "nbclient", "ipykernel"):
        pytest.importorskip(package)
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"MEANOPINION_HOME": str(home), "PYTHONPATH": str(ROOT)}
    for command in (
        "extract --db sample --features content-lite",
        "extract --db sample --features nss",
        "fit --db sample --trials 30",
    ):
        name, *arguments = command.split()
        subprocess.run(
            [sys.executable, "-m", f"pipeline.{name}", *arguments],
            env=environment,
            cwd=home,
            check=True,
        )
    return home


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, sample_home, monkeypatch, tmp_path):
    """Every cell runs, and every plot is there."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("MEANOPINION_HOME", str(sample_home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == N_PICTURES[path.stem]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_output(path):
    """Outputs are large, and hold other people's pictures."""
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
