"""Where things lie."""

import pytest

from features.places import home, place


def test_home_is_the_variable_then_the_nearest_cache_then_here(tmp_path, monkeypatch):
    """A notebook in a sub-folder finds the cache of its repository."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    monkeypatch.delenv("MEANOPINION_HOME")
    assert home() == inner
    (tmp_path / "a" / "cache").mkdir()
    assert home() == tmp_path / "a"
    monkeypatch.setenv("MEANOPINION_HOME", str(tmp_path / "elsewhere"))
    assert home() == tmp_path / "elsewhere"


def test_each_place_has_its_own_choice(tmp_path, own_home):
    """What is chosen wins; a place that does not exist is a programmer's mistake."""
    assert place("runs") == own_home / "runs"
    assert place("runs", tmp_path / "r") == tmp_path / "r"
    with pytest.raises(ValueError, match="expected one of cache, runs"):
        place("tmp")
