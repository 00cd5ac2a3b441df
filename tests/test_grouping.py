"""Other groups than the reader's: a column, or near-duplicates joined."""

import numpy as np
import pandas as pd
import pytest
from conftest import picture, write_csv
from PIL import Image
from test_commands import call

import pipeline
from features.errors import InputError
from pipeline.databases import cache_name
from pipeline.grouping import FILE, duplicate_pairs, regrouped
from pipeline.tables import read_cached_table


@pytest.fixture
def own(tmp_path, own_home, capsys):
    """Sixty pictures in twenty groups, extracted; p010 is p001 saved anew."""
    path = write_csv(tmp_path / "own", 60, groups=20)
    for name in ("p001", "p010"):
        Image.fromarray(picture(1, 160, 120)).save(tmp_path / "own" / f"{name}.png")
    table = pd.read_csv(path)
    table.assign(
        prompt=[f"a {i % 30}" for i in range(60)], mos_std=1.5, Camera=np.arange(60) % 25
    ).to_csv(path, index=False)
    code, _, err = call(capsys, "extract", "--db", path, "--features", "nss")
    assert code == 0, err
    return path


def table_of(own, own_home):
    """What the cache has of it."""
    return read_cached_table(own_home / "cache", cache_name(str(own)))


def test_a_column_groups(own, own_home):
    """Its values are the groups, and the run says so."""
    database = table_of(own, own_home)
    other = regrouped(database, "prompt", own_home / "cache" / database.name)
    assert other.table["group"].tolist() == database.table["prompt"].tolist()
    assert other.group_by == "column prompt"
    assert pipeline.load(str(own), "nss", group_by="prompt").group.tolist() == [
        f"a {i % 30}" for i in range(60)
    ]
    assert regrouped(database, None, own_home) is database


def test_an_unknown_column_names_the_known(own, own_home):
    """Scores, their deviations and numbers are no groups."""
    with pytest.raises(
        InputError, match="no such column; it has name, group, prompt, camera, duplicates"
    ):
        regrouped(table_of(own, own_home), "mos_std", own_home)


def test_near_duplicates_join_groups(own, own_home):
    """p001 of group 1 and p010 of group 10: both groups are one, called after the first."""
    database = table_of(own, own_home)
    folder = own_home / "cache" / database.name
    other = regrouped(database, "duplicates", folder)
    assert ["p001.png", "p010.png"] in [list(pair) for pair in duplicate_pairs(database, folder)]
    before = database.table.set_index("name")["group"]
    after = other.table.set_index("name")["group"]
    assert after["p001.png"] == after["p010.png"] == "g001"
    assert set(after[before == "g010"]) == {"g001"}
    assert other.group_by == "column group, near-duplicates joined"


def test_pairs_are_kept_until_a_picture_changes(own, own_home, monkeypatch):
    """The search runs once; another file is another search; a missing one is an error."""
    database = table_of(own, own_home)
    folder = own_home / "cache" / database.name
    pairs = duplicate_pairs(database, folder)
    assert (folder / FILE).is_file()
    monkeypatch.setattr("pipeline.grouping.near_duplicates", lambda *_: 1 / 0)
    assert duplicate_pairs(database, folder) == pairs
    kept = (folder / FILE).read_text()
    for damaged in ("", "{}", kept[:-9], kept.replace("p010.png", "gone.png"), '{"pairs": 3}'):
        (folder / FILE).write_text(damaged)
        with pytest.raises(ZeroDivisionError):  # which is: it searches again
            duplicate_pairs(database, folder)
    (folder / FILE).write_text(kept)
    Image.fromarray(picture(7, 161, 120)).save(own.parent / "p010.png")
    with pytest.raises(ZeroDivisionError):
        duplicate_pairs(database, folder)
    (own.parent / "p010.png").unlink()
    with pytest.raises(InputError, match=r"1 are not there, the first is .*p010.png"):
        duplicate_pairs(database, folder)


def test_fit_takes_both(own, capsys, tmp_path):
    """--group-by and --splits reach the run; a protocol beside --splits is refused."""
    arguments = ("--db", own, "--trials", 2, "--folds", 2)
    code, out, err = call(capsys, "fit", *arguments, "--group-by", "prompt", "--json")
    assert code == 0, err
    assert '"n_groups": 30' in out and '"regrouped": "prompt"' in out
    code, out, err = call(capsys, "fit", *arguments, "--group-by", "camera")
    assert code == 0 and "grouped by column camera (--group-by camera)" in out, err
    splits = tmp_path / "splits.csv"
    rows = [f"p{i:03d}.png,{'train' if i < 40 else 'test'}" for i in range(60)]
    splits.write_text("\n".join(["name,mine", *rows]))
    code, out, err = call(capsys, "fit", *arguments, "--splits", splits)
    assert code == 0, err
    assert "1 splits that were given" in out and "LEAK: 20 groups" in out
    code, _, err = call(capsys, "fit", *arguments, "--splits", splits, "--protocol", "kfold")
    assert code == 2 and "takes the place of --protocol kfold" in err
    code, _, err = call(capsys, "fit", *arguments, "--protocol", "given")
    assert code == 2 and "--splits FILE" in err
    code, out, err = call(capsys, "fit", *arguments, "--group-by", "nothing")
    assert code == 2 and "no such column" in err
