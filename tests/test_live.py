"""LIVE: both scores under both variable names, copies of references, order of the arrays."""

import pytest
from trees import write_mat
from trees_synthetic import (
    LIVE_FILES,
    build_live,
    build_live_original,
    live_arrays,
    live_entries,
    live_labels,
)

from features.errors import InputError
from pipeline.databases.known import open_labels
from pipeline.databases.live import LIVE
from pipeline.databases.tree import Tree

REALIGNED = "dmos_realigned.mat"


def labels(root):
    """What the reader says, of all rows."""
    return LIVE.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("live", LIVE, Tree(root), labels(root))


def score_files(root, changed=(), without=(), file=REALIGNED, variables=None):
    """Write one file of scores anew, with some of its variables changed or left out."""
    variables = variables or ("dmos_new", "dmos_std", "orgs")
    arrays = live_arrays() | dict(changed)
    live_labels(root, arrays, *(name for name in variables if name not in without), file=file)


def test_whole(tmp_path):
    """982 entries, 203 of them copies of references: 779 rows in the order of the arrays."""
    build_live(tmp_path)
    found = labels(tmp_path)
    table = found.table
    columns = ["name", "group", "distortion", "dmos", "dmos_std", "dmos_original"]
    assert list(table) == columns
    assert len(table) == LIVE.n_pictures == 779
    assert list(table["name"]) == [name for name, copy, _ in live_entries() if not copy]
    assert table["distortion"].value_counts(sort=False).to_dict() == {
        "jp2k": 169,
        "jpeg": 175,
        "wn": 145,
        "gblur": 145,
        "fastfading": 145,
    }
    assert table["group"].nunique() == LIVE.n_groups == 29
    assert set(table["group"].value_counts()) <= {26, 27, 28, 29}
    assert found.n_read is None and found.note == ""
    assert [path.name for path in found.files] == [REALIGNED, "dmos.mat", "refnames_all.mat"]


def test_fields(tmp_path):
    """Scores, deviations and references of single pictures; no level."""
    build_live(tmp_path)
    table = labels(tmp_path).table.set_index("name")
    assert "jpeg/img1.bmp" not in table.index  # a copy
    # 169 + 175 distorted ones come before wn: level 344 // 20 % 10 = 7, reference 344 % 29 = 25
    first = table[table["distortion"] == "wn"].iloc[0]
    assert first["group"] == "scene25.bmp"
    assert first["dmos"] == pytest.approx(-2.64 + 7 / 9 * 114.41)
    assert first["dmos_std"] == pytest.approx(1.08 + 7 / 4)
    assert first["dmos_original"] == pytest.approx(17.9 + 7 / 9 * 66.59)
    assert table["dmos"].min() == pytest.approx(-2.64)
    assert table["dmos"].max() == pytest.approx(111.77)
    assert table["dmos_std"].min() == 1.08
    assert set(table["group"]) >= {"studentsculpture.bmp", "scene01.bmp"}
    assert "level" not in table and "split" not in table and "prompt" not in table


def test_pictures(tmp_path):
    """Pictures at hand; copies of references and refimgs/ are not unlabelled; lower is better."""
    build_live(tmp_path)
    database = opened(tmp_path)
    assert len(database.table) == 39 and len(database.missing) == 740
    assert database.table["group"].nunique() >= 10
    assert database.unlabelled == () and database.problems == ()
    assert list(database.targets) == ["dmos", "dmos_original"]
    assert not any(target.higher_is_better for target in database.targets.values())
    assert database.group_by == "reference"
    copies = [name for name, copy, _ in live_entries() if copy]
    assert len(copies) == 203 and any((tmp_path / name).is_file() for name in copies)
    assert not set(database.missing) & set(copies)


def test_order_is_that_of_numbers(tmp_path):
    """Entry 9 of a folder is img10.bmp, not the tenth name in the alphabet."""
    build_live(tmp_path)
    arrays = live_arrays()
    table = labels(tmp_path).table.set_index("name")
    starts = dict(zip(LIVE_FILES, (0, 227, 460, 634, 808), strict=True))
    for name in ("jp2k/img10.bmp", "jpeg/img99.bmp", "gblur/img174.bmp", "fastfading/img100.bmp"):
        kind, _, file = name.partition("/")
        entry = starts[kind] + int(file[3:-4]) - 1
        assert arrays["orgs"][entry] == 0
        assert table["dmos"][name] == pytest.approx(arrays["dmos_new"][entry])
        assert table["group"][name] == arrays["refnames_all"][entry].lower()


def test_original_scores_alone(tmp_path):
    """Without the realigned file there is no `dmos`, and the report says so."""
    build_live_original(tmp_path)
    database = opened(tmp_path)
    assert list(database.targets) == ["dmos_original"]
    assert "dmos" not in database.table and "dmos_std" not in database.table
    assert not database.targets["dmos_original"].higher_is_better
    assert database.table["dmos_original"].between(17.89, 84.5).all()
    assert "dmos_realigned.mat is not there" in database.note


def test_realigned_scores_alone(tmp_path):
    """dmos.mat is not needed."""
    build_live(tmp_path)
    (tmp_path / "dmos.mat").unlink()
    assert list(opened(tmp_path).targets) == ["dmos"]


def test_both_variable_names(tmp_path):
    """`dmos` in the realigned file is the realigned score; `dmos_new` is preferred to it."""
    build_live(tmp_path)
    expected = labels(tmp_path).table
    realigned = live_arrays()["dmos_new"]
    changed = {"dmos": realigned}
    score_files(tmp_path, changed, variables=("dmos", "dmos_std", "orgs"))
    assert labels(tmp_path).table.equals(expected)
    changed = {"dmos": [1.0] * 982}
    score_files(tmp_path, changed, variables=("dmos", "dmos_new", "dmos_std", "orgs"))
    assert labels(tmp_path).table.equals(expected)


def test_without_deviation_and_marks(tmp_path):
    """`dmos_std` may be absent, and `orgs` where the other file has it."""
    build_live(tmp_path)
    score_files(tmp_path, without=("dmos_std", "orgs"))
    table = labels(tmp_path).table
    assert len(table) == 779 and "dmos_std" not in table
    (tmp_path / "dmos.mat").unlink()
    with pytest.raises(InputError, match=r"expected a variable orgs.*put dmos\.mat of release 2"):
        labels(tmp_path)


def test_a_missing_copy_is_harmless(tmp_path):
    """One mirror lacks fastfading/img1.bmp, which is a copy."""
    build_live(tmp_path)
    copy = next(name for name, copy, _ in live_entries() if copy and name.startswith("fastf"))
    before = opened(tmp_path)
    (tmp_path / copy).unlink(missing_ok=True)
    after = opened(tmp_path)
    assert after.missing == before.missing and after.table.equals(before.table)


def test_case_of_names(tmp_path):
    """Files and folders in capitals are found; names stay as they are published."""
    build_live(tmp_path)
    folder = tmp_path / "jp2k"
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.upper())
    folder.rename(tmp_path / "JP2K")
    (tmp_path / REALIGNED).rename(tmp_path / "DMOS_Realigned.mat")
    database = opened(tmp_path)
    assert len(database.table) == 39
    row = database.table.iloc[0]
    assert row["name"].startswith("jp2k/img") and row["image"] == row["name"].upper()


def test_another_picture_is_unlabelled(tmp_path):
    """A file that neither is labelled nor a copy."""
    build_live(tmp_path)
    (tmp_path / "wn" / "img175x.bmp").write_bytes(b"x")
    assert opened(tmp_path).unlabelled == ("wn/img175x.bmp",)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dmos_new": [1.0] * 460}, r"expected 982 entries in dmos_new, found 460"),
        ({"orgs": [0.0] * 982}, r"expected 203 copies of references \(orgs is 1\), found 0"),
        ({"dmos_new": [float("nan")] * 982}, r"779 values of scores are not numbers"),
    ],
)
def test_another_release(tmp_path, changed, message):
    """Release 1 has fewer pictures; scores must be numbers."""
    build_live(tmp_path)
    (tmp_path / "dmos.mat").unlink()
    score_files(tmp_path, changed)
    with pytest.raises(InputError, match=message):
        labels(tmp_path)


def test_marks_that_differ(tmp_path):
    """Both files of scores mark the same copies."""
    build_live(tmp_path)
    score_files(tmp_path, {"orgs": live_arrays()["orgs"][::-1]})
    with pytest.raises(InputError, match="orgs differs between them"):
        labels(tmp_path)


def test_other_variables_and_files(tmp_path):
    """What was expected, what came, what to do."""
    build_live(tmp_path)
    score_files(tmp_path, without=("dmos_new",))
    with pytest.raises(InputError, match=r"expected a variable dmos_new or dmos, found"):
        labels(tmp_path)
    write_mat(tmp_path / REALIGNED, other=[1.0])
    with pytest.raises(InputError, match=r"dmos_new or dmos or orgs.*found other"):
        labels(tmp_path)
    (tmp_path / REALIGNED).write_text("<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(InputError, match="is a web page"):
        labels(tmp_path)
    (tmp_path / REALIGNED).unlink()
    write_mat(tmp_path / "refnames_all.mat", refnames_all=["a.bmp"] * 900)
    with pytest.raises(InputError, match="expected 982 entries in refnames_all, found 900"):
        labels(tmp_path)
    (tmp_path / "refnames_all.mat").unlink()
    with pytest.raises(InputError, match=r"expected LIVE's label file refnames_all\.mat"):
        labels(tmp_path)


def test_wrong_root(tmp_path):
    """One level too high or too deep: the error names the right one."""
    right = tmp_path / "databaserelease2"
    build_live(right)
    for root in (tmp_path, right / "jp2k"):
        with pytest.raises(InputError, match=f"give --root {right}$"):
            labels(root)
