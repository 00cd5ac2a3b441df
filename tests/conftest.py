"""What the tests share: small pictures, a home of their own, and ../shared where it exists."""

import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
from known import WRITERS
from PIL import Image

import features
from features.encoders import ENCODERS
from features.extract import extract
from features.files import read_json
from features.plan import Picture

ROOT = Path(__file__).resolve().parent.parent

# A job that a shell puts into the background ignores Ctrl-C, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def same_table():
    """Tests that put encoders into the table, or take them out, leave it in its order."""
    before = dict(ENCODERS)
    yield
    if list(ENCODERS) != list(before):
        ENCODERS.clear()
        ENCODERS.update(before)


@pytest.fixture(autouse=True)
def own_home(same_table, tmp_path, monkeypatch):
    """Every test has its own cache/, runs/, weights/ and data/."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("MEANOPINION_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Commands that a test calls work in its process, where the table may be another one."""
    monkeypatch.setattr("pipeline.cli.ISOLATED", False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and real databases beside the repository."""
    folder = Path(os.environ.get("MEANOPINION_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: it holds reference numbers and real databases")
    return folder


@pytest.fixture(scope="session")
def known_weights():
    """Writes an encoder's files with known weights, once; returns the folder of all of them."""
    with tempfile.TemporaryDirectory(prefix="meanopinion-weights-") as folder:
        done = set()

        def write(name: str) -> Path:
            writer = WRITERS[name]
            if writer not in done:
                writer(Path(folder))
                done.add(writer)
            return Path(folder)

        yield write


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Runs that are there to be looked at; see tests/finished.py."""
    from finished import finish

    return finish(tmp_path_factory.mktemp("finished"))


def picture(seed: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A (height, width, 3) uint8 picture: smooth shapes, whose sharpness and noise `seed` sets."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = [
        np.sin(2 * np.pi * (rng.uniform(1, 6) * x + rng.uniform(1, 6) * y) + rng.uniform(0, 6))
        for _ in range(3)
    ]
    noise = rng.normal(0, 2 + 3 * (seed % 10), (height, width, 3))
    return np.clip(128 + 60 * np.stack(waves, axis=2) + noise, 0, 255).astype(np.uint8)


def write_pictures(folder: Path, n: int) -> list[str]:
    """Write n PNG pictures of a few sizes and return their names in order."""
    sizes = [(64, 48), (48, 64), (80, 60)]
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for index in range(n):
        name = f"p{index:03d}.png"
        Image.fromarray(picture(index, *sizes[index % 3])).save(folder / name)
        names.append(name)
    return names


def write_csv(folder: Path, n: int, groups: int | None = None) -> Path:
    """Write a database of a user's own: n pictures, whose MOS falls with their noise, and a CSV."""
    names = write_pictures(folder, n)
    rng = np.random.default_rng(0)
    lines = ["image,mos,group"]
    for index, name in enumerate(names):
        mos = 80 - 6 * (index % 10) + rng.normal(0, 3)
        lines.append(f"{name},{mos:.3f},g{index % (groups or n):03d}")
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_plan(folder, n=20) -> list[Picture]:
    """Write n tiny pictures of three sizes, the fourth of them unreadable."""
    names = write_pictures(folder, n)
    (folder / names[3]).write_bytes(b"<html>not found</html>")
    return plan_of(folder)


def plan_of(folder) -> list[Picture]:
    """All pictures of a folder."""
    return [Picture(path.name, path) for path in sorted(folder.iterdir())]


@pytest.fixture
def plan(tmp_path):
    """Twenty pictures, one of them unreadable."""
    return write_plan(tmp_path / "pictures")


@pytest.fixture
def run(tmp_path):
    """Extract into this test's cache in shards of eight rows."""

    def run(pictures, features="nss", cache="cache", **options):
        options = {"shard_rows": 8} | options
        done = extract("db", pictures, features, tmp_path / cache, tmp_path / "weights", **options)
        return done[0] if len(done) == 1 else done

    return run


@pytest.fixture
def load(tmp_path):
    """Load from this test's cache."""
    return lambda features_="nss", cache="cache": features.load("db", features_, tmp_path / cache)


def assert_same(ours, expected):
    """Names, reasons and every bit of the embeddings are the same."""
    assert ours.names == expected.names
    assert ours.failures == expected.failures
    assert ours.keys == expected.keys
    np.testing.assert_array_equal(ours.embeddings, expected.embeddings)


def assert_tidy(folder):
    """A folder holds its settings, its index, what that lists, the lock, and nothing else."""
    shards = {entry["file"] for entry in read_json(folder / "index.json")["shards"]}
    there = {path.name for path in folder.iterdir()}
    assert there == {"settings.json", "index.json", ".lock"} | shards
