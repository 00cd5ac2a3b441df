"""`score -o` resumed after any kill, and refused where the scores would be others."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import picture, write_pictures
from drawn import partial_of, score, write_folder, write_run
from PIL import Image
from test_commands import call

from features.files import locked
from pipeline import partial


@pytest.fixture
def run_path(tmp_path):
    """A run whose head is drawn."""
    return write_run(tmp_path / "run")


@pytest.fixture
def folder(tmp_path):
    """Pictures to score."""
    return write_folder(tmp_path / "pictures")


DRIVER = """
import os, signal, sys
from features import files
from pipeline import cli, partial, score
stage, k, *arguments = sys.argv[1:]
seen = []

def kill(name):
    seen.append(name)
    if name == stage and seen.count(name) == int(k):
        os.kill(os.getpid(), signal.SIGKILL)

files.stage = kill
partial.PART_ROWS = 8
cli.ISOLATED = False
remove = partial.Partial.remove
partial.Partial.remove = lambda self: (kill("before remove"), remove(self))
cli.run(lambda _: score.main(arguments))
"""


def start(stage, k, run_path, folder, output):
    """Begin to score in a process of its own, to be killed at a stage for the k-th time."""
    arguments = (stage, k, "--run", run_path, folder, "-o", output)
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def said(kept):
    """The line of a run that goes on."""
    return f"resuming: {kept} of 20 are scored"


# In parts of eight rows, twenty pictures are five files: settings, three parts, the output.
KILLS = [
    *[pytest.param("before rename", k, kept) for k, kept in ((3, 7), (5, 19))],
    *[
        pytest.param(stage, k, kept, marks=pytest.mark.slow)
        for stage, k, kept in (
            ("before write", 1, 0),
            ("before rename", 2, 0),
            ("before flush", 4, 15),
            ("before remove", 1, 19),
        )
    ],
]


@pytest.mark.parametrize(("stage", "k", "kept"), KILLS)
def test_killed_and_resumed(capsys, tmp_path, run_path, folder, stage, k, kept):
    """Absent or whole after any kill, and in the end to the byte what it would have been."""
    score(capsys, run_path, folder, tmp_path / "whole.csv")
    output = tmp_path / "s.csv"
    process = start(stage, k, run_path, folder, output)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert output.exists() == (stage == "before remove")
    _, err = score(capsys, run_path, folder, output)
    assert (said(kept) in err) == bool(kept)
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def interrupted(capsys, monkeypatch, run_path, folder, output, after=1):
    """Score, stopped by Ctrl-C after so many blocks."""
    add, seen = partial.Partial.add, []

    def stop(self, scores):
        add(self, scores)
        seen.append(scores)
        if len(seen) == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(partial.Partial, "add", stop)
        code, _, err = call(capsys, "score", "--run", run_path, folder, "-o", output)
    assert code == 1 and f"what is scored is in {partial_of(output)}" in err
    assert not output.exists()


def test_an_interrupted_run_keeps_what_is_scored(capsys, monkeypatch, tmp_path, run_path, folder):
    """Also the part in hand; Parquet resumes to the same table."""
    pq = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "s.parquet"
    score(capsys, run_path, folder, tmp_path / "whole.parquet")
    interrupted(capsys, monkeypatch, run_path, folder, output, after=2)
    _, err = score(capsys, run_path, folder, output)
    assert said(15) in err
    ours, expected = (pq.read_table(tmp_path / f"{n}.parquet") for n in ("s", "whole"))
    assert ours.equals(expected, check_metadata=True)


def test_what_changed_is_scored_again(capsys, monkeypatch, tmp_path, run_path, folder):
    """A changed picture, and one that failed and is mended; blocks that are done are left alone."""
    output = tmp_path / "s.csv"
    interrupted(capsys, monkeypatch, run_path, folder, output, after=2)
    Image.fromarray(picture(77)).save(folder / "p010.png")
    Image.fromarray(picture(78)).save(folder / "p003.png")
    out, err = score(capsys, run_path, folder, output, "--json")
    assert said(14) in err and json.loads(out)["failed"] == 0
    score(capsys, run_path, folder, tmp_path / "whole.csv")
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_picture_that_is_gone_keeps_its_score(capsys, monkeypatch, tmp_path, run_path, folder):
    """A disk that is not mounted takes no score away, also where others of its block are redone."""
    names = sorted(path.name for path in folder.iterdir() if "," not in path.name)
    (folder / "l.csv").write_text("image\n" + "\n".join(names) + "\n")
    score(capsys, run_path, folder / "l.csv", tmp_path / "whole.csv")
    interrupted(capsys, monkeypatch, run_path, folder / "l.csv", tmp_path / "s.csv")
    (folder / names[0]).unlink()
    _, err = score(capsys, run_path, folder / "l.csv", tmp_path / "s.csv")
    assert "resuming: 7 of 19 are scored" in err
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_another_list_of_pictures(capsys, monkeypatch, tmp_path, run_path, folder):
    """What is not asked for any more is left out; what is scored already is not lost."""
    output = tmp_path / "s.csv"
    interrupted(capsys, monkeypatch, run_path, folder, output, after=2)
    (folder / "p000.png").unlink()
    write_pictures(tmp_path / "more", 1)
    shutil.move(tmp_path / "more" / "p000.png", folder / "q000.png")
    _, err = score(capsys, run_path, folder, output)
    assert said(14) in err
    score(capsys, run_path, folder, tmp_path / "whole.csv")
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_other_settings_are_refused(capsys, monkeypatch, tmp_path, run_path, folder):
    """Another head, another limit: one line that says what differs, and nothing is lost."""
    output = tmp_path / "s.csv"
    interrupted(capsys, monkeypatch, run_path, folder, output)
    before = sorted(partial_of(output).iterdir())
    arguments = ("score", "--run", run_path, folder, "-o", output)
    code, _, err = call(capsys, *arguments, "--max-megapixels", 5)
    assert code == 1 and "max_megapixels: 200.0 there, 5.0 now" in err
    assert "remove the folder, or name another output" in err
    write_run(run_path, seed=1)
    code, _, err = call(capsys, *arguments)
    assert code == 1 and "head of head.safetensors" in err and "Traceback" not in err
    assert sorted(partial_of(output).iterdir()) == before
    shutil.rmtree(partial_of(output))
    score(capsys, run_path, folder, output)


def test_a_damaged_part_is_one_line(capsys, monkeypatch, tmp_path, run_path, folder):
    """It is named; without it its pictures are scored again."""
    output = tmp_path / "s.csv"
    interrupted(capsys, monkeypatch, run_path, folder, output)
    part = partial_of(output) / "part-000000.csv"
    part.write_bytes(part.read_bytes()[:200])
    code, _, err = call(capsys, "score", "--run", run_path, folder, "-o", output)
    assert code == 1 and "part-000000.csv was damaged or changed" in err
    part.unlink()
    score(capsys, run_path, folder, output)


def test_two_runs_of_one_output(capsys, tmp_path, run_path, folder):
    """The second waits; when the first has written the output, it does not do it over again."""
    output = tmp_path / "s.csv"
    with locked(partial_of(output)):
        second = start("none", 0, run_path, folder, output)
        assert any("waiting for it" in line for line in second.stderr)
        output.write_text("whole")
        shutil.rmtree(partial_of(output))
    assert "another process wrote" in second.communicate(timeout=60)[1]
    assert second.returncode == 1
    assert output.read_text() == "whole" and not partial_of(output).exists()


def test_few_shot_resumes(capsys, monkeypatch, tmp_path, folder):
    """Scores from pairs are kept like any others; other ratings are other scores."""
    ratings = [(0, 80), (2, 68), (7, 38), (11, 74)]
    pairs, output = tmp_path / "pictures" / "pairs.csv", tmp_path / "s.csv"

    def write(shift):
        lines = [f"p{i:03d}.png,{mos + shift}" for i, mos in ratings]
        pairs.write_text("image,score\n" + "\n".join(lines) + "\n")

    write(0)
    arguments = ("score", "--pairs", pairs, "--features", "nss", folder, "-o")
    assert call(capsys, *arguments, tmp_path / "whole.csv")[0] == 0
    add = partial.Partial.add
    with monkeypatch.context() as patched:
        patched.setattr(partial.Partial, "add", lambda *a: (add(*a), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            call(capsys, *arguments, output)
    write(5)
    code, _, err = call(capsys, *arguments, output)
    assert code == 1 and "pairs: " in err
    write(0)
    code, _, err = call(capsys, *arguments, output)
    assert code == 0 and said(7) in err
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
