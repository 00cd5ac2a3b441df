"""The embedded sample database."""

import numpy as np
import pytest

from features.errors import InputError, UsageError
from pipeline.databases import locate, sample


def open_database(*arguments):
    """Find a database and read it."""
    return locate(*arguments)()


@pytest.fixture
def small(monkeypatch):
    """Two photographs and two distortions of it."""
    pytest.importorskip("piq")
    photographs = dict(list(sample.photographs().items())[:2])
    monkeypatch.setattr(sample, "photographs", lambda: photographs)
    monkeypatch.setattr(sample, "TYPES", ("imblurgauss", "imnoisegauss"))


def test_photographs_are_as_announced():
    """At least eight, RGB, cut to 512x384."""
    pytest.importorskip("skimage")
    photographs = sample.photographs()
    assert len(photographs) >= 8
    for picture in photographs.values():
        assert picture.dtype == np.uint8 and picture.shape[2] == 3
        assert picture.shape[0] <= 384 and picture.shape[1] <= 512


def test_at_least_ten_types():
    """The sample covers the distortions it promises."""
    from features.distortions import DISTORTIONS

    assert len(sample.TYPES) >= 10
    assert set(sample.TYPES) <= set(DISTORTIONS)


def test_built_twice_alike(tmp_path, small):
    """The same pictures to the byte and the same scores; groups are the photographs."""
    first = open_database("sample", tmp_path / "a", tmp_path)
    second = open_database("sample", tmp_path / "b", tmp_path)
    assert first.table.equals(second.table)
    assert len(first.table) == 2 * 2 * 5
    assert first.table["group"].nunique() == 2
    assert first.table["mos"].between(0, 100).all()
    assert first.table["level"].isin(range(1, 6)).all()
    for name in first.table["name"]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert "not people's" in first.note


def test_stronger_distortion_scores_lower(tmp_path, small):
    """The metric falls with the level of blur and of noise."""
    table = open_database("sample", tmp_path / "a", tmp_path).table
    for _, rows in table.groupby(["group", "distortion"]):
        assert rows.sort_values("level")["mos"].is_monotonic_decreasing


def test_half_built_is_built_again(tmp_path, small):
    """A killed build leaves no database; the next one starts anew."""
    (tmp_path / ".a.building").mkdir()
    (tmp_path / ".a.building" / "junk.png").write_bytes(b"x")
    assert open_database("sample", tmp_path / "a", tmp_path).unlabelled == ()
    assert not (tmp_path / ".a.building").exists()


def test_a_folder_of_others_is_left_alone(tmp_path):
    """The sample is never built over files that are not its own."""
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files.*--db"):
        open_database("sample", tmp_path, tmp_path)
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_absent_package_is_named(tmp_path, monkeypatch):
    """Without scikit-image the error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(InputError, match=r"needs the package .*meanopinion\[lite\]"):
        sample.photographs()
