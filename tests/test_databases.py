"""Readers: a user's own folder or CSV, PCUID, and names that are wrong."""

import re
import shutil

import pandas as pd
import pytest
from conftest import ROOT, write_csv, write_pictures

from features.duplicates import joined, near_duplicates
from features.errors import InputError, UsageError
from pipeline.databases import DATABASES, known_name, locate
from pipeline.databases.known import open_labels
from pipeline.databases.table import Database, under
from pipeline.databases.tree import Tree


def open_database(*arguments):
    """Find a database and read it."""
    return locate(*arguments)()


def csv(folder, text, encoding="utf-8"):
    """Write labels.csv beside the pictures."""
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_gives_names_scores_and_groups(tmp_path):
    """Every column of the design is read, with its type."""
    database = open_database(str(write_csv(tmp_path, 6, groups=3)), None, tmp_path)
    assert list(database.table["name"]) == [f"p{i:03d}.png" for i in range(6)]
    assert database.table["mos"].dtype == float
    assert database.table["group"].nunique() == 3
    assert database.targets["mos"].higher_is_better
    assert database.missing == () and database.unlabelled == ()


def test_dmos_is_lower_better_and_std_is_no_target(tmp_path):
    """A head fitted on DMOS predicts DMOS; mos_std is not a score."""
    write_pictures(tmp_path, 2)
    path = csv(tmp_path, "image,dmos,mos_std\np000.png,1.5,0.1\np001.png,2.5,0.2\n")
    database = open_database(str(path), None, tmp_path)
    assert list(database.targets) == ["dmos"]
    assert not database.targets["dmos"].higher_is_better


def test_quotes_bom_crlf_commas_and_chinese(tmp_path):
    """Tables as spreadsheets write them."""
    write_pictures(tmp_path, 1)
    (tmp_path / "p000.png").rename(tmp_path / "图片1.png")
    text = '\ufeffImage,MOS,prompt\r\n图片1.png,3.5,"a cat, sitting"\r\n'
    database = open_database(str(csv(tmp_path, text)), None, tmp_path)
    assert database.table["name"][0] == "图片1.png"
    assert database.table["prompt"][0] == "a cat, sitting"


def test_missing_and_unlabelled_are_named(tmp_path):
    """Rows without picture and pictures without row are left out and counted."""
    write_pictures(tmp_path, 3)
    path = csv(tmp_path, "image,mos\np000.png,1\ngone.png,2\np001.png,3\n")
    database = open_database(str(path), None, tmp_path)
    assert database.missing == ("gone.png",)
    assert database.unlabelled == ("p002.png",)
    assert len(database.table) == 2


BAD_CSV = {
    "no image column": ("picture,mos\np000.png,1\n", "expected a column image"),
    "no number": ("image,mos\np000.png,good\n", r"1 values of mos are not numbers.*'good'"),
    "empty score": ("image,mos\np000.png,\n", "values of mos are not numbers"),
    "infinite": ("image,mos\np000.png,inf\n", "values of mos are not numbers"),
    "twice": ("image,mos\np000.png,1\np000.png,2\n", "names stand there twice.*p000.png"),
    "escape": ("image,mos\n../secret.png,1\n", "leads out of"),
    "absolute": ("image,mos\n/etc/passwd,1\n", "leads out of"),
    "nothing there": ("image,mos\na.png,1\n", "no picture found: none of 1 labelled"),
    "empty file": ("", "is empty"),
    "two columns": ("image,mos,MOS\np000.png,1,2\n", "two columns are called 'mos'"),
    "zero in a name": (
        "image,mos\np000\0.png,1\n",
        "no path that can be followed|no picture found",
    ),
    "same file twice": ("image,mos\np000.png,1\nx/../p000.png,2\n", "stand there twice"),
    "empty group": ("image,mos,group\np000.png,1,\n", "column group is empty"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_is_one_clear_line(tmp_path, case):
    """What was expected, what came, what to do."""
    write_pictures(tmp_path, 1)
    text, message = BAD_CSV[case]
    with pytest.raises(InputError, match=message):
        open_database(str(csv(tmp_path, text)), None, tmp_path)


def test_csv_that_is_no_text(tmp_path):
    """A spreadsheet renamed to .csv is refused."""
    path = tmp_path / "labels.csv"
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00binary\x80\x81")
    with pytest.raises(InputError, match="cannot be read as a CSV"):
        open_database(str(path), None, tmp_path)


def test_symbolic_link_out_of_the_folder_is_refused(tmp_path):
    """No path escapes its folder."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    write_pictures(outside, 1)
    inside.mkdir()
    (inside / "link.png").symlink_to(outside / "p000.png")
    with pytest.raises(InputError, match="leads out of"):
        under(inside, "link.png")


def test_folder_of_pictures_has_no_scores(tmp_path):
    """Nested folders are walked, other files and hidden ones passed by, 2 before 10."""
    for name in ("b/p10.png", "b/p2.png", "a.png", ".hidden/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    database = open_database(str(tmp_path), None, tmp_path)
    assert list(database.table["name"]) == ["a.png", "b/p2.png", "b/p10.png"]
    assert database.targets == {}


def test_two_folders_of_one_name_stay_apart(tmp_path):
    """The cache tells a/photos from b/photos."""
    names = set()
    for parent in ("a", "b"):
        write_pictures(tmp_path / parent / "photos", 1)
        names.add(open_database(str(tmp_path / parent / "photos"), None, tmp_path).name)
    assert len(names) == 2


def test_unknown_names(tmp_path):
    """The nearest names are offered; a path that is not there is said to be one."""
    with pytest.raises(UsageError, match=r"unknown database 'pcuidd': did you mean pcuid"):
        open_database("pcuidd", None, tmp_path)
    with pytest.raises(UsageError, match="no such folder or CSV"):
        open_database(str(tmp_path / "no.csv"), None, tmp_path)
    with pytest.raises(UsageError, match="there is no folder .*pcuid.*--root"):
        open_database("pcuid", None, tmp_path)
    assert known_name("PCUID") == "pcuid" and known_name("my") is None


def test_pcuid_root_without_labels(tmp_path):
    """The label file that is missing is named."""
    with pytest.raises(InputError, match=r"expected PCUID's label file .*MOS.xlsx"):
        open_database("pcuid", tmp_path, tmp_path)
    (tmp_path / "MOS.xlsx").write_text("<html>not found</html>")
    with pytest.raises(InputError, match="is a web page and no label file"):
        open_database("pcuid", tmp_path, tmp_path)


def test_pcuid_groups_are_those_that_are_measured(shared):
    """The groups written down are what the thumbnails say."""
    database = open_database("pcuid", shared / "data" / "pcuid", shared)
    names = database.table["name"].to_numpy(str)
    pairs = near_duplicates(database.paths(), names)
    assert len(pairs) == 26
    measured = joined(names, pairs)
    both = database.table["group"] + "/" + measured.astype(str)
    assert both.nunique() == database.table["group"].nunique() == len(set(measured))


def test_a_corrupt_picture_moves_no_fold_of_pcuid(shared, tmp_path):
    """Groups do not depend on what can be decoded."""
    for folder in ("300-1", "300-2", "300-3"):
        (tmp_path / folder).mkdir()
        for path in (shared / "data" / "pcuid" / folder).iterdir():
            (tmp_path / folder / path.name).write_bytes(b"")
    shutil.copy(shared / "data" / "pcuid" / "MOS.xlsx", tmp_path)
    corrupt = open_database("pcuid", tmp_path, shared).table
    assert corrupt.equals(open_database("pcuid", shared / "data" / "pcuid", shared).table)


def test_pcuid_as_downloaded(shared):
    """297 of 300: the three that are absent are named; near-duplicates share 280 groups."""
    database = open_database("pcuid", shared / "data" / "pcuid", shared)
    assert len(database.table) == 297
    assert database.missing == tuple(f"300-1/图片{n}.jpg" for n in (17, 18, 19))
    assert database.table["group"].nunique() == 280
    assert database.table.groupby("group").size().max() == 9
    path = shared / "data" / "pcuid" / "MOS.xlsx"
    labels = pd.read_excel(path, engine="openpyxl").set_index("image_id")["MOS"]
    first = database.table.set_index("name")["mos"]["300-1/图片1.jpg"]
    assert first == labels[1]
    assert database.table["mos"].between(0, 100).all()


@pytest.mark.parametrize("name", DATABASES)
def test_every_database_is_known_by_its_aliases(name):
    """Names as people write them."""
    for alias in (name, name.upper(), *DATABASES[name].aliases):
        assert known_name(alias) == name


def test_empty_table_is_refused(tmp_path):
    """A database without a picture is an error, not an empty result."""
    with pytest.raises(InputError, match="no picture found"):
        Database("x", tmp_path, pd.DataFrame({"name": [], "group": []}), {})


def test_the_database_of_the_readme_is_one(tmp_path):
    """At most forty lines of code make a database, whose faults are said like those of others."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = (b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Known(" in b)
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    known = names["SCENES"]
    write_pictures(tmp_path / "PHOTOS", 3)
    rows = ["photo,mean,deviation,scene", "p000.png,1.5,.3,a", "P001.PNG,4,.2,a", "gone.png,9,.1,b"]
    (tmp_path / "scores.csv").write_text("\n".join(rows))
    tree = Tree(tmp_path)
    database = open_labels("scenes", known, tree, known.labels(tree))
    assert database.table.drop(columns=["image", "row"]).to_dict("list") == {
        "name": ["p000.png", "P001.PNG"],
        "mos": [1.5, 4],
        "mos_std": [0.3, 0.2],
        "group": ["a", "a"],
    }
    assert database.paths()[1] == tmp_path / "PHOTOS" / "p001.png"
    assert database.missing == ("gone.png",) and database.unlabelled == ("PHOTOS/p002.png",)
    assert "outside the known range 1 to 5" in database.problems[0]


def test_the_readme_has_the_facts_of_every_database():
    """Pictures, groups and split in its table are those of the records."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, known in DATABASES.items():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        for number in (known.n_pictures, known.n_groups, *known.split.values()):
            assert number is None or f"{number:,}" in row, (name, number)
        assert all(f"`{target}`" in row for target in known.targets) and known.page in row
