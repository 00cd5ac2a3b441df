"""Distorted versions: drawn from the name and the seed, cached apart, in training parts only."""

import numpy as np
import pytest
from conftest import assert_same, picture, plan_of, write_csv, write_pictures
from test_fitting import data

import features
from features import Augmented, reading
from features.augment import LEVELS, Change, augmented, changes
from features.cache.load import load_augmented
from features.distortions import DISTORTIONS, distort
from features.encoders.nss import nss_embedding
from features.errors import InputError, UsageError
from features.plan import Picture
from pipeline import splits
from pipeline.extract import run_extract
from pipeline.fit import run_fit
from pipeline.settings import How, settings_of
from pipeline.training import _inner_rows, training_parts

pytest.importorskip("torch", reason="one type of distortion is warped by torch")


def test_more_versions_only_add():
    """The first two of five are the two; no type comes twice; levels 0 to 3."""
    five = changes("a.png", 5)
    assert changes("a.png", 2) == five[:2]
    assert len({change.distortion for change in five}) == 5
    everything = [c for name in "abcdefgh" for c in changes(name, len(DISTORTIONS))]
    assert {change.level for change in everything} == set(LEVELS)
    assert {change.distortion for change in everything} == set(DISTORTIONS)


def test_draws_follow_name_and_seed():
    """Another name or seed draws others, the same ones the same."""
    assert changes("a.png", 4) == changes("a.png", 4)
    assert [c.distortion for c in changes("b.png", 4)] != [
        c.distortion for c in changes("a.png", 4)
    ]
    assert changes("a.png", 4, seed=1) != changes("a.png", 4)


@pytest.mark.parametrize("n", [0, -1, len(DISTORTIONS) + 1])
def test_impossible_numbers_are_refused(n):
    """There is one version for each type."""
    with pytest.raises(UsageError, match=r"--augment .*expected 1 to"):
        changes("a.png", n)


def test_a_change_is_the_bank_s_distortion():
    """The same pixels as from the bank itself, and the original is left alone."""
    change = changes("a.png", 1)[0]
    pixels = picture(3)
    rng = np.random.default_rng(change.seed)
    np.testing.assert_array_equal(
        change(pixels), distort(picture(3), change.distortion, change.level, rng)
    )
    np.testing.assert_array_equal(pixels, picture(3))


@pytest.fixture
def versions(tmp_path):
    """The versions in this test's cache."""
    return lambda seed=0: load_augmented("db", "nss", tmp_path / "cache", seed=seed)


def test_versions_lie_beside_the_originals(plan, run, load, versions):
    """Originals load as ever; versions have type and level, and are what their names say."""
    run(plan, "nss", cache="plain")
    originals, apart = run(plan, "nss", augment=3)
    assert not originals.augmented and apart.augmented
    assert (apart.n_cached, len(apart.failures)) == (60, 3)  # one picture cannot be read
    assert apart.same_bytes == {}
    assert_same(load(), load(cache="plain"))
    found = versions()
    assert len(found.originals) == len(found.levels) == 57
    assert set(found.originals) == set(load().names)
    for change in changes(plan[0].name, 3):
        (row,) = (
            i
            for i, name in enumerate(found.originals)
            if (name, found.distortions[i]) == (plan[0].name, change.distortion)
        )
        assert found.levels[row] == change.level
        expected = nss_embedding(change(reading.read_picture(plan[0].path)[0]))
        np.testing.assert_array_equal(found.embeddings[row], expected)


def test_more_versions_keep_what_is_there(plan, run, versions):
    """Four after two computes two more for each; another seed is another folder."""
    run(plan, "nss", augment=2)
    before = versions()
    assert run(plan, "nss", augment=4)[1].n_new == 2 * 20
    after = versions()
    kept = {
        (n, t): e
        for n, t, e in zip(after.originals, after.distortions, after.embeddings, strict=True)
    }
    for name, kind, row in zip(
        before.originals, before.distortions, before.embeddings, strict=True
    ):
        np.testing.assert_array_equal(kept[name, kind], row)
    with pytest.raises(InputError, match="no distorted versions .*--augment"):
        versions(seed=1)
    run(plan[:2], "nss", augment=1, seed=1)
    assert len(versions(seed=1).originals) == 2
    assert len(versions().originals) == 4 * 19


def test_a_picture_is_decoded_once_for_its_versions(plan, run, monkeypatch):
    """Eight versions share the pixels of one file."""
    opened = []
    whole = reading.read_picture
    monkeypatch.setattr(
        reading, "read_picture", lambda path, *rest: opened.append(path) or whole(path, *rest)
    )
    run(plan[:4], "nss", augment=8)
    assert len(opened) == 4 + 4  # once for the pictures, once for their versions


def test_plan_of_versions():
    """Each keeps file and prompt, under a name of its own."""
    plan = augmented([Picture("a.png", "x/a.png", "a cat")], 3)
    assert [one.path for one in plan] == ["x/a.png"] * 3
    assert {one.prompt for one in plan} == {"a cat"}
    assert len({one.name for one in plan}) == 3


def with_three(n_versions: int = 3) -> features.Augmented:
    """Data of 60 pictures, of which every one has so many versions with recognisable numbers."""
    plain = data()
    originals = [name for name in plain.names for _ in range(n_versions)]
    X = np.repeat(plain.X, n_versions, axis=0) + 1000
    return plain._replace(augmented=Augmented(originals, X, ["t"] * len(X), [0] * len(X)))


def test_versions_train_with_their_picture_and_are_never_judged():
    """For every fold: rows of versions come from the training part; validation has none."""
    rated, n = with_three(), 60
    folds = splits.draw_folds(rated.database.table, 10)
    X, trainings = training_parts(rated, folds)
    assert len(X) == 4 * n
    picture_of = np.concatenate([np.arange(n), np.repeat(np.arange(n), 3)])
    for fold, training in zip(folds, trainings, strict=True):
        train = splits.rows_of(rated.names, fold.train)
        own = picture_of[training.rows]
        np.testing.assert_array_equal(np.bincount(own, minlength=n)[train], 4)
        assert set(own) == set(train)
        assert training.n_judged == len(train)
        np.testing.assert_array_equal(training.rows[: len(train)], train)
        np.testing.assert_array_equal(training.y, rated.y[own])
        np.testing.assert_allclose(
            X[training.rows[len(train) :]], rated.X[own[len(train) :]] + 1000, rtol=1e-6
        )
        plain = _inner_rows(rated.names, train, fold)
        for (a, b), (plain_a, plain_b) in zip(training.inner, plain, strict=True):
            np.testing.assert_array_equal(b, plain_b)
            assert len(a) == 4 * len(plain_a)
            assert not set(rated.group[own[a]]) & set(rated.group[own[b]])


def test_without_versions_nothing_changes():
    """The settings of a run name versions only where there are some."""
    plain, more = data(), with_three()
    without, with_them = (settings_of(d, "nss", How(trials=5)) for d in (plain, more))
    assert with_them["augmented"] == 180
    assert "augmented" not in without
    assert {k: with_them[k] for k in without} == without


def test_from_extract_to_fit(tmp_path, own_home):
    """Both commands end to end; the test predictions are those of pictures alone."""
    path = write_csv(tmp_path / "rated", 60, groups=30)
    run_extract(str(path), features="nss", augment=2)
    plain, _ = run_fit([str(path)], ["nss"], how=How(trials=3))
    more, _ = run_fit([str(path)], ["nss"], how=How(trials=3), use_augmented=True)
    (folder, result), (other, expected) = more[0], plain[0]
    assert folder != other
    assert result["augmented"] == 120 and expected["augmented"] == 0
    assert [f["n_test"] for f in result["folds"]] == [f["n_test"] for f in expected["folds"]]
    names = (folder / "predictions.csv").read_text().splitlines()
    assert not any("@" in line for line in names)
    assert len(names) == len((other / "predictions.csv").read_text().splitlines())
    assert [f["inner_srcc"] for f in result["folds"]] != [
        f["inner_srcc"] for f in expected["folds"]
    ]


def test_versions_of_an_older_file_are_left_out(tmp_path, run, versions):
    """A picture that has changed does not train with what it was."""
    plan = plan_of(write_pictures_in(tmp_path / "pictures"))
    run(plan, "nss", augment=2)
    assert len(versions().originals) == 2 * len(plan)
    plan[0].path.write_bytes(plan[1].path.read_bytes())
    run(plan_of(tmp_path / "pictures"), "nss")
    assert plan[0].name not in versions().originals
    run(plan_of(tmp_path / "pictures"), "nss", augment=2)
    assert versions().originals.count(plan[0].name) == 2


def write_pictures_in(folder):
    """Four pictures."""
    write_pictures(folder, 4)
    return folder


def test_another_seed_is_named_to_fit(tmp_path, capsys):
    """`--augment-seed` is what `extract --seed` was; uneven numbers are warned of."""
    path = write_csv(tmp_path / "rated", 60, groups=30)
    run_extract(str(path), features="nss", augment=1, seed=5)
    with pytest.raises(InputError, match="no distorted versions"):
        run_fit([str(path)], ["nss"], how=How(trials=2), use_augmented=True)
    results, _ = run_fit(
        [str(path)], ["nss"], how=How(trials=2), use_augmented=True, augment_seed=5
    )
    assert results[0][1]["augmented"] == 60
    assert "1 of each picture" in capsys.readouterr().err


def test_a_lack_of_memory_is_one_version_s_failure(plan, run, monkeypatch):
    """The others are embedded."""

    def full(self, pixels):
        raise MemoryError

    monkeypatch.setattr(Change, "__call__", full)
    _, apart = run(plan[:3], "nss", augment=2)
    assert set(apart.failures.values()) <= {f"not enough memory for {name}" for name in DISTORTIONS}
    assert len(apart.failures) == 6
