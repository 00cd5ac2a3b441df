"""The main job on a real database with human scores."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT


def command(home, *arguments) -> str:
    """Run a command as a user does and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_content_lite_ranks_pcuid(shared, own_home):
    """SRCC of .89; nine of ten intervals hold; the same command again prints the same, unfitted."""
    pytest.importorskip("timm")
    root = str(shared / "data" / "pcuid")
    extract = ("pipeline.extract", "--db", "pcuid", "--root", root, "--features", "content-lite")
    command(own_home, *extract)
    fit = ("pipeline.fit", "--db", "pcuid", "--features", "content-lite", "--json")
    first = command(own_home, *fit, "--regressor", "ridge", "--trials", "200")
    result = json.loads(first)[0]
    assert result["median"]["srcc"] >= 0.89
    assert result["n_pictures"] == 297 and result["n_groups"] == 280
    low, high = result["srcc_interval"]
    assert low < result["median"]["srcc"] < high
    assert 0.85 <= result["coverage90"] <= 0.95
    assert command(own_home, *fit, "--regressor", "ridge", "--trials", "200") == first
