"""SRCC by type of distortion and within groups, against SciPy."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from pipeline.breakdown import breakdown_text, by_distortion, within_groups

TYPES = ("jpeg", "noise", "blur", "")


def predictions(n=80, n_folds=4, seed=0):
    """Test parts of half the pictures each, and the type of every picture."""
    rng = np.random.default_rng(seed)
    names = [f"{index:03d}" for index in range(n)]
    mos = rng.normal(size=n).round(1)
    found = (mos + rng.normal(size=n)).round(1)
    parts = []
    for fold in range(n_folds):
        rows = rng.permutation(n)[: n // 2]
        part = {"name": np.array(names)[rows], "fold": f"fold-{fold}", "mos": mos[rows]}
        parts.append(pd.DataFrame(part | {"prediction": found[rows]}))
    return pd.concat(parts), pd.Series([TYPES[index % 4] for index in range(n)], index=names)


def test_each_type_is_scipys():
    """The median over folds of SciPy's correlation of the rows of that type."""
    table, distortion = predictions()
    found = by_distortion(table, distortion, "mos")
    assert list(found) == ["blur", "jpeg", "noise"]
    for kind, facts in found.items():
        rows = table[table["name"].map(distortion) == kind]
        srccs = [
            scipy.stats.spearmanr(part["mos"], part["prediction"]).statistic
            for _, part in rows.groupby("fold")
        ]
        assert facts["srcc"] == pytest.approx(np.median(srccs), abs=1e-12)
        assert facts["n_folds"] == 4 and facts["n_pictures"] == rows["name"].nunique()


def test_folds_that_have_none():
    """Two rows, scores all alike, and predictions all alike leave a fold out, each for itself."""
    table, distortion = predictions()
    table = table.reset_index(drop=True)
    kind = table["name"].map(distortion)
    table.loc[(kind == "jpeg") & (table["fold"] == "fold-0"), "mos"] = 5.0
    table.loc[(kind == "jpeg") & (table["fold"] == "fold-1"), "prediction"] = 0.1
    blurred = table.index[(kind == "blur") & (table["fold"] == "fold-2")]
    table = table.drop(blurred[2:])
    kind = table["name"].map(distortion)
    noisy = table.index[(kind == "noise") & (table["fold"] == "fold-3")]
    table = table.drop(noisy[3:])
    found = by_distortion(table, distortion, "mos")
    assert [found[name]["n_folds"] for name in ("jpeg", "blur", "noise")] == [2, 3, 4]
    table.loc[table["name"].map(distortion) == "blur", "prediction"] = 1.0
    found = by_distortion(table, distortion, "mos")
    assert found["blur"]["srcc"] is None and found["blur"]["n_folds"] == 0


def test_fewer_than_two_types():
    """One type, none, or types of pictures that were not judged: nothing to break down."""
    table, distortion = predictions()
    judged = set(table["name"])
    for one in (
        distortion.map(lambda kind: kind and "jpeg"),
        distortion.map(lambda kind: ""),
        distortion[:0],
        distortion.where(~distortion.index.isin(judged), ""),
    ):
        assert by_distortion(table, one, "mos") == {}


def test_types_that_are_numbers():
    """Whole numbers, such as TID2013's, keep their names where gaps have made them fractions."""
    table, distortion = predictions()
    for value in (distortion.map(TYPES.index), distortion.map(TYPES.index).astype(float)):
        assert list(by_distortion(table, value, "mos")) == ["0", "1", "2", "3"]
    gaps = distortion.map({"jpeg": 1.0, "noise": 2.0})
    assert list(by_distortion(table, gaps, "mos")) == ["1", "2"]


def test_text_is_aligned_worst_first():
    """Every number stands below its type; what has none comes last; long ones go on below."""
    found = {
        "blur": {"srcc": 0.9},
        "jpeg 2000": {"srcc": -0.25},
        "noise": {"srcc": None},
        "x": {"srcc": 0.5},
    }
    lines = breakdown_text(found).splitlines()
    assert lines == ["jpeg 2000      x   blur  noise", "   -0.250  0.500  0.900      -"]
    many = {f"type-{index:02d}": {"srcc": index / 100} for index in range(24)}
    lines = breakdown_text(many, 60).splitlines()
    assert len(lines) == 8 and max(map(len, lines)) <= 60
    assert [cell for line in lines[::2] for cell in line.split()] == sorted(many)
    assert breakdown_text({}) == ""


def test_within_groups_is_the_mean_over_references():
    """SciPy's correlation in each group of each fold; scales that differ between groups cancel."""
    rng = np.random.default_rng(3)
    group = np.repeat(["a", "b", "c", "d"], 12)
    mos = rng.normal(size=48) + 100 * np.repeat([0, 3, 1, 2], 12)
    found = pd.DataFrame(
        {
            "name": [f"{i}" for i in range(48)],
            "fold": np.repeat(["one", "two"], 24),
            "group": group,
            "mos": mos,
            "prediction": mos - 200 * np.repeat([0, 3, 1, 2], 12) + rng.normal(size=48),
        }
    )
    each = [
        np.mean(
            [
                scipy.stats.spearmanr(rows["mos"], rows["prediction"]).statistic
                for _, rows in part.groupby("group")
            ]
        )
        for _, part in found.groupby("fold")
    ]
    assert within_groups(found, "mos") == pytest.approx(np.median(each), abs=1e-12)
    assert within_groups(found, "mos") > 0.4
    assert scipy.stats.spearmanr(found["mos"], found["prediction"]).statistic < 0
    alone = found.assign(group=found["name"])
    assert within_groups(alone, "mos") is None
