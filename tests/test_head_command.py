"""Sharing a head: the same scores elsewhere, and no ZIP that does harm."""

import io
import json
import subprocess
import zipfile

import numpy as np
import pytest
from conftest import ROOT, write_pictures
from safetensors.numpy import load, save
from test_commands import call
from venvs import linked

from features.files import sha256
from pipeline.cards import terms_of
from pipeline.databases import DATABASES
from pipeline.heads import ARRAYS, CARD, FACTS, MANIFEST


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
    lacking = ("sklearn", "scikit_learn", "optuna")
    return linked(tmp_path_factory.mktemp("fresh"), lacking)


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


def test_a_card_always_says_something_of_terms():
    """Where a database states none, where to look, or that none are known."""
    assert terms_of("aigciqa2023") == terms_of("labels-1234") == terms_of("pcuid") == "not stated"
    assert terms_of("bid") == f"see {DATABASES['bid'].page}"
    assert all(map(terms_of, DATABASES))


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
    forged(path, facts={"arrays_sha256": "0"})
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
    "low": ({"range": {"low": 0, "high": None, "higher_is_better": True}}, "low and high"),
    "better": ({"range": {"low": 0, "high": 1, "higher_is_better": "no"}}, "neither true nor"),
    "no number": ({"error90": "wide"}, "error90 is no number"),
    "not finite": ({"error90": float("nan")}, "error90 is no number"),
    "below 0": ({"distance_max": -1}, "distance_max is no number"),
    "too long": ({"median_srcc": 10**400}, "median_srcc is no number"),
    "no text": ({"note": ["x"]}, "note is no text"),
    "a strange kind": ({"kind": {}}, "kind is no text"),
    "keys": ({"encoders": {"nss": [1]}}, "encoders are no names"),
    "no median": ({"median_srcc": None}, "median_srcc is no number"),
    "encoders": ({"encoders": []}, "encoders are no names"),
    "kind": ({"kind": "rbf"}, "support is missing"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_facts_that_make_no_head_are_refused(capsys, shared_head, case):
    """Whole files, whose checksums fit, but which say what cannot be."""
    _, path = shared_head
    change, expected = BROKEN[case]
    forged(path, facts=change)
    refused(capsys, path, expected)


def forged(path, arrays=None, facts=None, raw=None):
    """Change a ZIP so that all checksums fit: some arrays, some facts, or these bytes as facts."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in (ARRAYS, FACTS, MANIFEST)}
    if arrays:
        files[ARRAYS] = save(load(files[ARRAYS]) | arrays)
    if not raw:
        known = json.loads(files[FACTS]) | {"arrays_sha256": sha256(files[ARRAYS])}
        raw = json.dumps(known | (facts or {})).encode()
    files[FACTS] = raw
    manifest = json.loads(files[MANIFEST])
    manifest["files"] |= {name: sha256(files[name]) for name in (ARRAYS, FACTS)}
    rewritten(path, **files | {MANIFEST: json.dumps(manifest).encode()})


def test_json_that_is_meant_to_harm(capsys, shared_head):
    """Deeper than Python reads, and a number of more digits than it takes."""
    _, path = shared_head
    for raw in (b"[" * 200_000, b'{"kind": ' + b"9" * 5000 + b"}"):
        forged(path, raw=raw)
        refused(capsys, path, "it is no JSON")


@pytest.mark.parametrize(
    "arrays, expected",
    [
        ({"scale": np.zeros(36)}, "scale holds what no head has"),
        ({"coef": np.full(36, np.nan)}, "coef holds what no head has"),
        ({"coef": np.ones(36, bool)}, "coef is missing, or has another shape or type"),
        ({"coef": np.ones(5)}, "coef has the shape"),
    ],
)
def test_arrays_that_make_no_head_are_refused(capsys, shared_head, arrays, expected):
    """Their checksums fit, too."""
    _, path = shared_head
    forged(path, arrays=arrays)
    refused(capsys, path, expected)


def test_a_head_for_other_embeddings(capsys, shared_head):
    """As many numbers as the feature set gives, or nothing is scored."""
    _, path = shared_head
    forged(path, arrays={name: np.ones(5) for name in ("mean", "scale", "coef")})
    write_pictures(path.parent / "new", 1)
    code, out, err = call(capsys, "score", "--head", path, path.parent / "new")
    assert (code, out) == (1, "") and "is for 5 numbers a picture, and nss gives 36" in err


def test_a_score_that_is_no_number_is_a_failure(capsys, tmp_path, shared_head):
    """Counted, with its reason; the page is made."""
    _, path = shared_head
    forged(path, arrays={"coef": np.full(36, 1e308)})
    write_pictures(tmp_path / "new", 2)
    page = tmp_path / "page.html"
    code, out, err = call(capsys, "score", "--head", path, tmp_path / "new", "--html", page)
    assert code == 1 and out.count("the score is no number") == 2 and "Warning" not in err
    assert "0 scored, 2 failed" in err and "the score is no number" in page.read_text()


def test_what_a_stranger_wrote_moves_no_cursor(capsys, tmp_path, shared_head):
    """Names, notes and cards are shown without what a terminal would obey."""
    _, path = shared_head
    write_pictures(tmp_path / "new", 1)
    forged(path, facts={"note": "one\ntwo\x1b[2J"})
    code, _, err = call(capsys, "score", "--head", path, tmp_path / "new")
    assert code == 0 and "one two\N{REPLACEMENT CHARACTER}[2J\n" in err and "\x1b" not in err
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a\nb\x1b[31m", b"x")
    refused(capsys, path, "found 'a\\nb\\x1b[31m'")


def test_a_hole_of_a_file_is_not_read(capsys, shared_head):
    """Its size is looked at first."""
    _, path = shared_head
    rewritten(path, **{CARD: bytes(2**20 + 1)})
    refused(capsys, path, "README.md has 1,048,577 bytes, more than any head's")


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
