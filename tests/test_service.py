"""What the page does, without the page: scores, maps, few-shot scores, and what is refused."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from conftest import ROOT, write_pictures
from finished import OTHER
from PIL import Image
from test_commands import call

from features.encoders import ENCODERS
from features.errors import InputError
from pipeline.serve.maps import cut, overlay
from pipeline.serve.service import MAX_PAIRS, MAX_PICTURES, Service


@pytest.fixture
def service(finished, tmp_path):
    """A service of the finished runs, with ten uploads."""
    uploads = tmp_path / "uploads"
    write_pictures(uploads, 10)
    return Service(finished.home / "runs", finished.home / "weights", uploads)


def known_head(service):
    """The name of a head whose encoder is known here."""
    return next(name for name in service.heads() if "· nss · ridge" in name)


@pytest.fixture
def head(service):
    """Its name, of the service above."""
    return known_head(service)


def uploads(service):
    """The paths of all uploads."""
    return [str(path) for path in sorted(service.uploads.iterdir())]


def test_heads_are_those_of_honest_runs_that_can_score(service, finished, monkeypatch):
    """Neither the optimistic runs are offered, nor those of an encoder that is not here."""
    assert len(finished.runs) == 6
    assert len(service.heads()) == 2 and all("· nss ·" in name for name in service.heads())
    assert not any("best-on-test" in name for name in service.heads())
    monkeypatch.setattr(Service, "_here", lambda self, name: True)
    assert len(service.heads()) == 4


def test_a_head_keeps_its_digits(service, head):
    """Another run may change what stands before them while a page is open."""
    other = "labels (123456) · " + head.split(" · ", 1)[1]
    assert service.head(other).facts == service.head(head).facts
    for name in (None, "", "labels", head[:-1]):
        with pytest.raises(InputError, match="Choose a head first"):
            service.head(name)


def test_scores_are_those_of_the_command(service, head, capsys, finished):
    """The same numbers as of `score`, ranked best first, and the same at the second time."""
    found = service.score(head, uploads(service))
    run = finished.runs["nss", "ridge"]
    _, out, _ = call(capsys, "score", "--run", run, service.uploads, "--json")
    expected = {row["picture"].split("/")[-1]: row for row in json.loads(out)}
    assert len(found) == len(expected) == 10
    for one in found:
        row = expected[one.picture.split("/")[-1]]
        assert (one.score, one.low, one.high, one.outside) == (
            *(row[name] for name in ("score", "low", "high")),
            row["outside"],
        )
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert [one.score for one in service.score(head, uploads(service))] == scores


def test_a_text_file_named_jpg_is_a_row(service, head):
    """It is last, with its reason; the others have their scores."""
    bad = service.uploads / "text.jpg"
    bad.write_text("no picture at all")
    *good, last = service.score(head, uploads(service))
    assert len(good) == 10 and all(one.status == "ok" for one in good)
    assert last.picture.endswith("text.jpg") and last.status != "ok"


def test_only_uploads_are_read(service, head, tmp_path):
    """Neither a path beside the uploads, nor a link out of them, nor a folder."""
    outside = tmp_path / "secret.png"
    Image.new("RGB", (64, 64)).save(outside)
    link = service.uploads / "link.png"
    link.symlink_to(outside)
    up = service.uploads / ".." / "secret.png"
    for path in (outside, up, link, service.uploads, f"{outside}\0"):
        for what in (
            lambda path: service.score(head, [str(path)]),
            lambda path: service.where(head, str(path)),
            lambda path: service.few_shot(["nss"], [(str(path), 1.0)] * 3, uploads(service)[:1]),
        ):
            with pytest.raises(InputError, match="Only uploaded pictures"):
                what(path)


def test_limits(service, head):
    """Nothing, too much, no head."""
    with pytest.raises(InputError, match="Drop some pictures"):
        service.score(head, [])
    with pytest.raises(InputError, match=f"at most {MAX_PICTURES}"):
        service.score(head, uploads(service)[:1] * (MAX_PICTURES + 1))
    with pytest.raises(InputError, match="Choose a head"):
        service.score("another", uploads(service))
    with pytest.raises(InputError, match="Choose a feature set"):
        service.few_shot(["../x"], [(file, 1.0) for file in uploads(service)[:3]], [])
    for count in (2, MAX_PAIRS + 1):
        with pytest.raises(InputError, match="Rate 3 to 10"):
            service.few_shot(["nss"], [(uploads(service)[0], 1.0)] * count, uploads(service))


def test_few_shot_is_that_of_the_command(service, capsys, tmp_path):
    """The same numbers as of `score --pairs`."""
    files = uploads(service)
    rated = list(zip(files[:5], (80, 70, 60, 50, 40), strict=True))
    found = service.few_shot(["nss"], rated, files[5:])
    lines = ["image,score", *(f"{os.path.basename(file)},{score}" for file, score in rated)]
    (service.uploads / "pairs.csv").write_text("\n".join(lines))
    arguments = ("--pairs", service.uploads / "pairs.csv", "--features", "nss", *files[5:])
    code, out, err = call(capsys, "score", *arguments, "--json")
    assert code == 0, err
    expected = {row["picture"].split("/")[-1]: row["score"] for row in json.loads(out)}
    for one in found:
        assert one.score == pytest.approx(expected[one.picture.split("/")[-1]], rel=1e-9)
    assert not [path for path in service.uploads.iterdir() if path.is_dir()]


def test_few_shot_by_several_sets(service, capsys, tmp_path, monkeypatch):
    """Sets side by side, one of them pretrained here, are the command's `a+b`."""
    pytest.importorskip("torch")
    mine = "pretrained:resnet18/mine"
    assert mine not in service.feature_sets()
    monkeypatch.setattr(service, "weights", tmp_path / "weights")
    path = tmp_path / "weights" / "pretrained" / "resnet18" / "mine.safetensors"
    path.parent.mkdir(parents=True)
    shutil.copy(ROOT / "features" / "encoders" / "quality-lite.safetensors", path)
    assert {mine, "nss"} <= set(service.feature_sets())
    files = uploads(service)[:5]
    pairs = service.uploads / "pairs.csv"
    rows = [f"{os.path.basename(file)},{score}" for score, file in enumerate(files[:3])]
    pairs.write_text("\n".join(["image,score", *rows]))
    found = service.few_shot(
        [mine, "nss"], [(f, k) for k, f in enumerate(files[:3])], [*files[3:], str(pairs)]
    )
    assert found[-1].status != "ok"  # the CSV is no picture
    places = ("--weights", service.weights, "--features", f"nss+{mine}")
    code, out, err = call(capsys, "score", "--pairs", pairs, *places, *files[3:], "--json")
    assert code == 0, err
    expected = {row["picture"].split("/")[-1]: row["score"] for row in json.loads(out)}
    for one in found[:-1]:
        assert one.score == pytest.approx(expected[one.picture.split("/")[-1]], rel=1e-6)


def test_few_shot_sets_are_those_that_can_be_had(service, monkeypatch):
    """Of the heads' sets, those that are known here; one that takes text asks for it."""
    texted = dataclasses.replace(ENCODERS["nss"], name=OTHER, prompted=lambda values: True)
    assert OTHER not in service.feature_sets()
    monkeypatch.setitem(ENCODERS, OTHER, texted)
    assert OTHER in service.feature_sets()
    rated = [(file, float(k)) for k, file in enumerate(uploads(service)[:3])]
    with pytest.raises(InputError, match="prompt"):
        service.few_shot([OTHER], rated, uploads(service)[3:])
    found = service.few_shot([OTHER], rated, uploads(service)[3:], "a fox")
    assert [one.status for one in found] == ["ok"] * 7
    for prompt in ("\ud800", "a\0"):
        with pytest.raises(InputError, match="is not plain UTF-8 text"):
            service.few_shot(["nss"], rated, uploads(service)[3:], prompt)
    with pytest.raises(InputError, match="Choose a feature set"):
        service.few_shot([], rated, uploads(service)[3:])
    monkeypatch.setattr("pipeline.serve.service._KEPT", 1)
    with pytest.raises(InputError, match="at most 1 encoders"):
        service.few_shot(["nss", OTHER], rated, uploads(service)[3:], "a fox")


def test_a_feature_set_is_here_with_the_files_of_its_options(tmp_path, known_weights):
    """Not with those of all options; and what no network can be is not here."""
    pytest.importorskip("timm")
    weights = tmp_path / "weights"
    for name in ("resnet18/a+nss", "resnet18/a b", "vit_tiny_patch16_224/mine", "none/mine"):
        path = weights / "pretrained" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
    service = Service(tmp_path / "runs", weights, tmp_path)
    assert not any("pretrained" in name for name in service.feature_sets())
    shutil.copy(known_weights("uiqa") / "UIQA.pth", weights)
    assert service._here("uiqa") and not service._here("uiqa[weights=imagenet]")
    assert "uiqa" in service.feature_sets()


def test_a_rated_picture_that_cannot_be_read(service):
    """The message names the upload, not a copy in a temporary folder."""
    bad = service.uploads / "bad.png"
    bad.write_text("no picture")
    rated = [(file, float(k)) for k, file in enumerate([*uploads(service)[:3], str(bad)])]
    with pytest.raises(InputError) as caught:
        service.few_shot(["nss"], rated, uploads(service)[:1])
    assert str(caught.value).startswith("The rated picture bad.png cannot be used: ")


def test_map(service, head):
    """A picture whose right half is noise: the halves' parts do not score alike."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :512]
    pixels = np.repeat((127 + 100 * np.sin(x / 25) * np.cos(y / 31))[:, :, None], 3, axis=2)
    pixels[:, 256:] += rng.normal(0, 60, (256, 256, 3))
    path = service.uploads / "halves.png"
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    image, low, high = service.where(head, str(path))
    assert image.size == (512, 256) and low < high
    colours = np.asarray(image, float).mean(axis=0)
    # blue is good, red is bad: the halves differ in red minus blue
    redness = colours[:, 0] - colours[:, 2]
    assert abs(redness[300:].mean() - redness[:212].mean()) > 20
    assert not [path for path in service.uploads.iterdir() if path.is_dir()]
    with pytest.raises(InputError, match="too small for a map"):
        service.where(head, uploads(service)[-1])


@pytest.mark.parametrize("size", [(64, 128), (100, 1000), (1777, 999), (130, 129)])
def test_parts_cover_the_picture(size):
    """Every pixel is in one part, and no part is smaller than allowed."""
    pixels = np.arange(size[0] * size[1] * 3, dtype=np.uint32).reshape(*size, 3)
    parts, (rows, columns) = cut(pixels)
    assert len(parts) == rows * columns > 1 and max(rows, columns) <= 8
    assert min(min(part.shape[:2]) for part in parts) >= 64
    assert np.array_equal(np.sort(np.concatenate([p.ravel() for p in parts])), pixels.ravel())


def test_overlay_colours():
    """The best part is blue, the worst red, one without a score neither."""
    image = np.asarray(overlay(np.full((90, 90, 3), 128, np.uint8), np.array([[0.0, np.nan, 1.0]])))
    red, middle, blue = (image[45, x].astype(int) for x in (2, 45, 87))
    assert red[0] - red[2] > 40 and blue[2] - blue[0] > 40 and abs(middle[0] - middle[2]) < 40
