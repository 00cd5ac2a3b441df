"""`score --pairs`: scores from a few rated pictures, for any feature set and for a network."""

import csv
import dataclasses
import io

import numpy as np
import pytest
from conftest import picture, write_pictures
from test_commands import call

from features.encoders import ENCODERS
from features.encoders.nss import NSS, nss_embedding
from pipeline.fewshot import read_pairs
from regressors.fewshot import FewShot


@pytest.fixture
def rated(tmp_path):
    """Thirty pictures whose noise decides their score, and pairs.csv with six of them."""
    names = write_pictures(tmp_path, 30)
    lines = [f"{names[i]},{80 - 6 * (i % 10)}" for i in (0, 2, 5, 7, 11, 18)]
    (tmp_path / "pairs.csv").write_text("image,score\n" + "\n".join(lines) + "\n")
    return tmp_path


def rows(out: str) -> list[dict]:
    """The CSV on stdout."""
    return list(csv.DictReader(io.StringIO(out)))


def test_any_feature_set_scores_from_pairs(capsys, rated):
    """The numbers are those of the head on the pairs' embeddings, whatever else is scored."""
    rest = [str(rated / f"p{i:03d}.png") for i in (1, 3, 4, 20)]
    arguments = ("--pairs", str(rated / "pairs.csv"), "--features", "nss")
    code, out, _ = call(capsys, "score", *arguments, *rest)
    assert code == 0
    sizes = [(64, 48), (48, 64), (80, 60)]
    X = np.stack([nss_embedding(picture(i, *sizes[i % 3])) for i in (0, 2, 5, 7, 11, 18)])
    model = FewShot().fit(X, np.array([80 - 6 * (i % 10) for i in (0, 2, 5, 7, 11, 18)], float))
    for row, i in zip(rows(out), (1, 3, 4, 20), strict=True):
        numbers = model.interval(nss_embedding(picture(i, *sizes[i % 3]))[None])
        for name, (expected,) in zip(("score", "low", "high"), numbers, strict=True):
            assert float(row[name]) == pytest.approx(expected, abs=1e-3)
        assert (row["outside"], row["status"]) == ("", "ok")
    code, alone, _ = call(capsys, "score", *arguments, rest[2])
    assert rows(alone)[0] == rows(out)[2]


def test_the_order_of_pairs_changes_nothing(capsys, rated):
    """Pairs are a set."""
    lines = (rated / "pairs.csv").read_text().splitlines()
    (rated / "turned.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    found = [
        call(capsys, "score", "--pairs", str(rated / name), "--features", "nss", str(rated))[1]
        for name in ("pairs.csv", "turned.csv")
    ]
    for ours, expected in zip(rows(found[0]), rows(found[1]), strict=True):
        assert float(ours["score"]) == pytest.approx(float(expected["score"]), abs=2e-4)


def network(options, files, device):
    """A network of a test: the mean of the pairs' scores plus the picture's mean over 255."""

    def learn(pictures, scores):
        assert len(pictures) == len(scores)
        assert scores.min() >= 0 and scores.max() <= 1
        return lambda batch: scores.mean() + batch.mean(axis=(1, 2, 3)) / 255

    return learn


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (100, 0), (-5, 20)])
def test_a_network_scores_on_the_scale_of_the_pairs(capsys, rated, monkeypatch, scale, shift):
    """0..1 goes in as it is; any other scale is stretched, and what comes out put back."""
    judge = dataclasses.replace(NSS, name="judge", few_shot=network)
    monkeypatch.setitem(ENCODERS, "judge", judge)
    given = np.array([0.2, 0.5, 0.9])
    lines = [f"p{i:03d}.png,{shift + scale * score}" for i, score in enumerate(given)]
    (rated / "pairs.csv").write_text("image,score\n" + "\n".join(lines) + "\n")
    code, out, _ = call(
        capsys,
        "score",
        "--pairs",
        str(rated / "pairs.csv"),
        "--features",
        "judge",
        str(rated / "p003.png"),
    )
    assert code == 0
    pixels = picture(3, 64, 48).mean() / 255
    expected = given.mean() + pixels
    if scale != 1:
        ends = sorted((shift + scale * 0.2, shift + scale * 0.9))
        stretched = (shift + scale * given - ends[0]) / (ends[1] - ends[0])
        expected = ends[0] + (ends[1] - ends[0]) * (stretched.mean() + pixels)
    (row,) = rows(out)
    assert float(row["score"]) == pytest.approx(expected, abs=1e-3)
    assert (row["low"], row["high"]) == ("", "")


MISTAKES = {
    "no score column": ("image,mos\np000.png,1\n", "expected the columns image and score"),
    "no number": ("image,score\np000.png,good\n", "are not numbers"),
    "a picture twice": ("image,score\np000.png,1\np000.png,2\n", "stands there twice"),
    "no rows": ("image,score\n", "0 rated pictures, at least 3 are needed"),
    "decimal commas": ("image,score\np000.png,1,5\np001.png,2,5\n", "more values than"),
    "too few": ("image,score\np000.png,1\np001.png,2\n", "at least 3 are needed"),
    "all alike": ("image,score\np000.png,1\np001.png,1\np002.png,1\n", "all 3 scores are 1"),
    "not there": ("image,score\np000.png,1\np001.png,2\nno.png,3\n", "no.png cannot be used"),
    "leads out": ("image,score\n../../etc/passwd,1\n", "passwd"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_wrong_pairs_are_one_line(capsys, rated, case):
    """What was expected and what came, exit code 1."""
    text, reason = MISTAKES[case]
    (rated / "wrong.csv").write_text(text)
    arguments = ("--pairs", str(rated / "wrong.csv"), "--features", "nss", str(rated / "p000.png"))
    code, _, err = call(capsys, "score", *arguments)
    assert code == 1
    assert reason in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "give --run RUN, or --head"),
        (["--run", "x", "--pairs", "y.csv"], "give --run"),
        (["--run", "x", "--features", "nss"], "--features goes with --pairs"),
    ],
)
def test_run_and_pairs_exclude_each_other(capsys, rated, arguments, reason):
    """Wrong usage is exit code 2."""
    code, _, err = call(capsys, "score", *arguments, str(rated))
    assert (code, reason in err) == (2, True)


def test_pairs_may_have_prompts(tmp_path):
    """A column prompt goes to the encoders that take text."""
    names = write_pictures(tmp_path, 3)
    lines = [f"{name},{i},text {i}" for i, name in enumerate(names)]
    (tmp_path / "pairs.csv").write_text("image,score,prompt\n" + "\n".join(lines) + "\n")
    pictures, scores = read_pairs(tmp_path / "pairs.csv")
    assert [p.prompt for p in pictures] == ["text 0", "text 1", "text 2"]
    assert scores.tolist() == [0, 1, 2]


def test_nothing_that_is_read_is_overwritten(capsys, rated):
    """-o on the pairs is refused, and they stay."""
    pairs = rated / "pairs.csv"
    before = pairs.read_bytes()
    arguments = ("--pairs", str(pairs), "--features", "nss", str(rated / "p001.png"))
    code, _, err = call(capsys, "score", *arguments, "-o", str(pairs))
    assert (code, "would overwrite" in err) == (2, True)
    assert pairs.read_bytes() == before


def test_a_prompt_reaches_the_pairs(rated):
    """--prompt is that of every rated picture without one of its own."""
    pictures, _ = read_pairs(rated / "pairs.csv", "a fox")
    assert {one.prompt for one in pictures} == {"a fox"}
