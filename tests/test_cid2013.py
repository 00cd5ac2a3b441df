"""CID2013: realigned scores, and those of each set under a heading with two spaces."""

import pytest
from trees import write_xlsx
from trees_other import CID2013_FILE, build_cid2013, cid2013_rows

from features.errors import InputError
from pipeline.databases.cid2013 import CID2013
from pipeline.databases.known import open_labels
from pipeline.databases.tree import Tree

HEADER = ["Source_ID", "Realigned MOS", "Image set specific  MOS"]


def read(root):
    """Read CID2013 as the commands do."""
    tree = Tree(root)
    return open_labels("cid2013", CID2013, tree, CID2013.labels(tree))


def write(root, *rows, header=HEADER, sheet="CID2013 MOS"):
    """Write a workbook."""
    write_xlsx(root / CID2013_FILE, {sheet: [header, *rows]})


def test_every_field(tmp_path):
    """All 474 rows, 36 groups; both scores; nothing that the database does not have."""
    build_cid2013(tmp_path)
    labels = CID2013.labels(Tree(tmp_path))
    table = labels.table
    assert list(table.columns) == ["name", "mos", "mos_within_set", "group"]
    assert len(table) == CID2013.n_pictures == 474
    assert list(table["name"]) == [f"{name}.jpg" for _, name, _ in cid2013_rows()]
    assert table["group"].nunique() == CID2013.n_groups == 36
    sets = table["group"].str.split("_").str[1]
    assert sets.value_counts(sort=False).to_dict() == {
        **{"I": 84, "II": 78, "III": 78, "IV": 78},
        **{"V": 72, "VI": 84},
    }
    assert set(table["group"][sets == "V"].str[-2:]) == {"01", "02", "03", "05", "06", "08"}
    assert set(table["group"][sets == "VI"].str[-2:]) == {"01", "02", "03", "06", "07", "08"}
    # scene 1, device 1 is of level 3 of 0..9
    assert table["mos"][0] == pytest.approx(-9.5 + 97 * 6 / 9)
    assert table["mos_within_set"][0] == pytest.approx(5 + 70 * 6 / 9)
    assert table["group"][0] == "IS_I_C01"
    assert labels.files == (tmp_path / CID2013_FILE,)


def test_the_pictures_of_each_scene(tmp_path):
    """IS1/co1 and so on; a set's Roman numeral and the folder's number agree."""
    build_cid2013(tmp_path)
    database = read(tmp_path)
    assert len(database.table) == 36 and len(database.missing) == 474 - 36
    images = database.table.set_index("name")["image"]
    assert images["IS_I_C01_D02.jpg"] == "IS1/co1/IS_I_C01_D02.jpg"
    assert images["IS_V_C08_D03.jpg"] == "IS5/co8/IS_V_C08_D03.jpg"
    assert list(database.targets) == ["mos", "mos_within_set"]
    assert all(target.higher_is_better for target in database.targets.values())
    assert database.group_by == "scene of a set"
    assert database.problems == () and database.unlabelled == ()


def test_all_pictures_in_one_folder(tmp_path):
    """A layout that published code reads: the same table but for the paths."""
    build_cid2013(tmp_path)
    usual = read(tmp_path).table
    for path in tmp_path.glob("IS*/*/*.jpg"):
        path.rename(tmp_path / path.name)
    flat = read(tmp_path).table
    assert list(flat["image"]) == list(flat["name"])
    assert flat.drop(columns="image").equals(usual.drop(columns="image"))


def test_names_in_other_case(tmp_path):
    """Folders and suffixes in capitals."""
    write(tmp_path, ["is_iv_c02_d11", 50.5, 60])
    (tmp_path / "is4" / "CO2").mkdir(parents=True)
    (tmp_path / "is4" / "CO2" / "IS_IV_C02_D11.JPG").write_bytes(b"")
    table = read(tmp_path).table
    assert list(table["image"]) == ["is4/CO2/IS_IV_C02_D11.JPG"]
    assert list(table["group"]) == ["IS_IV_C02"]


BAD = {
    "one score": (["IS_I_C01_D01", 5], HEADER[:2], "expected the columns source_id, realigned mos"),
    "a name": (["co1/1", 5, 5], HEADER, "expected names such as IS_IV_C02_D11 .*'co1/1'"),
    "a set": (["IS_VII_C01_D01", 5, 5], HEADER, "found 'IS_VII_C01_D01'"),
    "no score": (["IS_I_C01_D01", None, 5], HEADER, "1 values of Realigned MOS are not numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_another_workbook_is_one_clear_line(tmp_path, case):
    """What was expected, what came."""
    row, header, message = BAD[case]
    write(tmp_path, row, header=header)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_no_such_sheet_and_a_web_page(tmp_path):
    """Another workbook, and a failed download."""
    write(tmp_path, ["IS_I_C01_D01", 5, 5], sheet="Sheet1")
    with pytest.raises(InputError, match="expected a sheet 'CID2013 MOS', found Sheet1"):
        read(tmp_path)
    (tmp_path / CID2013_FILE).write_text("<!DOCTYPE html><html>")
    with pytest.raises(InputError, match="is a web page and no label file"):
        read(tmp_path)


def test_a_score_out_of_range_is_doubted(tmp_path):
    """The realigned scores lie within -10..100."""
    write(tmp_path, ["IS_I_C01_D01", -11, 5])
    (tmp_path / "IS_I_C01_D01.jpg").write_bytes(b"")
    assert "1 scores of mos are outside the known range -10 to 100" in read(tmp_path).problems[0]


def test_wrong_roots_are_told(tmp_path):
    """One level too high or too deep, or not unpacked."""
    build_cid2013(tmp_path / "data" / "CID2013")
    right = rf"give --root {tmp_path / 'data' / 'CID2013'}$"
    for wrong in ("data", "data/CID2013/IS1", "data/CID2013/IS1/co1"):
        with pytest.raises(InputError, match=right):
            read(tmp_path / wrong)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "CID2013.7z").write_bytes(b"7z\xbc\xaf'\x1c".ljust(32, b"\0"))
    with pytest.raises(InputError, match=r"with 7-Zip.*CID2013.7z is an archive: unpack it here"):
        read(tmp_path / "empty")
