"""Sizes from headers, and what they alone say of scores."""

import os

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import picture, write_csv
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.errors import InputError
from pipeline import extract, sizes
from pipeline.databases.table import Database
from pipeline.extract import run_extract
from pipeline.protocols import PROTOCOLS
from pipeline.sizes import read_sizes, row_folds, size_baseline, write_sizes
from pipeline.splits import draw_folds
from regressors.intervals import group_draws, interval, median_draws


@pytest.fixture
def database(tmp_path):
    """Twelve pictures of several sizes, one on its side, one broken, one absent."""
    root = tmp_path / "pictures"
    (root / "sub").mkdir(parents=True)
    names = [f"sub/{index:03d}.png" for index in range(9)] + ["lying.jpg", "broken.png", "no.png"]
    for index, name in enumerate(names[:9]):
        Image.fromarray(picture(index, 20 + 3 * index, 40 - index)).save(root / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(0, 30, 20)).save(root / "lying.jpg", exif=exif)
    (root / "broken.png").write_bytes(b"no picture")
    return Database("db", root, pd.DataFrame({"name": names, "group": names}), {})


def test_sizes_are_those_of_the_files(tmp_path, database):
    """Width, height, bytes and time of every file that has a header."""
    path = write_sizes(tmp_path / "cache", database)
    table = pd.read_csv(path).set_index("name")
    assert path == tmp_path / "cache" / "sizes.csv"
    assert list(table.columns) == ["width", "height", "bytes", "mtime_ns"]
    assert list(table.index) == sorted({*database.table["name"]} - {"broken.png", "no.png"})
    for name, row in table.iterrows():
        size = (20, 30) if name == "lying.jpg" else Image.open(database.root / name).size
        assert (row["width"], row["height"]) == size
        state = os.stat(database.root / name)
        assert (row["bytes"], row["mtime_ns"]) == (state.st_size, state.st_mtime_ns)


def test_only_what_changed_is_read(tmp_path, database, monkeypatch):
    """Files of the same size and time are not opened; one of another time is."""
    path = write_sizes(tmp_path, database)
    before, written = path.read_bytes(), path.stat().st_mtime_ns
    opened = []

    def spied(file):
        opened.append(file.name)
        return upright_size(file)

    upright_size = sizes.upright_size
    monkeypatch.setattr(sizes, "upright_size", spied)
    write_sizes(tmp_path, database)
    assert sorted(opened) == ["broken.png", "no.png"]
    assert path.read_bytes() == before and path.stat().st_mtime_ns == written
    opened.clear()
    Image.fromarray(picture(1, 70, 30)).save(database.root / "sub/003.png")
    write_sizes(tmp_path, database)
    assert sorted(opened) == ["003.png", "broken.png", "no.png"]
    assert read_sizes(tmp_path, ["sub/003.png"])[0, :2].tolist() == [70, 30]
    path.write_bytes(b"name,width\nx,")
    write_sizes(tmp_path, database)
    assert len(pd.read_csv(path)) == 10


def test_pictures_that_left_leave_the_file(tmp_path, database):
    """The file holds the pictures of the database, whatever stood there before."""
    write_sizes(tmp_path, database)
    fewer = Database("db", database.root, database.table[:4], {})
    write_sizes(tmp_path, fewer)
    assert len(pd.read_csv(tmp_path / "sizes.csv")) == 4


def test_reading_joins_by_name(tmp_path, database):
    """Rows come in the order asked for, unknown ones as NaN; no file and a damaged one are None."""
    names = ["no.png", "sub/008.png", "lying.jpg", "other"]
    assert read_sizes(tmp_path, names) is None
    write_sizes(tmp_path, database)
    found = read_sizes(tmp_path, names)
    assert found.dtype == np.float64 and found.shape == (4, 3)
    assert np.isnan(found[[0, 3]]).all()
    assert found[1:3, :2].tolist() == [[44, 32], [20, 30]]
    assert found[1, 2] == os.path.getsize(database.root / "sub/008.png")
    assert read_sizes(tmp_path, ["no.png"]) is None and read_sizes(tmp_path, []) is None
    (tmp_path / "sizes.csv").write_bytes(b"\xff\xfe")
    assert read_sizes(tmp_path, names) is None


def test_names_that_look_like_numbers(tmp_path):
    """A picture named 007 or NA is found by that name."""
    names = ["007", "NA", "1e3"]
    for name in names:
        Image.fromarray(picture(1)).save(tmp_path / name, "PNG")
    database = Database("db", tmp_path, pd.DataFrame({"name": names, "group": names}), {})
    write_sizes(tmp_path / "cache", database)
    assert np.isfinite(read_sizes(tmp_path / "cache", names)).all()


def test_extraction_writes_sizes(tmp_path, own_home):
    """`extract` leaves the file beside table.csv."""
    database, _ = run_extract(str(write_csv(tmp_path / "own", 6)), features="nss")
    folder = own_home / "cache" / database.name
    assert len(pd.read_csv(folder / "sizes.csv")) == len(pd.read_csv(folder / "table.csv")) == 6


@pytest.mark.parametrize("error", [InputError("full"), OSError("gone"), RuntimeError("threads")])
def test_extraction_does_not_need_sizes(tmp_path, own_home, monkeypatch, capsys, error):
    """Whatever goes wrong with them is said, and the embeddings are made."""

    def fail(*arguments):
        raise error

    monkeypatch.setattr(extract, "write_sizes", fail)
    _, (done,) = run_extract(str(write_csv(tmp_path / "own", 6)), features="nss")
    assert done.n_new == 6
    assert f"no sizes for the size-only baseline: {error}" in capsys.readouterr().err


# --- the baseline


def rated(n=120, seed=0):
    """Names, sizes that say something of the scores, and groups of three."""
    rng = np.random.default_rng(seed)
    names = [f"{index:03d}.png" for index in range(n)]
    found = np.exp(rng.normal(6, 0.3, (n, 3))).round()
    y = np.log(found[:, 1]) + 0.3 * rng.normal(size=n)
    group = np.array([f"g{index // 3:02d}" for index in range(n)])
    table = pd.DataFrame({"name": names, "group": group})
    index = {name: number for number, name in enumerate(sorted(set(group)))}
    return found, y, list(row_folds(names, draw_folds(table))), group, index


def test_baseline_is_close_to_what_the_signal_allows():
    """Near what a plain ridge of scikit-learn reaches on the same numbers, fold by fold."""
    found, y, folds, group, index = rated()
    result = size_baseline(found, y, folds, group, index)
    Z = np.concatenate([found, np.log(found)], axis=1)
    judged = []
    for value, (train, test, _) in zip(result["folds"], folds, strict=True):
        model = make_pipeline(StandardScaler(), Ridge(1.0)).fit(Z[train], y[train])
        expected = scipy.stats.spearmanr(y[test], model.predict(Z[test])).statistic
        assert value == pytest.approx(expected, abs=0.1)
        judged.append((y[test], model.predict(Z[test]), [index[name] for name in group[test]]))
    assert result["srcc"] == np.median(result["folds"]) > 0.5
    low, high = interval(median_draws(judged, group_draws(len(index))))
    assert result["srcc_interval"] == pytest.approx([low, high], abs=0.1)
    assert result["srcc_interval"][0] < result["srcc"] < result["srcc_interval"][1]
    assert (result["n_pictures"], result["n_without"]) == (120, 0)


def test_sizes_without_a_signal():
    """Scores that have nothing to do with sizes: an interval that holds 0, or nearly."""
    found, _, folds, group, index = rated()
    y = np.random.default_rng(3).normal(size=len(found))
    result = size_baseline(found, y, folds, group, index)
    assert abs(result["srcc"]) < 0.3 and result["srcc_interval"][0] < 0.1


def test_no_baseline():
    """None where sizes are alike, unknown, or absent."""
    found, y, folds, group, index = rated()
    for nothing in (None, np.full_like(found, np.nan), np.full_like(found, 512), 0 * found):
        assert size_baseline(nothing, y, folds, group, index) is None
    one = np.full_like(found, np.nan)
    one[5] = 3
    assert size_baseline(one, y, folds, group, index) is None


def test_pictures_without_a_size_are_left_out():
    """The same as if they were not there, and counted."""
    found, y, folds, group, index = rated()
    gone = np.arange(0, 120, 7)
    found[gone] = np.nan
    result = size_baseline(found, y, folds, group, index)
    assert result["n_pictures"] == 120 - len(gone)
    keep = np.setdiff1d(np.arange(120), gone)
    row = {old: new for new, old in enumerate(keep)}
    fewer = []
    for train, test, inner in folds:
        own = [r for r in train if r in row]
        place = {r: k for k, r in enumerate(own)}
        pairs = [
            tuple(np.array([place[r] for r in train[part] if r in row]) for part in pair)
            for pair in inner
        ]
        fewer.append(
            (np.array([row[r] for r in own]), np.array([row[r] for r in test if r in row]), pairs)
        )
    expected = size_baseline(found[keep], y[keep], fewer, group[keep], index)
    assert result == expected


def test_a_fold_without_a_correlation_is_counted():
    """A test part of one size, one without sizes, and scores that are all alike give null."""
    found, y, folds, group, index = rated()
    folds = [
        (np.arange(40, 120), np.arange(k, k + 10), [(np.arange(40), np.arange(40, 80))])
        for k in (0, 10, 20, 30)
    ]
    found[:10] = 300
    found[10:18] = np.nan
    y[20:30] = 5
    result = size_baseline(found, y, folds, group, index)
    assert result["folds"][:3] == [None] * 3 and result["n_without"] == 3
    assert result["srcc"] == result["folds"][3]
    assert size_baseline(found, y, folds[:3], group, index) is None


def test_one_split_needs_only_the_groups_of_its_test_part():
    """Groups that are in no test part need no column in the draws."""
    found, y, folds, group, _ = rated()
    names = sorted(set(group[folds[0][1]]))
    index = {name: number for number, name in enumerate(names)}
    assert size_baseline(found, y, folds[:1], group, index)["srcc"] > 0.4


@pytest.mark.parametrize("protocol", ["nested", "kfold", "best-on-test", "shared-alpha"])
def test_rows_of_folds(protocol):
    """Rows are those of the names; nothing of a test part is in an inner fold."""
    names = [f"{index:03d}" for index in range(60)]
    table = pd.DataFrame({"name": names, "group": names})
    known = names[::-1][:50]  # ten have no embedding
    folds = PROTOCOLS[protocol].folds(table, 5)
    rows = list(row_folds(known, folds))
    assert len(rows) == 5
    for fold, (train, test, inner) in zip(folds, rows, strict=False):
        assert {known[row] for row in train} == fold.train & set(known)
        assert {known[row] for row in test} == fold.test & set(known)
        for a, b in inner:
            assert not set(a) & set(b) and set(a) | set(b) <= set(range(len(train)))
    found = np.random.default_rng(0).uniform(100, 200, (50, 3))
    group = np.array(known)
    index = {name: number for number, name in enumerate(names)}
    assert size_baseline(found, found[:, 0], rows, group, index)["srcc"] > 0.9
