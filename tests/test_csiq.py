"""CSIQ: the workbook with its traps, the list that others made, both layouts of pictures."""

import pytest
from trees import write_text, write_xlsx
from trees_synthetic import CSIQ_NO_FOURTH, build_csiq, build_csiq_flat, csiq_rows

from features.errors import InputError
from pipeline.databases.csiq import CSIQ
from pipeline.databases.known import open_labels
from pipeline.databases.tree import Tree

HEAD = (None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos")


def labels(root):
    """What the reader says, of all rows."""
    return CSIQ.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("csiq", CSIQ, Tree(root), labels(root))


def sheet(root, *rows, head=HEAD, name="all_by_image", file="csiq.DMOS.xlsx"):
    """Write a workbook with some rows."""
    blank = [(None,)] * 3
    rows = [(None, None, None, *row) for row in rows]
    write_xlsx(root / file, {"realign": [("#REF!",)], name: [*blank, head, *rows]})


def test_workbook(tmp_path):
    """866 rows from D4 on; padding below and other sheets are passed by."""
    build_csiq(tmp_path)
    table = labels(tmp_path).table
    assert list(table) == ["name", "group", "distortion", "level", "dmos", "dmos_std"]
    assert len(table) == CSIQ.n_pictures == 866
    names = [f"{reference}.{token}.{level}.png" for reference, _, token, level, _ in csiq_rows()]
    assert list(table["name"]) == names
    assert table["distortion"].value_counts().to_dict() == {
        "awgn": 150,
        "jpeg": 150,
        "jpeg2000": 150,
        "fnoise": 150,
        "blur": 150,
        "contrast": 116,
    }
    assert table["group"].nunique() == CSIQ.n_groups == 30
    rows = table.set_index("name")
    assert rows.loc["1600.AWGN.1.png"].to_dict() == {
        "group": "1600",
        "distortion": "awgn",
        "level": 1,
        "dmos": 0.0,
        "dmos_std": 0.01,
    }
    # the second reference, elk, has odd levels of noise: 2 * (4 - 1) + 1 = 7 of 9
    row = rows.loc["elk.jpeg2000.4.png"]
    assert (row["group"], row["distortion"], row["level"]) == ("elk", "jpeg2000", 4)
    assert row["dmos"] == pytest.approx(7 / 9) and row["dmos_std"] == 0.04
    assert table["level"].dtype.kind == "i"


def test_levels_of_contrast(tmp_path):
    """Levels 1 to 3 for all 30 references, a fourth for 26, no fifth."""
    build_csiq(tmp_path)
    table = labels(tmp_path).table
    contrast = table[table["distortion"] == "contrast"]
    assert contrast["level"].value_counts().to_dict() == {1: 30, 2: 30, 3: 30, 4: 26}
    fourth = set(contrast["group"][contrast["level"] == 4])
    assert set(table["group"]) - fourth == set(CSIQ_NO_FOURTH)
    assert set(table["group"].value_counts()) == {28, 29}


def test_pictures(tmp_path):
    """Each type's folder is known; lower is better; references are not unlabelled."""
    build_csiq(tmp_path)
    database = opened(tmp_path)
    assert len(database.table) == 38 and len(database.missing) == 828
    assert database.table["group"].nunique() >= 10
    assert database.table["image"][0] == "dst_imgs/awgn/1600.AWGN.1.png"
    assert database.unlabelled == () and database.problems == ()
    assert list(database.targets) == ["dmos"]
    target = database.targets["dmos"]
    assert (target.low, target.high, target.higher_is_better) == (0, 1, False)
    assert database.group_by == "reference"


def test_flat_layout_and_list(tmp_path):
    """One folder, the list by type: other order and no deviations, else the same."""
    build_csiq(tmp_path / "official")
    build_csiq_flat(tmp_path / "flat")
    official = opened(tmp_path / "official").table.set_index("name")
    database = opened(tmp_path / "flat")
    flat = database.table.set_index("name")
    assert database.unlabelled == () and database.problems == ()
    assert database.labels[0].name == "csiq_label.txt"
    assert set(flat.index) == set(official.index) and "dmos_std" not in flat
    assert flat["image"]["1600.AWGN.1.png"] == "dst_imgs_all/1600.AWGN.1.png"
    for column in ("group", "distortion", "level"):
        assert flat[column].equals(official[column][flat.index])
    assert flat["dmos"].to_numpy() == pytest.approx(
        official["dmos"][flat.index].to_numpy(), abs=1e-6
    )
    rows = labels(tmp_path / "flat").table
    assert len(rows) == 866
    assert list(rows["name"][:5]) == [f"1600.AWGN.{level}.png" for level in range(1, 6)]


def test_workbook_is_preferred(tmp_path):
    """It has the deviations."""
    build_csiq(tmp_path)
    write_text(tmp_path / "csiq_label.txt", ["1600.AWGN.1.png 0.5"])
    assert labels(tmp_path).files == (tmp_path / "csiq.DMOS.xlsx",)


def test_other_name_of_the_workbook(tmp_path):
    """csiq.beta.xlsx has the same sheet."""
    build_csiq(tmp_path)
    expected = labels(tmp_path).table
    (tmp_path / "csiq.DMOS.xlsx").rename(tmp_path / "csiq.beta.xlsx")
    assert labels(tmp_path).table.equals(expected)


def test_case_of_names(tmp_path):
    """Folders and files in capitals, names of the list in any case."""
    build_csiq(tmp_path)
    expected = opened(tmp_path).table["name"]
    for path in list((tmp_path / "dst_imgs").iterdir()):
        for picture in list(path.iterdir()):
            picture.rename(path / picture.name.upper())
        path.rename(path.with_name(path.name.upper()))
    database = opened(tmp_path)
    assert list(database.table["name"]) == list(expected)
    assert database.table["image"][0] == "dst_imgs/AWGN/1600.AWGN.1.PNG"
    (tmp_path / "csiq.DMOS.xlsx").unlink()
    write_text(tmp_path / "csiq_label.txt", ["1600.awgn.1.PNG 0.25"], "\r\n")
    row = opened(tmp_path).table.iloc[0]
    assert row["name"] == "1600.AWGN.1.png" and row["dmos"] == 0.25


def test_pictures_without_a_row(tmp_path):
    """Levels of contrast that were not scored are ignored; other extra files are named."""
    build_csiq(tmp_path)
    for name in ("elk.contrast.4.png", "1600.contrast.5.png", "1600.contrast.6.png"):
        path = tmp_path / "dst_imgs" / "contrast" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert opened(tmp_path).unlabelled == ("dst_imgs/contrast/1600.contrast.6.png",)


BAD_SHEETS = {
    "other type": (
        [("lake", 1, "wavelet", 1, 0.1, 0.5)],
        r"expected a dst_type of noise, .*wavelet",
    ),
    "level is no number": (
        [("lake", 1, "noise", "low", 0.1, 0.5)],
        r"whole numbers .*dst_lev.*low",
    ),
    "no such level": ([("lake", 1, "noise", 7, 0.1, 0.5)], r"such as 1600.AWGN.1.png, found 'lake"),
    "score is text": ([("lake", 1, "noise", 1, 0.1, "#REF!")], r"1 values of dmos are not numbers"),
}


@pytest.mark.parametrize("case", BAD_SHEETS)
def test_bad_rows(tmp_path, case):
    """What was expected, what came."""
    rows, message = BAD_SHEETS[case]
    sheet(tmp_path, *rows)
    with pytest.raises(InputError, match=message):
        labels(tmp_path)


def test_other_files(tmp_path):
    """No such sheet, no such column, a web page, scores first, no file at all."""
    with pytest.raises(InputError, match=r"expected CSIQ's label file csiq\.DMOS\.xlsx"):
        labels(tmp_path)
    sheet(tmp_path, name="other")
    with pytest.raises(InputError, match="expected a sheet 'all_by_image', found realign, other"):
        labels(tmp_path)
    sheet(tmp_path, head=(None, None, None, "image", "dmos"))
    with pytest.raises(InputError, match="expected the columns image, dst_type"):
        labels(tmp_path)
    (tmp_path / "csiq.DMOS.xlsx").write_text("<html><body>moved</body></html>")
    with pytest.raises(InputError, match="is a web page"):
        labels(tmp_path)
    (tmp_path / "csiq.DMOS.xlsx").unlink()
    write_text(tmp_path / "csiq_label.txt", ["0.25 1600.AWGN.1.png"])
    with pytest.raises(InputError, match=r"such as 1600\.AWGN\.1\.png, found '0\.25'"):
        labels(tmp_path)
    write_text(tmp_path / "csiq_label.txt", ["1600.AWGN.1.png"])
    with pytest.raises(InputError, match="expected 2 values in a line"):
        labels(tmp_path)


def test_scores_out_of_range(tmp_path):
    """A list on another scale is said to be one."""
    build_csiq_flat(tmp_path)
    lines = (tmp_path / "csiq_label.txt").read_text().splitlines()
    write_text(tmp_path / "csiq_label.txt", [*lines[:-1], f"{lines[-1].split()[0]} 55"])
    (problem,) = opened(tmp_path).problems
    assert problem.startswith("1 scores of dmos are outside the known range 0 to 1")


def test_wrong_root(tmp_path):
    """One level too high or too deep: the error names the right one."""
    build_csiq(tmp_path / "CSIQ")
    for root in (tmp_path, tmp_path / "CSIQ" / "dst_imgs"):
        with pytest.raises(InputError, match=f"give --root {tmp_path / 'CSIQ'}$"):
            labels(root)


def test_published_workbook(shared, tmp_path):
    """866 pictures of 30 references, with the numbers of the digest of facts."""
    source = shared / "data" / "labels" / "csiq.beta.xlsx"
    (tmp_path / "csiq.beta.xlsx").write_bytes(source.read_bytes())
    table = labels(tmp_path).table
    for name, kind in zip(table["name"], table["distortion"], strict=True):
        path = tmp_path / "dst_imgs" / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    database = opened(tmp_path)
    assert len(database.table) == 866 and database.table["group"].nunique() == 30
    assert database.missing == database.unlabelled == database.problems == ()
    table = database.table.set_index("name")
    assert table["distortion"].value_counts().to_dict() == {
        **dict.fromkeys(("awgn", "jpeg", "jpeg2000", "fnoise", "blur"), 150),
        "contrast": 116,
    }
    assert set(CSIQ_NO_FOURTH) == {
        group for group, n in table["group"].value_counts().items() if n == 28
    }
    assert table["dmos"].min() == 0 and table["dmos"].max() == 1
    assert table["dmos_std"].max() == pytest.approx(0.391, abs=5e-4)
    assert table["dmos"]["1600.AWGN.1.png"] == pytest.approx(0.061989, abs=1e-6)
    # the mean score grows with the level for every type: lower is better
    means = table.groupby(["distortion", "level"])["dmos"].mean()
    assert all(means[kind].is_monotonic_increasing for kind in means.index.levels[0])
