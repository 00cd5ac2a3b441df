"""The paired difference of two runs, against a bootstrap that copies rows."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from features.errors import InputError, UsageError
from pipeline.comparing import compare, differences
from pipeline.pairs import drawn_groups
from pipeline.splits import as_table, draw_folds
from regressors.errors import DataError
from regressors.intervals import group_draws, interval, median_draws

TABLE = pd.DataFrame(
    {
        # names and groups that a careless reader takes for numbers or for gaps
        "name": [f"{index:03d}" for index in range(119)] + ["NA"],
        "group": [f"{index // 3:02d}" for index in range(120)],
        "mos": np.random.default_rng(7).normal(size=120).round(1),
    }
)


def write_run(folder, noise, seed, missing=(), table=TABLE, folds=None, **facts):
    """Write the files of a run: predictions that are the scores with noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    found = table["mos"] + noise * rng.normal(size=len(table))
    folds = folds or draw_folds(table)
    rows = [
        pd.DataFrame(
            {"name": t["name"], "fold": f.name, "mos": t["mos"], "prediction": found[t.index]}
        )
        for f in folds
        if f.test
        for t in [table[table["name"].isin(f.test) & ~table["name"].isin(missing)]]
    ]
    pd.concat(rows).to_csv(folder / "predictions.csv", index=False)
    as_table(table, folds).to_csv(folder / "splits.csv", index=False)
    result = {"db": "own", "target": "mos", "protocol": "nested", "features": "nss"}
    (folder / "result.json").write_text(json.dumps(result | {"regressor": "ridge"} | facts))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two runs on the same folds, the first better."""
    return write_run(tmp_path / "a", 0.5, 1), write_run(tmp_path / "b", 0.8, 2)


def read(folder):
    """The predictions of a run."""
    text = {"name": str, "fold": str}
    return pd.read_csv(folder / "predictions.csv", dtype=text, keep_default_na=False)


def brute_force(a, b, names, n_draws=2000):
    """Medians of both, and of their differences in every draw, by copying rows of pictures."""
    a, b = (read(run)[lambda t: t["name"].isin(names)].reset_index(drop=True) for run in (a, b))
    assert a["name"].equals(b["name"]) and a["fold"].equals(b["fold"])
    group = a["name"].map(dict(zip(TABLE["name"], TABLE["group"].astype(int), strict=True)))

    def medians(counts):
        return [
            np.median(
                [
                    scipy.stats.spearmanr(
                        np.repeat(side["mos"][rows], counts[rows]),
                        np.repeat(side["prediction"][rows], counts[rows]),
                    ).statistic
                    for rows in (a["fold"] == fold for fold in a["fold"].unique())
                ]
            )
            for side in (a, b)
        ]

    drawn = [medians(draw[group]) for draw in group_draws(40)[:n_draws]]
    return medians(np.ones(len(a), int)), np.array(drawn)


def test_many_at_once(tmp_path, runs):
    """The intervals are those of each comparison by itself; None where that is refused."""
    best, other = runs
    third = write_run(tmp_path / "third", 0.9, 3)
    lacking = write_run(tmp_path / "lacking", 0.7, 4, missing=("003", "017"))
    labels = TABLE.assign(mos=TABLE["mos"] + 1)
    strange = [
        write_run(tmp_path / "labels", 0.7, 5, table=labels),
        write_run(tmp_path / "splits", 0.7, 6, folds=draw_folds(TABLE, 5)),
        tmp_path / "nothing",
    ]
    (tmp_path / "nothing").mkdir()
    found = differences(best, [other, strange[0], third, lacking, *strange[1:]])
    for run, interval_ in zip((other, third, lacking), (found[0], *found[2:4]), strict=True):
        assert list(interval_) == compare(best, run)["interval"]
    assert [found[k] for k in (1, 4, 5)] == [None] * 3
    assert differences(strange[2], [other]) == [None]
    assert differences(best, []) == []


def test_a_row_that_is_lost(runs):
    """Of one fold, where others still test the picture: said, and nothing is paired with it."""
    a, b = runs
    rows = (b / "predictions.csv").read_text().splitlines(keepends=True)
    for changed in (rows[:-1], [*rows, rows[-1]]):
        (b / "predictions.csv").write_text("".join(changed))
        with pytest.raises(InputError, match="lacks rows of a fold, or has some twice"):
            compare(a, b)
        assert differences(a, [b]) == differences(b, [a]) == [None]


def test_difference_equals_a_bootstrap_that_copies_rows(runs, monkeypatch):
    """Medians, difference, interval and share of draws, on the first 100 of the seeded draws."""
    monkeypatch.setattr("pipeline.comparing.group_draws", lambda n: group_draws(n)[:100])
    found = compare(*runs)
    (a, b), drawn = brute_force(*runs, set(TABLE["name"]), 100)
    difference = drawn[:, 0] - drawn[:, 1]
    assert found["a"]["srcc"] == pytest.approx(a, abs=1e-12)
    assert found["difference"] == pytest.approx(a - b, abs=1e-12)
    expected = np.quantile(difference, [0.025, 0.975])
    np.testing.assert_allclose(found["interval"], expected, atol=1e-12)
    assert found["share"]["a"] == np.mean(difference > 1e-12)
    assert (found["n_draws"], found["n_groups"], found["left_out"]) == (100, 40, [])
    assert found["n_pictures"] == read(runs[0])["name"].nunique()


def test_folds_are_scipys(runs):
    """Fold by fold, each SRCC is SciPy's."""
    found, a = compare(*runs), read(runs[0])
    assert [fold["fold"] for fold in found["folds"]] == [f"fold-{seed}" for seed in range(10)]
    for fold in found["folds"]:
        part = a[a["fold"] == fold["fold"]]
        expected = scipy.stats.spearmanr(part["mos"], part["prediction"]).statistic
        assert fold["a"] == pytest.approx(expected, abs=1e-12)
        assert fold["difference"] == fold["a"] - fold["b"]


def test_a_run_equals_itself(runs):
    """No difference, an interval of no width, and no draw in which one is better."""
    found = compare(runs[0], runs[0])
    assert found["difference"] == 0 and found["interval"] == [0, 0]
    assert found["share"] == {"a": 0, "b": 0}
    assert all(fold["difference"] == 0 for fold in found["folds"])


def test_the_other_way_round(runs):
    """B minus A is the same with the other sign."""
    one, two = compare(*runs), compare(*runs[::-1])
    assert one["difference"] == -two["difference"]
    np.testing.assert_allclose(one["interval"], np.negative(two["interval"][::-1]), atol=1e-15)
    assert one["share"]["a"] == two["share"]["b"]
    assert (one["a"], one["b"]) == (two["b"], two["a"])


def test_the_draws_are_those_of_a_run_alone(runs):
    """Against a head that is right everywhere: one minus the interval that `fit` gives."""
    perfect = write_run(runs[0].parent / "perfect", 0, 0)
    found = compare(perfect, runs[0])
    number = dict(zip(TABLE["name"], TABLE["group"].astype(int), strict=True))
    folds = [
        (part["mos"].to_numpy(), part["prediction"].to_numpy(), part["name"].map(number).to_numpy())
        for _, part in read(runs[0]).groupby("fold")
    ]
    low, high = interval(median_draws(folds, group_draws(40)))
    np.testing.assert_allclose(found["interval"], [1 - high, 1 - low], atol=1e-12)


def test_pictures_that_one_run_lacks_leave_both(tmp_path, runs, monkeypatch):
    """Both are judged on what both have; the others are named."""
    missing = sorted(read(runs[0])["name"].unique())[:4]
    b = write_run(tmp_path / "less", 0.8, 2, missing=missing)
    monkeypatch.setattr("pipeline.comparing.group_draws", lambda n: group_draws(n)[:20])
    found = compare(runs[0], b)
    assert found["left_out"] == missing
    assert found["n_pictures"] == read(runs[0])["name"].nunique() - 4
    (a, _), drawn = brute_force(runs[0], b, set(read(b)["name"]), 20)
    assert found["a"]["srcc"] == pytest.approx(a, abs=1e-12)
    expected = np.quantile(drawn[:, 0] - drawn[:, 1], [0.025, 0.975])
    np.testing.assert_allclose(found["interval"], expected, atol=1e-12)
    assert compare(b, runs[0])["left_out"] == missing


def test_few_groups_have_no_interval(tmp_path):
    """The differences are there, the interval is not, and it is said."""
    table = TABLE.assign(group=[f"g{index % 19}" for index in range(120)])
    runs = [write_run(tmp_path / str(k), 1, k, table=table) for k in (0, 1)]
    found = compare(*runs)
    assert found["interval"] is None and found["share"] is None
    assert found["warnings"] == ["own: 19 groups are too few for an interval"]
    assert len(found["folds"]) == 10


def test_one_split_draws_its_test_groups():
    """Of one split, the groups of the training part have no draws; of several, all have."""
    splits = TABLE[["name", "group"]].assign(
        official=["test" if index < 30 else "train" for index in range(120)]
    )
    index, n_groups = drawn_groups(splits)
    assert n_groups == 10 and index["029"] == 9
    index, n_groups = drawn_groups(splits.assign(other="train"))
    assert n_groups == 40 and index["NA"] == 39


DIFFERENT = {
    "database": ({"db": "else"}, UsageError, "differ in database, own and else"),
    "target": ({"target": "dmos"}, UsageError, "differ in target, mos and dmos"),
    "protocol": ({"protocol": "kfold: parts"}, UsageError, "differ in protocol, nested and kfold"),
    "groups": ({"table": TABLE.assign(group=TABLE["name"])}, InputError, "different splits .other"),
    "pictures": ({"table": TABLE[3:].reset_index()}, InputError, "120 and 117 pictures"),
    "folds": ({"folds": draw_folds(TABLE, 8)}, InputError, "10 and 8 folds"),
    "scores": (
        {"table": TABLE.assign(mos=TABLE["mos"].round(0))},
        InputError,
        "different scores of .* labels changed",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_cannot_be_compared(tmp_path, runs, case):
    """Each difference is named in one line."""
    facts, error, message = DIFFERENT[case]
    other = write_run(tmp_path / "other", 0.5, 3, **facts)
    if case == "target":
        read(other).rename(columns={"mos": "dmos"}).to_csv(other / "predictions.csv", index=False)
    with pytest.raises(error, match=message) as raised:
        compare(runs[0], other)
    assert "\n" not in str(raised.value)


def test_the_words_of_a_protocol_are_not_its_name(tmp_path, runs):
    """`nested: ten folds` and `nested` are one protocol."""
    other = write_run(tmp_path / "other", 0.5, 3, protocol="nested: ten folds")
    assert compare(runs[0], other)["protocol"] == "nested"


def test_damaged_files(tmp_path, runs):
    """A file that is absent, of another kind, or without a number is named."""
    cases = (
        ("splits.csv", None, "splits.csv cannot be read"),
        ("predictions.csv", b"", "predictions.csv was damaged"),
        ("predictions.csv", b"\xff\xfe\x00", "predictions.csv was damaged"),
        ("predictions.csv", b"name,fold\n", "lacks mos, prediction"),
        ("predictions.csv", b"name,fold,mos,prediction\n000,fold-0,1,x\n", "prediction"),
        ("predictions.csv", b"name,fold,mos,prediction\n000,fold-0,nan,1\n", "mos"),
        (
            "predictions.csv",
            b"name,fold,mos,prediction\nx.png,fold-0,1,1\n",
            "x.png.* no test part",
        ),
        ("result.json", b"{}", "lacks db"),
    )
    for number, (name, data, message) in enumerate(cases):
        folder = write_run(tmp_path / str(number), 0.5, 3)
        if data is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(data)
        with pytest.raises(InputError, match=message):
            compare(runs[0], folder)


def test_nothing_in_common(tmp_path, runs):
    """A fold that is left with too few pictures is an error that names it."""
    first = draw_folds(TABLE)[0].test
    other = write_run(tmp_path / "other", 0.5, 3, missing=sorted(first)[:-1])
    with pytest.raises(DataError, match=r"fold-0, on the pictures that both runs have.*at least 3"):
        compare(runs[0], other)


def test_what_must_be_said(tmp_path, runs):
    """Optimistic protocols, encoders that have seen the database, and the database's note."""
    facts = {"optimistic": "tuned on the test part", "note": "a sample", "seen_by": ["clip"]}
    one = write_run(tmp_path / "one", 0.5, 3, protocol="best-on-test", **facts)
    two = write_run(tmp_path / "two", 0.5, 4, protocol="best-on-test", optimistic="too", seen_by=[])
    assert compare(one, two)["warnings"] == [
        "a sample",
        "A is optimistic: tuned on the test part",
        "A: clip was trained on this database",
        "B is optimistic: too",
    ]
    assert compare(*runs)["warnings"] == []
