"""Sharing a head: the same scores elsewhere, and no ZIP that does harm."""

import io
import json
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, write_pictures
from test_commands import call

from features.files import sha256
from pipeline.heads import ARRAYS, CARD, FACTS, MANIFEST, read_head


@pytest.fixture
def shared_head(capsys, tmp_path, finished):
    """A run, and the ZIP of its head."""
    run = finished.runs["nss", "ridge"]
    path = tmp_path / "head.zip"
    code, out, err = call(capsys, "head", "export", run, "-o", path, "--licence", "CC0-1.0")
    assert code == 0 and str(path) in out, err
    return run, path


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A new environment that has what is installed here, but neither scikit-learn nor Optuna."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    (libraries,) = folder.glob("lib/python*/site-packages")
    for kind in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(kind).iterdir():
            lacking = path.name.lower().startswith(("sklearn", "scikit_learn", "optuna"))
            if not lacking and not (libraries / path.name).exists():
                (libraries / path.name).symlink_to(path)
    return folder / "bin" / "python"


def test_scores_are_the_runs_own(capsys, tmp_path, shared_head, python):
    """Bit for bit, where neither scikit-learn nor Optuna is installed."""
    run, path = shared_head
    write_pictures(tmp_path / "new", 5)
    code, expected, _ = call(capsys, "score", "--run", run, tmp_path / "new", "--json")
    assert code == 0
    for package, there in {"numpy": True, "sklearn": False, "optuna": False}.items():
        found = subprocess.run([python, "-c", f"import {package}"], capture_output=True)
        assert (found.returncode == 0) == there, found.stderr
    done = subprocess.run(
        [python, "-m", "pipeline.score", "--head", path, tmp_path / "new", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(expected) and len(json.loads(expected)) == 5
    assert f"head {path}" in done.stderr


def test_the_same_head_is_the_same_file(capsys, tmp_path, shared_head):
    """No time of day in it."""
    run, path = shared_head
    call(capsys, "head", "export", run, "-o", tmp_path / "again.zip", "--licence", "CC0-1.0")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_card(capsys, shared_head):
    """What a stranger must know: data, protocol, numbers, licence, what the encoders saw."""
    run, path = shared_head
    result = json.loads((run / "result.json").read_text())
    code, text, _ = call(capsys, "head", "show", path)
    assert code == 0
    for expected in (
        f"{result['median']['srcc']:.4f}",
        f"{result['n_pictures']} pictures",
        "nested",
        "CC0-1.0",
        "`nss`",
        "nss: nothing",
        "higher is better",
    ):
        assert expected in text
    card = json.loads(call(capsys, "head", "show", path, "--json")[1])
    assert card["median"]["srcc"] == result["median"]["srcc"]
    assert card["coverage90"] == result["coverage90"]
    assert card["author"] == "not stated"


def test_no_licence_is_said(capsys, tmp_path, shared_head):
    """The file is made all the same."""
    code, _, err = call(capsys, "head", "export", shared_head[0], "-o", tmp_path / "b.zip")
    assert code == 0 and "no --licence" in err


def rewritten(path, **changes):
    """A ZIP as it is, but for some files; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr(name, data)


def refused(capsys, path, expected):
    """It is one line of what is wrong with the head."""
    code, out, err = call(capsys, "score", "--head", path, path.parent)
    assert (code, out) == (1, "") and expected in err, err
    assert err.startswith("error: ") and err.count("\n") == 1 and "Traceback" not in err
    assert call(capsys, "head", "show", path)[0] == 1


def test_a_changed_head_is_refused(capsys, shared_head):
    """Arrays, facts or card that are not those that were packed."""
    _, path = shared_head
    whole = path.read_bytes()
    for name in (ARRAYS, FACTS, CARD):
        path.write_bytes(whole)
        with zipfile.ZipFile(path) as archive:
            data = archive.read(name)
        rewritten(path, **{name: data.replace(b"1", b"2")})
        refused(capsys, path, f"{name} is not the one that was made")
    path.write_bytes(whole[:-40])
    refused(capsys, path, "is no head")
    position = whole.index(b"mean")
    path.write_bytes(whole[:position] + b"\0" + whole[position + 1 :])
    refused(capsys, path, "Bad CRC-32")


def test_a_manifest_that_fits_changed_facts(capsys, shared_head):
    """Whoever changes the arrays must change the facts, too: they name each other."""
    _, path = shared_head
    with zipfile.ZipFile(path) as archive:
        data = archive.read(FACTS).replace(read_head(path).facts["arrays_sha256"].encode(), b"0")
        manifest = json.loads(archive.read(MANIFEST))
    manifest["files"][FACTS] = sha256(data)
    rewritten(path, **{FACTS: data, MANIFEST: json.dumps(manifest).encode()})
    code, out, err = call(capsys, "score", "--head", path, path.parent)
    assert (code, out) == (1, "") and "is not the one that head.json describes" in err


def test_strange_archives_are_refused(capsys, tmp_path, shared_head):
    """Other files, names that lead out, a bomb, no ZIP at all: nothing is unpacked anywhere."""
    _, path = shared_head
    whole = path.read_bytes()
    for name in ("../../evil.py", "/tmp/evil.py", "head.pkl"):
        path.write_bytes(whole)
        rewritten(path, **{name: b"x"})
        refused(capsys, path, "is no head: expected a ZIP of")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (ARRAYS, FACTS, MANIFEST, CARD):
            archive.writestr(name, bytes(50_000_000))
    bomb = path.read_bytes()
    refused(capsys, path, "its files are compressed")
    # the same, whose directory says that each holds ten bytes
    size = (50_000_000).to_bytes(4, "little")
    path.write_bytes(bomb.replace(size, (10).to_bytes(4, "little")))
    refused(capsys, path, "is no head")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w"):
        pass
    path.write_bytes(buffer.getvalue())
    refused(capsys, path, "found nothing")
    path.write_text("hello")
    refused(capsys, path, "is no head: File is not a zip file")
    path.unlink()
    refused(capsys, path, "is not there")
    assert not list(tmp_path.rglob("evil*"))


BROKEN = {
    "range": ({"range": {}}, "range says no low"),
    "no number": ({"error90": "wide"}, "error90 is no number"),
    "no median": ({"median_srcc": None}, "median_srcc is no number"),
    "encoders": ({"encoders": []}, "encoders or features"),
    "kind": ({"kind": "rbf"}, "support is missing"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_facts_that_make_no_head_are_refused(capsys, shared_head, case):
    """Whole files, whose checksums fit, but which say what cannot be."""
    _, path = shared_head
    change, expected = BROKEN[case]
    with zipfile.ZipFile(path) as archive:
        data = json.dumps(json.loads(archive.read(FACTS)) | change).encode()
        manifest = json.loads(archive.read(MANIFEST))
    manifest["files"][FACTS] = sha256(data)
    rewritten(path, **{FACTS: data, MANIFEST: json.dumps(manifest).encode()})
    refused(capsys, path, expected)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("export", "nowhere"), "there is no finished run"),
        (("export", "own", "-o", "head.tar"), "a name that ends in .zip"),
        (("export", "own", "-o", "nowhere/head.zip"), "in a folder that exists"),
    ],
)
def test_mistakes(capsys, arguments, expected):
    """One line."""
    code, _, err = call(capsys, "head", *arguments)
    assert code in (1, 2) and expected in err and err.count("\n") == 1


def test_one_head_at_a_time(capsys, shared_head):
    """A run and a shared head together are refused."""
    run, path = shared_head
    code, _, err = call(capsys, "score", "--run", run, "--head", path, "x.png")
    assert code == 2 and "--head HEAD.zip" in err
