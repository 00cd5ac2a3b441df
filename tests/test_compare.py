"""The command: what it prints, and one line for a mistake."""

import json
from dataclasses import replace

import pytest
from test_commands import call
from test_comparing import TABLE, write_run

from pipeline.compare import verdict
from pipeline.splits import draw_folds


@pytest.fixture
def home(own_home):
    """Three runs under runs/, the second worse, the third a little other than the first."""
    runs = own_home / "runs" / "own"
    write_run(runs / "nss" / "ridge" / "mos" / "000000000000", 0.3, 1)
    write_run(runs / "clip" / "ridge" / "mos" / "000000000000", 1.5, 2, features="clip")
    write_run(runs / "uiqa" / "ridge" / "mos" / "000000000000", 0.3, 4, features="uiqa")
    return own_home


def test_table(capsys, home):
    """Parts of paths lead to the runs; the better one is named."""
    code, out, err = call(capsys, "compare", "own/nss", "own/clip")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("own mos, nested: 1") and "median over 10 folds" in lines[0]
    assert lines[2].split()[:3] == ["A", "nss", "ridge"] and lines[3].split()[1] == "clip"
    assert lines[4].startswith("A - B  +0.") and "95 % interval [+0." in lines[4]
    assert len(lines[5].split()) == 3 + 10
    assert lines[6] == "A is better in 10 of 10 folds and in 100.0 % of 2,000 draws"
    assert lines[7] == "the interval does not hold 0: A is better on this database"
    assert "B is better" in call(capsys, "compare", "own/clip", "own/nss")[1]


def test_not_told_apart(capsys, home):
    """Two heads of one quality."""
    _, out, _ = call(capsys, "compare", "own/nss", "own/uiqa")
    assert "the interval holds 0: these folds do not tell them apart" in out


def test_json(capsys, home):
    """All numbers, and the sentence."""
    code, out, _ = call(capsys, "compare", "own/nss", "own/nss", "--json")
    found = json.loads(out)
    assert code == 0 and found["difference"] == 0 and found["interval"] == [0, 0]
    assert found["verdict"] == "A and B are the same run"
    assert found["a"]["run"] == str(home / "runs/own/nss/ridge/mos/000000000000")


def test_another_runs_folder(capsys, tmp_path, home):
    """--runs says where to look."""
    (home / "runs").rename(tmp_path / "elsewhere")
    assert call(capsys, "compare", "own/nss", "own/clip")[0] == 1
    code, out, _ = call(capsys, "compare", "own/nss", "own/clip", "--runs", tmp_path / "elsewhere")
    assert code == 0 and "A is better" in out


def test_what_is_left_out_and_what_must_be_said(capsys, home):
    """Pictures without an embedding are counted and named; an optimistic protocol is marked."""
    names = sorted(TABLE["name"])[:7]
    facts = {"missing": names, "optimistic": "tuned on the test part"}
    write_run(home / "runs" / "own" / "less" / "x", 0.5, 1, **facts)
    _, out, _ = call(capsys, "compare", "own/nss", "own/less")
    assert "pictures are left out, for which one run has no embedding: 000, 001" in out
    assert "B is optimistic: tuned on the test part" in out


def test_few_groups(capsys, home):
    """No interval, no share of draws, and both are said."""
    table = TABLE.assign(group=[f"g{index % 12}" for index in range(120)])
    for name, seed in (("x", 1), ("y", 2)):
        write_run(home / "runs" / "few" / name / "r", 0.5, seed, table=table, db="few")
    code, out, _ = call(capsys, "compare", "few/x", "few/y")
    assert code == 0 and "few: 12 groups are too few for an interval" in out
    assert "interval [" not in out and "draws" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["own/nss"], 2, "RUN_B"),
        (["own/nss", "own/nowhere"], 1, "error: own/nowhere: there is no finished run"),
        (["own", "own/nss"], 1, "there are 3 runs, name one"),
        (["own/nss", "other/nss"], 2, "differ in database"),
    ],
)
def test_mistakes(capsys, home, arguments, code, message):
    """The exit code and one line."""
    write_run(home / "runs" / "other" / "nss" / "x", 0.5, 1, db="other")
    got, out, err = call(capsys, "compare", *arguments)
    assert got == code and out == ""
    assert message in err.splitlines()[-1] and "Traceback" not in err


def test_help_has_examples(capsys):
    """--help shows how it is called."""
    code, out, _ = call(capsys, "compare", "--help")
    assert code == 0 and "python -m pipeline.compare" in out


def test_sentences():
    """What the interval says, at its edges too."""
    found = {"a": {"run": "x"}, "b": {"run": "y"}, "interval": [0.0, 0.1]}
    assert "holds 0" in verdict(found)
    assert "B is better" in verdict(found | {"interval": [-0.2, -0.1]})
    assert "do not say" in verdict(found | {"interval": None})


def test_one_split(capsys, home):
    """One split has no folds to count; its interval is over the groups of its test part."""
    fold = draw_folds(TABLE)[0]
    test = TABLE["name"].isin(fold.test) | (TABLE.index < 60)
    fold = replace(fold, name="official", test=frozenset(TABLE["name"][test]))
    for name, seed in (("x", 1), ("y", 2)):
        folder = home / "runs" / "one" / name / "r"
        write_run(folder, 0.5, seed, folds=[fold], db="one", protocol="official")
    code, out, _ = call(capsys, "compare", "one/x", "one/y")
    groups = TABLE["group"][test].nunique()
    assert code == 0 and f"{test.sum()} tested pictures, {groups} groups drawn, one split" in out
    assert "fold" not in out.replace("these folds", "") and "% of 2,000 draws" in out
    assert "95 % interval" in out
