"""Each database in its published layout, from the files to a head: the whole way, for all."""

import json

import pytest
from test_commands import call
from trees_authentic import BUILDERS as AUTHENTIC
from trees_generated import BUILDERS as GENERATED
from trees_other import BUILDERS as OTHER
from trees_synthetic import BUILDERS as SYNTHETIC

from pipeline.databases import DATABASES, locate
from pipeline.databases.checking import check
from pipeline.databases.tree import Tree

BUILDERS = AUTHENTIC | GENERATED | OTHER | SYNTHETIC
# The sample is built, and tested, by itself; PCUID lies in ../shared as it was downloaded.
ELSEWHERE = {"sample", "pcuid"}


@pytest.fixture
def tree(tmp_path):
    """Writes the tree of a database and returns its root."""

    def write(name):
        BUILDERS[name](tmp_path / "data")
        return tmp_path / "data"

    return write


def test_every_database_has_a_tree():
    """A new reader comes with its layout."""
    assert set(BUILDERS) == set(DATABASES) - ELSEWHERE


@pytest.mark.parametrize("name", BUILDERS)
def test_check_reads_every_layout(capsys, tree, name):
    """What is there is found; what is not is counted; each line of `--json` fits the others."""
    code, out, err = call(
        capsys, "databases", "check", "--db", name, "--root", tree(name), "--json"
    )
    facts, known = json.loads(out), DATABASES[name]
    assert "Traceback" not in err
    assert code == bool(facts["problems"])
    assert facts["n_rows"] == facts["n_present"] + facts["n_missing"]
    assert facts["n_present"] >= 3 and facts["n_unreadable"] == 0
    assert set(facts["targets"]) <= set(known.targets)
    assert bool(facts["targets"]) == bool(known.targets)
    for target in facts["targets"].values():
        assert target["min"] < target["max"]
        assert target["low"] is None or target["low"] <= target["min"]
        assert target["high"] is None or target["max"] <= target["high"]
    if known.split:
        assert set(facts["split_counts"]) <= {*known.split, "train", "val", "test", "none"}
    if facts["targets"]:
        assert facts["mos_min"] < facts["mos_max"]


WHOLE = [name for name in BUILDERS if DATABASES[name].targets and name != "ava"]


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_database_has_no_problem(tree, name):
    """With a file for every row, `check` finds nothing wrong."""
    root, known = tree(name), DATABASES[name]
    found = Tree(root)
    labels = known.labels(found)
    table = labels.table
    used = (f for f in labels.folders if any(path.startswith(f) for path in found.pictures()))
    place = root / next(used, "")
    for file in table["file"] if "file" in table else table["name"]:
        path = place / file
        if found.find(file, labels.folders) is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    facts = check(locate(name, root, root))
    assert facts["problems"] == []
    assert facts["n_missing"] == facts["n_unreadable"] == 0
    assert facts["n_read"] in (known.n_pictures, sum(known.split.values()))


@pytest.mark.parametrize("name", [name for name in BUILDERS if DATABASES[name].targets])
def test_extract_and_fit_run_through(capsys, tree, name):
    """A head on every layout, with the right sign whatever the direction: worse is ranked worse."""
    arguments = ("--db", name, "--features", "nss")
    code, _, err = call(capsys, "extract", *arguments, "--root", tree(name))
    assert code == 0, err
    options = ("--trials", 6, "--folds", 3, "--jobs", 1, "--json")
    code, out, err = call(capsys, "fit", *arguments, *options)
    assert code == 0, err
    (result,) = json.loads(out)
    first = next(iter(DATABASES[name].targets.values()))
    assert result["higher_is_better"] == first.higher_is_better
    # noise is the only difference between the pictures, and the scores follow it
    assert result["median"]["srcc"] > 0.5
