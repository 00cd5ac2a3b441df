"""The bank as pictures: files, the sheet, the table, and one line for a mistake."""

import json
import re

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from test_commands import call

from features.distortions import DISTORTIONS, distort
from pipeline.distort import SHEET, psnr

pytest.importorskip("torch", reason="one type of distortion is warped by torch")


@pytest.fixture
def photo(tmp_path):
    """A picture file."""
    path = tmp_path / "photo.png"
    Image.fromarray(picture(0, 90, 60)).save(path)
    return path


def test_every_type_and_level(capsys, photo, tmp_path):
    """A file for each, what the bank gives, and a sheet that shows them all."""
    folder = tmp_path / "new" / "folder"
    code, out, err = call(capsys, "distort", photo, "-o", folder, "--json")
    assert code == 0, err
    rows = json.loads(out)["pictures"]
    assert [(row["type"], row["level"]) for row in rows] == [
        (name, level) for name in DISTORTIONS for level in range(5)
    ]
    original = picture(0, 90, 60)
    for row in rows:
        written = np.array(Image.open(row["file"]))
        assert written.shape == original.shape
        assert row["psnr"] == psnr(original, written)
        assert row["parameter"] == DISTORTIONS[row["type"]].parameters[row["level"]]
    exact = distort(original, "imblurlens", 3, np.random.default_rng(0))
    np.testing.assert_array_equal(np.array(Image.open(folder / "imblurlens-3.png")), exact)
    sheet = np.array(Image.open(folder / SHEET))
    assert sheet.shape[0] >= 26 * 60 and sheet.shape[1] >= 5 * 90
    rows_of_sheet = sheet.reshape(26, -1, *sheet.shape[1:])
    assert all(one.min() < 128 for one in rows_of_sheet)  # no row is blank


def test_some_of_them(capsys, photo, tmp_path):
    """The table is in the list's order; a version does not depend on what else was asked for."""
    names = ["imjitter", "immeanshift"]
    asked = ["--type", *names, "--level", 4, 2]
    code, out, err = call(capsys, "distort", photo, "-o", tmp_path / "a", *asked)
    assert code == 0, err
    assert out.index("immeanshift") < out.index("imjitter") and "same" in out
    assert "4 pictures in" in out
    for seed, equal in ((0, True), (1, False)):
        again = ["--type", "imjitter", "--level", 4, "--seed", seed]
        assert call(capsys, "distort", photo, "-o", tmp_path / "b", *again)[0] == 0
        first, second = ((tmp_path / each / "imjitter-4.png").read_bytes() for each in ("a", "b"))
        assert (first == second) == equal


def test_the_list(capsys):
    """Number, name and parameters, without any picture."""
    code, out, _ = call(capsys, "distort", "--list")
    assert code == 0
    lines = out.splitlines()[1:]
    assert len(lines) == 26
    assert " ".join(lines[6].split()) == "7 imcompressjpeg JPEG 70 43 36 24 7"


@pytest.mark.parametrize(
    "arguments, code, expected",
    [
        (["--type", "imblurgaus"], 2, "--type: unknown distortion .*did you mean imblurgauss"),
        (["--level", "5"], 2, "expected 0 to 4, got '5'"),
        (["--seed", "x"], 2, "expected a whole number from 0"),
    ],
)
def test_wrong_options(capsys, photo, tmp_path, arguments, code, expected):
    """One line, and nothing is written."""
    found, _, err = call(capsys, "distort", photo, "-o", tmp_path / "out", *arguments)
    assert found == code
    assert re.search(expected, err.splitlines()[-1])
    assert not (tmp_path / "out").exists()


def test_wrong_pictures_and_places(capsys, photo, tmp_path):
    """No picture, one that is none, no folder to write in, and no -o."""
    (tmp_path / "text.jpg").write_text("none")
    cases = [
        ((tmp_path / "text.jpg", "-o", tmp_path / "out"), 1, "no picture in a format"),
        ((tmp_path / "absent.jpg", "-o", tmp_path / "out"), 1, "absent.jpg"),
        ((photo, "-o", photo), 1, "photo.png"),
        ((photo,), 2, "-o DIR"),
        (("-o", tmp_path / "out"), 2, "expected a picture"),
    ]
    for arguments, expected, text in cases:
        code, out, err = call(capsys, "distort", *arguments)
        assert (code, out) == (expected, "")
        assert text in err and len(err.splitlines()) == 1
