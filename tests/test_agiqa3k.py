"""AGIQA-3k: data.csv and the spreadsheet made of it, prompts with commas, gaps of two models."""

import shutil

import pytest
from trees import write_text, write_xlsx
from trees_generated import build_agiqa3k, build_agiqa3k_joint

from features.errors import InputError
from pipeline.databases.agiqa3k import AGIQA3K
from pipeline.databases.known import open_labels
from pipeline.databases.tree import Tree

HEAD = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align"


def labels(root):
    """What the reader says, of all rows."""
    return AGIQA3K.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("agiqa-3k", AGIQA3K, Tree(root), labels(root))


def test_csv(tmp_path):
    """All columns of a row whose prompt holds commas, in a file with line ends of Windows."""
    build_agiqa3k(tmp_path)
    assert (tmp_path / "data.csv").read_bytes().count(b"\r\n") == 2983
    table = labels(tmp_path).table
    assert len(table) == AGIQA3K.n_pictures == 2982
    row = table[table["name"] == "sd1.5_highcorr_007.jpg"].iloc[0].to_dict()
    level = (7 + len("sd1.5_highcorr")) % 10  # 1
    assert row.pop("mos") == pytest.approx(4.5 - 4.5 * level / 9) == 4
    assert row.pop("mos_alignment") == pytest.approx(4 - 3.5 / 9)
    assert row == {
        "name": "sd1.5_highcorr_007.jpg",
        "mos_std": 0.5,
        "mos_alignment_std": 0.75,
        "prompt": "thing 7, soft lighting,",  # without the blank at its end
        "group": "007",
    }


def test_groups_are_numbers_of_prompts(tmp_path):
    """300 groups of ten, but where midjourney (4) and DALLE2 (10) have no picture."""
    build_agiqa3k(tmp_path)
    table = labels(tmp_path).table
    sizes = table["group"].value_counts()
    assert len(sizes) == AGIQA3K.n_groups == 300
    assert sizes["000"] == 10 and sizes["045"] == 8 and sizes["008"] == 9 and sizes["238"] == 7
    assert (table.groupby("group")["prompt"].nunique() == 1).all()
    way = table["name"].str.rsplit("_", n=1).str[0].value_counts()
    assert way["midjourney_lowstep"] == way["midjourney_normal"] == 296
    assert way["DALLE2_normal"] == 290 and way["sd1.5_lowcorr"] == 300


def test_sheet_made_by_hand_says_the_same(tmp_path):
    """mos_joint.xlsx has the same scores without deviations."""
    build_agiqa3k(tmp_path / "csv")
    build_agiqa3k_joint(tmp_path / "joint")
    other = labels(tmp_path / "joint").table
    ours = labels(tmp_path / "csv").table
    assert list(other) == ["name", "mos", "mos_alignment", "prompt", "group"]
    assert other[["name", "prompt", "group"]].equals(ours[list(other)][["name", "prompt", "group"]])
    for column in ("mos", "mos_alignment"):
        assert other[column].to_numpy() == pytest.approx(ours[column].to_numpy())
    database = opened(tmp_path / "joint")
    assert database.table["image"][0] == "images/AttnGAN_normal_000.jpg"
    (tmp_path / "csv" / "data.csv").rename(tmp_path / "joint" / "data.csv")
    assert opened(tmp_path / "joint").labels[0].name == "data.csv"


@pytest.mark.parametrize("folder", ["AGIQA-3k", "images", "IMG", "all", ""])
def test_folders_of_pictures(tmp_path, folder):
    """Each way in which people unpack the archive, in any case."""
    build_agiqa3k(tmp_path)
    unpacked = (tmp_path / "AGIQA-3K").rename(tmp_path / "new")
    if folder:
        unpacked.rename(tmp_path / folder)
    else:
        for path in unpacked.iterdir():
            path.rename(tmp_path / path.name)
    database = opened(tmp_path)
    assert len(database.table) == 36 and database.table["group"].nunique() == 12
    assert len(database.missing) == 2946 and database.unlabelled == () == database.problems


def test_targets_and_names_in_another_case(tmp_path):
    """Quality comes first, higher is better; a file is found whatever its case."""
    build_agiqa3k(tmp_path)
    picture = tmp_path / "AGIQA-3K" / "AttnGAN_normal_000.jpg"
    picture.rename(picture.with_name("attngan_normal_000.JPG"))
    database = opened(tmp_path)
    assert list(database.targets) == ["mos", "mos_alignment"]
    assert all(target.higher_is_better for target in database.targets.values())
    assert database.table["name"][0] == "AttnGAN_normal_000.jpg"
    assert database.table["image"][0] == "AGIQA-3K/attngan_normal_000.JPG"


WRONG = {
    "columns": ("name,mos\na_000.jpg,1", "expected the columns name, prompt, mos_quality"),
    "name": (f"{HEAD}\ncat.jpg,x,,,,1,1,1,1", "expected names such as sd1.5_.*'cat.jpg'"),
    "number": (f"{HEAD}\na_300.jpg,x,,,,1,1,1,1", "expected names such as sd1.5_.*'a_300.jpg'"),
    "score": (f"{HEAD}\na_000.jpg,x,,,,1,1,,1", "1 values of mos_align are not numbers"),
    "comma": (f"{HEAD}\na_000.jpg,x, y,,,,1,1,1,1", "a row has more values than"),
    "page": ("<html><body>", "is a web page and no label file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(tmp_path, case):
    """One line: what was expected, what came, what to do."""
    text, message = WRONG[case]
    write_text(tmp_path / "data.csv", text.split("\n"))
    with pytest.raises(InputError, match=message):
        labels(tmp_path)


def test_wrong_root(tmp_path):
    """One folder too high, and one too deep: the right one is named."""
    build_agiqa3k(tmp_path / "db")
    for root in (tmp_path, tmp_path / "db" / "AGIQA-3K"):
        with pytest.raises(InputError, match=r"data.csv is not in .*give --root .*db$"):
            labels(root)
    (tmp_path / "db" / "data.csv").unlink()
    with pytest.raises(InputError, match=r"expected AGIQA-3k's label file data.csv.*download"):
        labels(tmp_path / "db")


def test_scores_out_of_range(tmp_path):
    """As of somebody's sheet that spreads them over 0..100."""
    build_agiqa3k_joint(tmp_path)
    rows = [("name", "prompt", "mos_quality", "mos_align"), ("AttnGAN_normal_000.jpg", "x", 50, 1)]
    write_xlsx(tmp_path / "mos_joint.xlsx", {"Sheet1": rows})
    assert "1 scores of mos are outside the known range 0 to 5" in opened(tmp_path).problems[0]


def test_real_labels(tmp_path, shared):
    """2,982 rows and 300 prompts, one for each number."""
    shutil.copy(shared / "data" / "labels" / "agiqa3k_data.csv", tmp_path / "data.csv")
    table = labels(tmp_path).table
    assert len(table) == 2982
    assert table["group"].nunique() == table["prompt"].nunique() == 300
    assert (table.groupby("group")["prompt"].nunique() == 1).all()
    assert table["prompt"].str.contains(",").mean() == pytest.approx(0.8, abs=0.01)
    assert table["mos"].min() == 0 and table["mos"].max() == pytest.approx(4.489, abs=1e-3)
    assert table["mos_alignment"].min() == pytest.approx(0.021, abs=1e-3)
    assert table["mos_alignment"].max() == pytest.approx(4.286, abs=1e-3)
    assert table[["mos_std", "mos_alignment_std"]].gt(0).all(axis=None)
    for name in table["name"]:
        (tmp_path / name).touch()
    database = opened(tmp_path)
    assert len(database.table) == 2982 and database.missing == database.unlabelled == ()
    assert database.problems == ()
