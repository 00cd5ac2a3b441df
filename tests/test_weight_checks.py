"""Whether files are right, seen by building: each kind of wrong file is a clear line."""

import os
import re
import zipfile

import pytest
import tiny

from features import weight_record
from features.engine import load_encoder
from features.errors import InputError, UsageError
from features.names import parse
from features.weight_checks import accept, verify, verify_all
from features.weight_files import PRESENT, WRONG, all_requests, file_of, owner, survey

torch = pytest.importorskip("torch")


@pytest.fixture
def encoder(monkeypatch):
    """The one encoder that there is."""
    return tiny.register(monkeypatch)


@pytest.fixture
def weights(tmp_path, encoder):
    """A weights folder with its file."""
    tiny.write(tmp_path / "weights" / tiny.FILENAME)
    return tmp_path / "weights"


class Trap:
    """Unpickling this creates a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def spoil(path, kind):
    """Put something else into the place of the file."""
    whole = path.read_bytes()
    state = tiny.tensors()
    content = {
        "empty": b"",
        "page": b"<html><title>Sign in</title></html>",
        "half": whole[: len(whole) // 2],
        "list": [1, 2],
        "other model": {"conv1.weight": torch.ones(3)},
        "wider": {"model": tiny.tensors(width=5)},
        "no head": {"model": {k: v for k, v in state.items() if "head" not in k}},
        "more": {"model": state | {"module.body.x": torch.ones(1), "module.body.y": torch.ones(2)}},
        "text": {"model": state | {"module.body.bias": "a text"}},
        "nan": {"model": state | {"module.body.bias": torch.full((4,), torch.nan)}},
        "bomb": {"model": state, "opt": Trap(path.parent / "sprung")},
    }[kind]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)


LINES = {
    "empty": [r"^{path} is empty, no weight file"],
    "page": [r"^{path} is a web page, no weight file"],
    "half": [r"^{path} cannot be read as weights"],
    "list": [r"^{path} cannot be read as tiny \(AttributeError"],
    "other model": [r"^{path} is not a tiny file"],
    "wider": [
        r"^{path}: of 3 tensors, 2 of another shape: bias 5, expected 4, weight 5x3, .* 4x3$"
    ],
    "no head": [r"^{path}: of 2 tensors, 2 missing: bias, weight$"],
    "more": [r"^{path}: of 3 tensors, 2 extra: x, y$"],
    "text": [r"^{path}: of 3 tensors, 1 of another shape: bias is no tensor, expected 4$"],
    "nan": [r"^{path} hold numbers with which tiny gives none that is finite$"],
    "bomb": [r"^{path} is not a plain weight file .* never run"],
}


@pytest.mark.parametrize("kind", LINES)
def test_a_wrong_file(weights, kind):
    """Each says its file and what is wrong in one line; nothing is run, and no use is recorded."""
    path = weights / tiny.FILENAME
    spoil(path, kind)
    verdict = verify(parse("tiny")[0], weights)
    assert len(verdict.problems) == len(LINES[kind]) and not verdict.absent
    for problem, pattern in zip(verdict.problems, LINES[kind], strict=True):
        assert "\n" not in problem
        assert re.search(pattern.format(path=re.escape(str(path))), problem), problem
    assert not (weights / "sprung").exists()
    assert verdict.name == ("tiny[head]" if kind == "no head" else "tiny")


def test_a_safetensors_file_of_another_model(weights):
    """The converted file comes first, and is judged as any other."""
    from safetensors.torch import save_file

    save_file({"conv1.weight": torch.ones(3)}, weights / "tiny.safetensors")
    (problem,) = verify(parse("tiny")[0], weights).problems
    assert problem.startswith(f"{weights}/tiny.safetensors is not a tiny file")


def test_a_right_file(weights):
    """Verified is used: from then on it is on record."""
    verdict = verify(parse("tiny")[0], weights)
    assert verdict.paths == (weights / tiny.FILENAME,) and not verdict.faults
    assert weight_record.lookup(weights / tiny.FILENAME)[1].first_used


def test_a_byte_that_flipped(weights):
    """torch does not compare the archive's checksums; verify does."""
    path = weights / tiny.FILENAME
    with zipfile.ZipFile(path) as archive:
        entry = next(e for e in archive.infolist() if "/data/" in e.filename)
    data = bytearray(path.read_bytes())
    spot = data.index(torch_bytes(path, entry))
    data[spot + 2] ^= 1
    path.write_bytes(data)
    torch.load(path, weights_only=True)
    (problem,) = verify(parse("tiny")[0], weights).problems
    assert problem == f"{path} is damaged (in {entry.filename}): download it again"


def torch_bytes(path, entry) -> bytes:
    """The bytes of an entry as they lie in the archive."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(entry)


def test_absent_files(weights):
    """Named, an absent file is a fault; all together, what is absent is left out."""
    (weights / tiny.FILENAME).unlink()
    verdict = verify(parse("tiny")[0], weights)
    assert "tiny.pth is not in" in verdict.absent and verdict.faults == (verdict.absent,)
    assert [bool(v.absent) for v in verify_all(weights)] == [True, True]


def test_the_file_of_an_option(weights):
    """Every choice of files is a variant of its own."""
    assert [request.name for request in all_requests()] == ["tiny", "tiny[extra]"]
    torch.save({"weight": torch.ones(4, 5)}, weights / "extra.pth")
    plain, extra = verify_all(weights)
    assert plain.faults == ()
    assert extra.problems == (
        f"{weights}/extra.pth: of 1 tensors, 1 of another shape: weight 4x5, expected 4x4",
    )
    torch.save({"weight": torch.ones(4, 4)}, weights / "extra.pth")
    assert [verdict.faults for verdict in verify_all(weights)] == [(), ()]


def test_options_that_do_not_go_together(weights):
    """Asked for, they are an error of usage; tried by us, they are left out."""
    torch.save({"weight": torch.ones(4, 4)}, weights / "extra.pth")
    assert not verify(parse("tiny[extra]")[0], weights).faults
    with pytest.raises(UsageError, match="do not go together"):
        verify(parse("tiny[extra,head]")[0], weights)


def test_a_file_elsewhere(weights, tmp_path):
    """It is read where it lies, and leaves no record."""
    path = tiny.write(tmp_path / "elsewhere.bin", seed=1)
    request = parse("tiny")[0]
    role = file_of(request, path).role
    assert not verify(request, tmp_path / "none", {role: path}).faults
    assert not list(tmp_path.rglob("known.json"))


def test_which_file_of_several(encoder, tmp_path):
    """The only one, or the one of that name, or of that role; otherwise it is asked."""
    plain, both = parse("tiny")[0], parse("tiny[extra]")[0]
    assert file_of(plain, tmp_path / "whatever.pt").filename == "tiny.pth"
    assert file_of(both, tmp_path / "Extra.safetensors").filename == "extra.pth"
    assert file_of(both, tmp_path / "tiny-v1.pth").filename == "tiny.pth"
    assert file_of(both, tmp_path / "x.pth", "extra").filename == "extra.pth"
    for request, role in ((both, ""), (plain, "extra")):
        with pytest.raises(UsageError, match=r"which file of tiny.*tiny.pth \(--role network\)"):
            file_of(request, tmp_path / "x.pth", role)


def test_a_changed_file_is_accepted_when_it_is_right(weights):
    """Its new content is on record; a wrong one is not."""
    path, request = weights / tiny.FILENAME, parse("tiny")[0]
    load_encoder(request, weights)
    spoil(path, "wider")
    (verdict,) = accept([path], weights, all_requests())
    assert "another shape" in verdict.problems[0]
    tiny.write(path, seed=5)
    assert "not the file that was first used" in verify(request, weights).problems[0]
    assert survey([request.encoder], weights)[0].state == WRONG
    (verdict,) = accept([path], weights, all_requests())
    assert not verdict.faults
    load_encoder(request, weights)
    assert survey([request.encoder], weights)[0].state == PRESENT


def test_two_files_that_changed_together(weights):
    """One is right only beside the other: both are accepted at once."""
    request = parse("tiny[extra]")[0]
    paths = [weights / tiny.FILENAME, weights / "extra.pth"]
    torch.save({"weight": torch.ones(4, 4)}, paths[1])
    load_encoder(request, weights)
    tiny.write(paths[0], seed=1)
    torch.save({"weight": torch.zeros(4, 4)}, paths[1])
    assert accept(paths[1:], weights, [request])[0].faults
    assert not accept(paths, weights, [request])[0].faults
    load_encoder(request, weights)


def test_only_files_of_encoders_are_accepted(weights, monkeypatch):
    """By whatever path they are named; and never one that was not published."""
    link = weights.parent / "link"
    link.symlink_to(weights)
    request, file, place = owner(link / tiny.FILENAME, weights, all_requests())
    assert (request.name, file.role, place) == ("tiny", "network", weights / tiny.FILENAME)
    with pytest.raises(InputError, match="no encoder looks for"):
        accept([tiny.write(weights / "other.pth")], weights, all_requests())
    tiny.register(monkeypatch, tiny.tiny(sha256="0" * 64))
    with pytest.raises(InputError, match="not the published file"):
        accept([weights / tiny.FILENAME], weights, all_requests())


def test_survey(weights, monkeypatch):
    """What is there, without reading it; a size other than published and a page are wrong."""
    path = weights / tiny.FILENAME
    monkeypatch.setattr(weight_record, "file_sha256", None)  # nothing is read whole
    found, extra = survey([tiny.tiny()], weights)
    assert (found.state, found.path, found.known) == (PRESENT, path, None)
    assert (extra.state, extra.path) == ("absent", None)
    found = survey([tiny.tiny(size=5)], weights)[0]
    assert found.state == WRONG and "published are 5" in found.reason
    spoil(path, "page")
    assert "a web page" in survey([tiny.tiny()], weights)[0].reason
