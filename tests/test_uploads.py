"""The folder of uploads: it goes with its page, and what a killed page left goes with the next."""

import os
import subprocess
import sys
import tempfile

import pytest

from features.errors import InputError
from pipeline.serve.uploads import PREFIX, uploads_folder

HELD = """
import sys
from pipeline.serve.uploads import uploads_folder
with uploads_folder() as folder:
    (folder / "one.png").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder of temporary files of the test's own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_it_is_ours_alone_and_goes_at_the_end(temporary):
    """Nobody else reads the pictures."""
    with uploads_folder() as folder:
        assert folder.parent == temporary and folder.stat().st_mode & 0o777 == 0o700
        (folder / "one.png").write_bytes(b"x")
    assert not any(temporary.iterdir())


def test_what_a_killed_page_left_goes_and_nothing_else(temporary, tmp_path):
    """A living page's uploads stay, and so does what is a link or a file."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.png").touch()
    (temporary / f"{PREFIX}link").symlink_to(outside)
    (temporary / f"{PREFIX}file").touch()
    others = set(temporary.iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as page:
        left = page.stdout.readline().strip()
        with uploads_folder():
            assert os.path.exists(f"{left}/one.png")
        page.kill()
        page.wait()
        assert os.path.exists(f"{left}/one.png")
    with uploads_folder() as folder:
        assert set(temporary.iterdir()) == others | {folder}
    assert (outside / "mine.png").exists()


def test_a_page_that_starts_at_the_same_moment(temporary, monkeypatch):
    """It may take the new folder for one that was left, before it is held: another is made."""
    made, make = [], tempfile.mkdtemp

    def mkdtemp(*arguments, **more):
        folder = make(*arguments, **more)
        if not made:
            os.rmdir(folder)
        made.append(folder)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with uploads_folder() as folder:
        assert str(folder) == made[1] and list(temporary.iterdir()) == [folder]


def test_where_nothing_can_be_locked(temporary, monkeypatch):
    """One line, and no endless search."""

    def flock(*_):
        raise OSError("no locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(InputError, match="cannot be locked: set TMPDIR"), uploads_folder():
        pass
