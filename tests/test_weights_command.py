"""`python -m pipeline.weights` as a user meets it."""

import hashlib
import json
import os
import pickle
import re

import pytest
import tiny
from test_commands import call
from test_fetch import site  # noqa: F401 - a fixture

from features.encoders import ENCODERS
from features.files import file_sha256
from pipeline.weights import ACTIONS

torch = pytest.importorskip("torch")


@pytest.fixture
def weights(own_home, monkeypatch):
    """The weights folder of a home; there is one encoder, and its file is there."""
    tiny.register(monkeypatch, tiny.tiny(url="https://example.org/tiny.pth"))
    tiny.write(own_home / "weights" / tiny.FILENAME)
    return own_home / "weights"


def run(capsys, *arguments) -> tuple[int, list[str], str]:
    """Exit code, lines on stdout, last line on stderr."""
    code, out, err = call(capsys, "weights", *arguments)
    assert "Traceback" not in err
    return code, out.splitlines(), err.strip().splitlines()[-1]


def test_list(capsys, weights):
    """Each file: state, size, licence, what for, training data, page, how to get it, where."""
    code, lines, err = run(capsys)
    size = (weights / tiny.FILENAME).stat().st_size / 1e6
    assert code == 0 and err == f"weights {weights}"
    assert re.split(r"  +", lines[2]) == [
        *("tiny", "tiny.pth", "present", f"{size:.1f} MB", "see the official page", "all")
    ]
    assert re.split(r"  +", lines[3]) == [
        *("tiny", "extra.pth", "absent", "-", "see the official page", "extra=yes")
    ]
    text = "\n".join(lines[4:])
    assert "tiny: trained on KonIQ-10k" in text
    assert f"there as {weights}/tiny.pth" in text and "pipeline.weights fetch tiny)" in text
    assert "extra.pth from https://example.org/e: looked for as extra.safetensors, " in text


def test_list_of_the_real_encoders(capsys, own_home):
    """Every encoder with weights and each of its files stands in the table."""
    code, out, _ = call(capsys, "weights", "list", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [(row["encoder"], row["file"]) for row in rows] == [
        (name, file.filename) for name, encoder in ENCODERS.items() for file in encoder.weights
    ]
    for row in rows:
        assert row["state"] in ("absent", "in a package") and row["seen"] and row["page"]
        assert row["places"] or row["state"] == "in a package" or row["path"] is None
    code, lines, _ = run(capsys, "list", "reiqa+nss", "content-lite")
    assert code == 0 and {line.split()[0] for line in lines[2:5]} == {
        *("reiqa-quality", "reiqa-content", "content-lite")
    }


def test_list_says_what_is_wrong(capsys, weights):
    """A page in place of a file, and a file that changed since it was used."""
    assert run(capsys, "verify")[0] == 0
    _, out, _ = call(capsys, "weights", "--json")
    row = json.loads(out)[0]
    assert row["sha256"] == file_sha256(weights / tiny.FILENAME) and row["first_used"]
    tiny.write(weights / tiny.FILENAME, 1)
    code, lines, _ = run(capsys)
    assert code == 0 and " wrong " in lines[2] and any("first used on" in line for line in lines)


@pytest.mark.parametrize("weights_option", [True, False])
def test_verify(capsys, weights, tmp_path, weights_option):
    """All that is there, in the folder that is named."""
    arguments = ("--weights", weights) if weights_option else ()
    code, lines, err = run(capsys, "verify", *arguments)
    assert (code, lines) == (0, [f"right     tiny: {weights}/tiny.pth"])
    assert err == "not here: tiny[extra]"
    code, _, err = run(capsys, "verify", "--weights", tmp_path / "none")
    assert code == 1 and "no weight file is here to verify" in err


def bomb(path, sprung):
    """A plain pickle that creates a folder when it is read."""

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(sprung),)

    path.write_bytes(pickle.dumps({"model": Trap()}, protocol=2))


def test_verify_refuses_what_is_wrong(capsys, weights, tmp_path):
    """One line each, exit 1, nothing run."""
    path = weights / tiny.FILENAME
    whole = path.read_bytes()
    spoilers = {
        "is empty": lambda: path.write_bytes(b""),
        "is a web page": lambda: path.write_bytes(b"<!doctype html><p>Quota exceeded"),
        "cannot be read as weights": lambda: path.write_bytes(whole[:-200]),
        "is not a tiny file": lambda: torch.save({"fc.weight": torch.ones(2)}, path),
        "never run": lambda: bomb(path, tmp_path / "sprung"),
    }
    for reason, spoil in spoilers.items():
        spoil()
        for names in ((), ("tiny",)):
            code, lines, _ = run(capsys, "verify", *names)
            assert code == 1 and len(lines) == 1, lines
            assert lines[0].startswith(f"wrong     tiny: {path} ") and reason in lines[0]
    assert not (tmp_path / "sprung").exists()
    path.unlink()
    code, lines, _ = run(capsys, "verify", "tiny")
    assert code == 1 and lines[0].startswith("wrong     tiny: the weight file tiny.pth is not in")
    code, out, _ = call(capsys, "weights", "verify", "tiny", "--json")
    (verdict,) = json.loads(out)
    assert code == 1 and verdict["right"] is False and "is not in" in verdict["problems"][0]


def test_verify_a_file_elsewhere(capsys, weights, tmp_path):
    """--file and --as, by its name here or in the weights folder."""
    tiny.write(tmp_path / "x.bin", 2)
    code, lines, _ = run(capsys, "verify", "--file", tmp_path / "x.bin", "--as", "tiny")
    assert (code, lines) == (0, [f"right     tiny: {tmp_path}/x.bin"])
    code, lines, _ = run(capsys, "verify", "--file", "tiny.pth", "--as", "tiny[extra]")
    assert code == 1 and "the weight file extra.pth is not in" in lines[0]
    torch.save({"a": torch.ones(1)}, weights / "y.pth")
    code, lines, _ = run(capsys, "verify", "--file", "y.pth", "--as", "tiny")
    assert code == 1 and "y.pth is not a tiny file" in lines[0]


def test_accept(capsys, weights):
    """A change on purpose is put on record by the command that the error names."""
    run(capsys, "verify")
    tiny.write(weights / tiny.FILENAME, 1)
    code, lines, _ = run(capsys, "verify")
    command = re.search(r"python -m pipeline\.weights (verify --accept .*)$", lines[0])[1]
    assert code == 1
    code, lines, _ = run(capsys, *command.split())
    assert code == 0 and lines[0].startswith("right ")
    assert run(capsys, "verify", "tiny")[0] == 0


def test_import(capsys, weights, tmp_path):
    """A file with --as, and an encoder whose file is there."""
    code, lines, err = run(capsys, "import", "tiny")
    assert (code, lines) == (0, [f"imported  {weights}/tiny.safetensors"])
    assert "may go" in err
    (weights / "tiny.safetensors").unlink()
    source = tiny.write(tmp_path / "a.pth", 1)
    code, out, _ = call(capsys, "weights", "import", source, "--as", "tiny", "--json")
    assert code == 0 and json.loads(out) == [f"{weights}/tiny.safetensors"]
    _, out, _ = call(capsys, "weights", "--json")
    row = json.loads(out)[0]
    assert row["state"] == "present" and row["path"].endswith("tiny.safetensors")
    assert row["converted_from"] == row["sha256"] == file_sha256(source)


def test_fetch(capsys, own_home, monkeypatch, site, tmp_path):  # noqa: F811
    """What has an address and is not there; verified; then it is there."""
    source = tiny.write(tmp_path / "tiny.pth")
    site.data = source.read_bytes()
    digest = hashlib.sha256(site.data).hexdigest()
    tiny.register(monkeypatch, tiny.tiny(url=site.url, sha256=digest, size=len(site.data)))
    path = own_home / "weights" / tiny.FILENAME
    site.plan = [{"cut": 700}]
    code, lines, _ = run(capsys, "fetch")
    assert (code, lines) == (0, [f"fetched   {path}", f"right     tiny: {path}"])
    assert path.read_bytes() == site.data and site.offsets() == ["", "bytes=700-"]
    code, lines, _ = run(capsys, "fetch", "tiny")
    assert (code, lines) == (0, [f"there     {path}"]) and len(site.asked) == 2
    # a file without address, asked for by name
    code, lines, _ = run(capsys, "fetch", "tiny[extra]")
    assert code == 1 and lines[1].startswith("failed    extra.pth has no address")
    assert "https://example.org/e" in lines[1]


def test_fetch_the_wrong_file(capsys, own_home, monkeypatch, site):  # noqa: F811
    """Another checksum, no such file, another model: one line, exit 1."""
    tiny.register(monkeypatch, tiny.tiny(url=site.url, sha256="0" * 64))
    code, lines, _ = run(capsys, "fetch", "tiny")
    assert code == 1 and "SHA-256 is another" in lines[0] and len(lines) == 1
    assert list((own_home / "weights").iterdir()) == []
    site.plan = [{"status": 404}]
    code, out, _ = call(capsys, "weights", "fetch", "--json")
    (line,) = json.loads(out)["files"]
    assert code == 1 and line["state"] == "failed" and "404" in line["what"]
    tiny.register(monkeypatch, tiny.tiny(url=site.url))
    code, lines, _ = run(capsys, "fetch")
    assert code == 1 and lines[0].startswith("fetched") and lines[1].startswith("wrong     tiny: ")


def test_fetch_from_another_address(capsys, own_home, monkeypatch, tmp_path):
    """A mirror, or a disk, for a file that has no address of its own."""
    tiny.register(monkeypatch)
    source = tiny.write(tmp_path / "somewhere.pth")
    assert "no address" in run(capsys, "fetch", "tiny")[1][0]
    code, lines, _ = run(capsys, "fetch", "tiny", "--url", source.as_uri())
    assert code == 0 and lines[1].startswith("right")
    code, _, err = run(capsys, "fetch", "tiny", "--url", source.as_uri())
    assert code == 2 and "missing are none" in err


MISTAKES = {
    "list tniy": (2, "unknown encoder 'tniy': did you mean tiny"),
    "verify tiny[hed]": (2, "did you mean head"),
    "verfy": (2, "invalid choice: 'verfy'"),
    "verify --file tiny.pth": (2, "name the one encoder"),
    "verify --file tiny.pth --as tniy": (2, "did you mean tiny"),
    "verify --file no.pth --as tiny": (2, "there is no file no.pth"),
    "verify --as tiny": (2, "name one"),
    "verify tiny --file tiny.pth --as tiny": (2, "verified alone"),
    "verify --accept no.pth": (2, "there is no file"),
    "verify --accept known.json": (1, "no encoder looks for"),
    "import": (2, "required: FILE"),
    "import nowhere": (2, "unknown encoder"),
    "import tiny.pth --as tiny --role x": (2, "which file of tiny"),
    "import no.pth --as tiny": (2, "there is no file"),
    "fetch --url ftp://x/y tiny[extra]": (1, ""),
    "--jsn": (2, "unrecognized arguments"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line(capsys, weights, text):
    """The exit code, and what to do."""
    (weights / "known.json").write_text("{}")
    code, message = MISTAKES[text]
    got, lines, err = run(capsys, *text.split())
    assert got == code and (message in err or message in lines[0])


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_has_help(capsys, action):
    """With what it does and an example."""
    code, out, _ = call(capsys, "weights", action, "--help")
    assert code == 0 and "--weights DIR" in out and f"python -m pipeline.weights {action}" in out
