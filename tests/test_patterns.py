"""What a user types for tars: braces as a shell writes them out, stars, and names from patterns."""

import subprocess
from pathlib import Path

import pytest

from features.errors import InputError, UsageError
from pipeline.databases import cache_name, locate
from pipeline.databases.patterns import is_packed, is_tar, packed_name, refuse_other_urls, tars_of


@pytest.mark.parametrize(
    "pattern",
    [
        "s-{000..003}.tar",
        "s-{8..11}.tar",
        "s-{08..11}.tar",
        "s-{098..101}.tar",
        "{a,b}/x.tar",
        "{a,b}/s-{00..02}-{x,y}.tar",
        "s-{3..1}.tar",
    ],
)
def test_braces_are_those_of_bash(tmp_path, monkeypatch, pattern):
    """Ranges, zeros in front, lists, several braces: as bash writes them out."""
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(["bash", "-c", f"echo {pattern}"], capture_output=True, text=True)
    expected = done.stdout.split()
    for name in expected:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert tars_of(f"{tmp_path}/{pattern}") == [f"{tmp_path}/{name}" for name in expected]


def test_stars_are_what_is_there(tmp_path):
    """2 comes before 10, and other files are not taken."""
    for name in ("s-10.tar", "s-2.tar", "s-1.txt"):
        (tmp_path / name).touch()
    found = tars_of(f"{tmp_path}/s-*.tar")
    assert [Path(name).name for name in found] == ["s-2.tar", "s-10.tar"]


def test_a_file_that_is_called_like_a_pattern(tmp_path):
    """It is that file."""
    (tmp_path / "s-{0..1}.tar").touch()
    (tmp_path / "a[1]*.tar").touch()
    for name in ("s-{0..1}.tar", "a[1]*.tar"):
        assert tars_of(f"{tmp_path}/{name}") == [f"{tmp_path}/{name}"]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("s-{0..2}.tar", "2 of 3 tars are not there, the first is .*s-1.tar"),
        ("t-*.tar", "there is no such tar"),
        ("none.tar", "this tar is not there"),
        ("s-{0..9999999}.tar", "over 100,000 numbers"),
        ("{0..999}{0..999}.tar", "stands for 1,000,000 tars"),
        ("s-{x}.tar", r"expected a range such as .*found \{x\}"),
    ],
)
def test_what_is_not_there(tmp_path, pattern, reason):
    """One line that says what."""
    (tmp_path / "s-0.tar").touch()
    with pytest.raises(UsageError, match=reason) as error:
        tars_of(f"{tmp_path}/{pattern}")
    assert "\n" not in str(error.value)


def test_names_come_from_patterns(tmp_path, monkeypatch):
    """The same pattern from anywhere is one database; another place is another."""
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    name = packed_name("s-{000..099}.tar")
    assert name.startswith("s-000..099-") and len(name) == len("s-000..099-") + 6
    assert name == packed_name("../a/s-{000..099}.tar") == cache_name("s-{000..099}.tar")
    assert name == locate("s-{000..099}.tar", None, tmp_path).name
    monkeypatch.chdir(tmp_path)
    assert packed_name("s-{000..099}.tar") != name
    assert packed_name("a/*.tar").startswith("a-")
    assert packed_name("s3://bucket/photos/").startswith("photos-")
    # a signature changes from day to day, and a password is nobody's business
    assert packed_name("https://me:pw@h/x.tar?sig=1") == packed_name("https://h/x.tar?sig=2")


def test_what_is_taken_for_tars(tmp_path):
    """URLs and names of tars; folders and CSVs are what they were."""
    (tmp_path / "folder.tar").mkdir()
    assert is_packed("x.tar") and is_packed("s3://b/c") and is_packed("x.tar.gz")
    assert is_packed("http://h/x.tar?token=1") and is_tar("http://h/x.TAR?token=1")
    assert not is_packed(str(tmp_path / "folder.tar"))
    assert not is_packed("my.csv") and not is_packed("koniq")


@pytest.mark.parametrize("end", ["a.jpg", "labels.csv", "x.zip"])
def test_urls_of_other_files(end):
    """They say what can be given."""
    with pytest.raises(InputError, match="expected a URL of tars or of a folder"):
        refuse_other_urls(f"https://me:pw@host/{end}")


def test_wrong_uses(tmp_path):
    """--root beside tars, a kind of URL that is not known."""
    with pytest.raises(UsageError, match="not with tars"):
        locate("x.tar", tmp_path, tmp_path)
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match="nonsense"):
        locate("nonsense://x/y.tar", None, tmp_path)()
