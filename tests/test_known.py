"""How labels meet the files on a disk, for a database that is made up here."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from pipeline.databases.known import Known, Labels, open_labels
from pipeline.databases.table import Target
from pipeline.databases.tree import Tree

FILE = Path("/labels/scores.csv")
KNOWN = Known(
    "The DB",
    "pictures",
    labels=None,
    targets={"mos": Target(0, 10), "mos_depth": Target(), "dmos": Target(0, 1, False)},
    group_by="scene",
    note="of a record",
)


@pytest.fixture
def db(tmp_path):
    """Writes empty files under a root and opens labels there."""
    root = tmp_path / "root"
    root.mkdir()

    def open_(there, labels, known=KNOWN):
        for name in there:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        tree = Tree(root)
        return open_labels("the-db", known, tree, labels)

    open_.root = root
    return open_


def labels(names, folders=("",), **columns):
    """Labels of pictures: mos 1, 2, 3 ... unless given."""
    mos = {} if "mos" in columns else {"mos": np.arange(1.0, 1 + len(names))}
    table = pd.DataFrame({"name": pd.Series(names, dtype=object)} | mos | columns)
    return Labels(table, (FILE,), folders)


def one_line(error) -> str:
    """The message of an error, which is one line."""
    text = str(error.value)
    assert "\n" not in text and len(text) < 600
    return text


def test_rows_that_are_there(db):
    """Field by field; rows keep the numbers that they have in the label file."""
    names = ["b.png", "none.png", "图 1.png", "gone.png", "a.png"]
    found = db(
        ["Images/A.PNG", "Images/图 1.png", "Images/b.png", "Images/extra.png", "other/x.png"],
        labels(names, ("images",), mos_std=[0.1, 0.2, 0.3, 0.4, 0.5], group=list("vwxyz")),
    )
    assert found.name == "the-db" and found.root == db.root
    assert list(found.table) == ["name", "image", "row", "mos", "mos_std", "group"]
    assert found.table["name"].tolist() == ["b.png", "图 1.png", "a.png"]
    assert found.table["image"].tolist() == ["Images/b.png", "Images/图 1.png", "Images/A.PNG"]
    assert found.table["row"].tolist() == [0, 2, 4]
    assert found.table["mos"].tolist() == [1, 3, 5]
    assert found.table["group"].tolist() == ["v", "x", "z"]
    assert found.table.index.tolist() == [0, 1, 2]
    assert found.missing == ("none.png", "gone.png")
    # not what lies in folders that no label names
    assert found.unlabelled == ("Images/extra.png",)
    assert list(found.targets) == ["mos"] and found.targets["mos"] == Target(0, 10)
    assert (found.group_by, found.note) == ("scene", "of a record")
    assert found.problems == () and found.labels == (FILE,)
    assert found.paths()[2] == db.root / "Images/A.PNG"


def test_labels_go_before_the_record(db):
    """Targets, groups and notes that depend on the files."""
    own = replace(
        labels(["a.png"], dmos=[0.5], mos_depth=[99.0]),
        targets={"dmos": Target(0, 1, False)},
        group_by="day",
        note="of the files",
    )
    found = db(["a.png"], own)
    assert list(found.targets) == ["dmos"] and not found.targets["dmos"].higher_is_better
    assert (found.group_by, found.note) == ("day", "of the files")
    assert list(db(["a.png"], replace(own, targets=None)).targets) == ["mos", "mos_depth", "dmos"]
    assert db(["a.png"], replace(own, targets={})).targets == {}


def test_each_picture_is_its_own_group(db):
    """Where nothing else is said."""
    assert db(["a.png", "b.png"], labels(["a.png", "b.png"])).table["group"].tolist() == [
        "a.png",
        "b.png",
    ]


def test_files_that_are_called_otherwise(db):
    """`file` is looked for, `name` is what counts, and no column of the result."""
    found = db(
        ["in/1_old.png", "in/2_old.png", "in/n1.png"],
        labels(
            ["n1.png", "n2.png", "n3.png"], ("in",), file=["1_OLD.png", "2_old.png", "3_old.png"]
        ),
    )
    assert "file" not in found.table
    assert found.table["name"].tolist() == ["n1.png", "n2.png"]
    assert found.table["image"].tolist() == ["in/1_old.png", "in/2_old.png"]
    assert found.missing == ("n3.png",)
    assert found.unlabelled == ("in/n1.png",)


def test_the_first_folder_wins_for_each_picture(db):
    """One of them may hold only some."""
    there = ["new/a.png", "old/a.png", "old/b.png", "c.png"]
    found = db(there, labels(["a.png", "b.png", "c.png"], ("new", "old", "")))
    assert found.table["image"].tolist() == ["new/a.png", "old/b.png"]
    # the copy that is not used has no row of its own
    assert found.unlabelled == ("old/a.png",)
    # a file beside the folders of most pictures is another one of that name
    assert found.missing == ("c.png",)


def test_all_at_the_top(db):
    """Where most lie there, and a few in a folder, as of a repository's own pictures."""
    there = ["a.png", "b.png", "c.png", "new/c.png"]
    found = db(there, labels(["a.png", "b.png", "c.png"], ("new", "")))
    assert found.table["image"].tolist() == ["a.png", "b.png", "new/c.png"]


def test_another_form_is_another_database(db):
    """Reduced pictures are not to be moved to where the published ones belong."""
    known = replace(KNOWN, forms={"small": "db-small"})
    with pytest.raises(InputError, match=r"; small/ has them in another form: --db db-small$"):
        db(["small/a.png"], labels(["a.png"], ("big",)), known)


def test_extras_are_not_unlabelled(db):
    """Reference copies, by their last name in any case."""
    there = ["in/a.png", "in/REF.png", "in/t1.bmp", "in/b.txt"]
    own = replace(labels(["in/a.png"]), extras=frozenset(["ref.png", "t1.bmp"]))
    assert db(there, own).unlabelled == ()


def test_scores_out_of_the_known_range_are_told(db):
    """With their number, the first, and the file; the ends belong to the range."""
    own = labels(list("abcde"), mos=[0.0, 10.0, 10.1, -3.0, 5.0], dmos=[0, 0.5, 1, np.nan, 0.5])
    (first, second) = db(list("abcde"), own).problems
    assert first == (
        "2 scores of mos are outside the known range 0 to 10, the first is 10.1 of c: is "
        "scores.csv the published file?"
    )
    assert second.startswith("1 scores of dmos are outside") and "the first is nan" in second


def test_scores_of_missing_pictures_are_told_too(db):
    """They are those of the file, whatever lies on the disk."""
    assert "1 scores of mos" in db(["a"], labels(["a", "b"], mos=[1.0, 99.0])).problems[0]


def test_doubts_without_a_label_file(db):
    """A table that was made otherwise."""
    own = replace(labels(["a"], mos=[11.0]), files=())
    assert "is the label file the published file?" in db(["a"], own).problems[0]


def test_no_labels_at_all(db):
    """A label file without rows is an error, however many pictures there are."""
    with pytest.raises(InputError, match="scores.csv: expected rows of labels") as error:
        db(["a.png"], labels([]))
    one_line(error)
    with pytest.raises(InputError, match="no picture found under"):
        db(["a.txt"], replace(labels([]), files=()))


def test_a_name_twice(db):
    """Rows are joined by name."""
    with pytest.raises(InputError, match="1 names stand there twice.*'a.png'") as error:
        db(["a.png", "b.png"], labels(["a.png", "b.png", "a.png"]))
    one_line(error)


def test_two_names_of_one_file(db):
    """As names that differ only in case, of which one file got lost: both sides of a fold."""
    found = db(["A.png", "b.png"], labels(["A.png", "a.png", "b.png"]))
    assert found.problems == (
        "1 pictures are there under another name too, the first is A.png as A.png and a.png: leave "
        "one row, or get the other picture",
    )
    found = db(["a.png"], labels(["A.png", "a.png", "b.png"]))
    assert found.table["image"].tolist() == ["A.png", "a.png", "b.png"]
    assert found.problems == ("A.png and a.png differ only in case: leave one of them",)


def test_problems_of_the_labels_come_first(db):
    """Then scores, then files; many clashes are counted."""
    own = replace(labels(["a0"], mos=[-1.0]), problems=("two rows were left out",))
    found = db([f"{letter}{k}" for letter in "aA" for k in range(9)], own)
    assert found.problems[0] == "two rows were left out"
    assert found.problems[1].startswith("1 scores of mos")
    assert found.problems[2] == "A0 and a0 differ only in case: leave one of them"
    assert found.problems[5:] == ("6 more files differ from others only in case",)


def test_links_that_lead_out_are_told(db):
    """Once, with where the first leads, and loops do no harm."""
    (db.root.parent / "far.png").touch()
    for k in range(3):
        (db.root / f"link{k}.png").symlink_to("../far.png")
    (db.root / "loop.png").symlink_to("loop.png")
    (line,) = db(["a.png"], labels(["a.png", "loop.png"])).problems
    assert line.startswith(f"3 links lead out of {db.root} and are not followed")
    assert f"first is link0.png -> {db.root.parent / 'far.png'}: copy what they lead to" in line


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "in/../../a.png"])
def test_no_label_leads_out(db, name):
    """One such name, and nothing is read."""
    (db.root.parent / "a.png").touch()
    with pytest.raises(InputError, match="leads out of") as error:
        db(["in/a.png"], labels(["a.png", name], ("in",)))
    one_line(error)


def test_names_that_are_folders_or_odd_are_missing(db):
    """Only files are pictures."""
    names = ["a.png", "in", "in/", "", ".", ".hidden", "x" * 5000]
    found = db(["a.png", "in/b.png", ".hidden/c.png"], labels(names))
    assert found.missing == tuple(names[1:])


NOTHING = {
    "nowhere": ([], r"no picture found: none of 2 labelled ones is in \S+/root/new or \S+/old$"),
    "elsewhere": (["x/in/a.png"], r"that name is at \S+/x/in/a.png: if it is .* to \S+/new$"),
    "deeper": (["x/New/in/a.png"], r"; in/a.png is in (\S+)/x/New: move the pictures to \1$"),
    "other copy": (["A.PNG"], r"new or \S+/old$"),
    "above": (["../new/in/a.png"], r"; a.png is under (\S+): give --root \1$"),
    "packed": (["db.rar"], r"; db.rar is no whole archive: download it again .or join its parts.$"),
    "half": (["db.zip.part"], r"; db.zip.part is an unfinished download: finish it$"),
    "parts": (["db.z01"], r"; db.z01 is a part of an archive: unpack all parts together here$"),
}


@pytest.mark.parametrize("case", NOTHING)
def test_no_picture_at_all(db, case):
    """Where they should be, and what may have happened."""
    there, message = NOTHING[case]
    with pytest.raises(InputError, match=message) as error:
        db(there, labels(["in/a.png", "in/b.png"], ("new", "old")))
    one_line(error)


def test_all_pictures_behind_a_link(db):
    """A folder of the root that lies on another disk."""
    (db.root.parent / "disk").mkdir()
    (db.root.parent / "disk" / "a.png").touch()
    (db.root / "new").symlink_to("../disk")
    with pytest.raises(InputError, match="; 1 links lead out of .* -> .*disk: copy what they lead"):
        db([], labels(["a.png"], ("new",)))
    # inside the root it is a folder like any other
    (db.root / "new").unlink()
    (db.root / "new").symlink_to("store")
    found = db(["store/a.png", "store/b.png"], labels(["A.png"], ("new",)))
    assert found.table["image"].tolist() == ["store/a.png"]
    assert found.unlabelled == ("store/b.png",)


def test_a_quarter_of_a_million_rows_without_their_pictures(db):
    """A second or two, where it would be minutes if the disk were asked for each."""
    names = [f"{k}.jpg" for k in range(250_000)]
    start = time.perf_counter()
    found = db(["0.jpg", "x.jpg"], labels(names, ("images", "new", ""), mos=5.0))
    assert len(found.missing) == 249_999 and found.unlabelled == ("x.jpg",)
    assert time.perf_counter() - start < 20
