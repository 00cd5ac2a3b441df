"""The files under a root: names in any case and form, links, archives, roots off by one."""

import os
import time
import unicodedata
import zipfile

import pytest

from features.errors import InputError
from pipeline.databases.tree import Tree, folded

NFD = unicodedata.normalize("NFD", "Café/Ångström é.JPG")
NFC = unicodedata.normalize("NFC", NFD)


def touch(root, *names):
    """Write empty files under a root."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def one_line(error) -> str:
    """The message of an error, which is one line."""
    text = str(error.value)
    assert "\n" not in text and len(text) < 600
    return text


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ("Images/A.JPG", "images/a.jpg"),
        ("images/a.jpg", "Images/A.JPG"),
        (NFD, NFC),
        (NFC, NFD),
        (NFD, NFC.upper()),
        ("300-1/图片1.JPG", "300-1/图片1.jpg"),
        ("ΑΒΓ/Ж.png", "αβγ/ж.PNG"),
    ],
)
def test_names_match_in_any_case_and_form(tmp_path, there, asked):
    """What is returned is the name on the disk."""
    touch(tmp_path, there)
    assert Tree(tmp_path).find(asked) == there


def test_other_letters_are_other_names(tmp_path):
    """An accent, a full-width letter or a space make another name."""
    touch(tmp_path, "é.png", "a b.png")
    tree = Tree(tmp_path)
    assert [tree.find(name) for name in ("e.png", "ab.png", "ａ b.png", "a b.png ")] == [None] * 4


def test_folded_keeps_plain_names():
    """Lower case alone where nothing else differs."""
    assert folded("IMG_1.JPG") == "img_1.jpg"
    assert folded(NFD) == folded(NFC) == "café/ångström é.jpg"


def test_exact_spelling_wins_and_a_clash_is_told(tmp_path):
    """Each of two files that differ only in case is found by its own name; a third form by one."""
    touch(tmp_path, "a/x.png", "a/X.png", "A/x.PNG", "a/y.png")
    tree = Tree(tmp_path)
    for name in ("a/x.png", "a/X.png", "A/x.PNG"):
        assert tree.find(name) == name
    assert tree.find("A/X.png") == "A/x.PNG"
    assert tree.clashes == [("A/x.PNG", "a/X.png"), ("A/x.PNG", "a/x.png")]
    assert len(tree.files) == 2


def test_two_forms_of_an_accent_clash(tmp_path):
    """One name to a person."""
    touch(tmp_path, unicodedata.normalize("NFD", "é.png"), "é.png")
    tree = Tree(tmp_path)
    assert len(tree.clashes) == 1
    assert tree.find("é.png") == "é.png"


def test_names_that_are_not_utf8(tmp_path):
    """Bytes of another encoding are kept, and disturb no one."""
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.png", os.O_CREAT))
    touch(tmp_path, "a.png")
    tree = Tree(tmp_path)
    assert tree.pictures() == ["a.png", os.fsdecode(b"caf\xe9.png")]
    assert tree.find(os.fsdecode(b"CAF\xe9.PNG")) == os.fsdecode(b"caf\xe9.png")


def test_the_first_folder_wins(tmp_path):
    """In the order given, whatever lies in the others; names keep their own folders."""
    touch(tmp_path, "one/a.png", "two/a.png", "two/b.png", "c.png", "two/in/d.png")
    tree = Tree(tmp_path)
    found = [
        tree.find(name, ("two", "ONE", "")) for name in ("a.png", "b.png", "c.png", "in/d.png")
    ]
    assert found == ["two/a.png", "two/b.png", "c.png", "two/in/d.png"]
    assert tree.find("a.png", ("one", "two")) == "one/a.png"
    assert tree.find("a.png") is None


def test_folders_of_systems_and_hidden_files_are_passed_by(tmp_path):
    """Deleted pictures, thumbnails and what macOS adds are no pictures of the database."""
    touch(tmp_path, "a.png", ".b.png", ".hidden/c.png", "__MACOSX/d.png", "$RECYCLE.BIN/e.png")
    touch(tmp_path, "in/@eaDir/a.png/thumb.jpg", "lost+found/f.png", "in/._a.png")
    tree = Tree(tmp_path)
    assert tree.pictures() == ["a.png"]
    # a list that names a hidden one means it
    assert tree.find(".b.png") == ".b.png"
    assert tree.find("c.png", ("x", ".hidden")) is None
    assert tree.find(".hidden/c.png") == ".hidden/c.png"
    assert tree.find(".hidden/none.png") is None


def test_pictures_of_a_folder_2_before_10(tmp_path):
    """By suffix, in any case; a folder that only starts alike is another."""
    touch(tmp_path, "A/p10.PNG", "A/p2.png", "A/notes.txt", "AB/p1.png", "A/in/p1.jpeg")
    tree = Tree(tmp_path)
    assert tree.pictures("a") == ["A/in/p1.jpeg", "A/p2.png", "A/p10.PNG"]
    assert len(tree.pictures()) == 4


@pytest.mark.parametrize("name", ["in", "in/", ".", "", "./", "in/.", "/", "a.png/", "in/none.png"])
def test_a_folder_or_nothing_is_no_file(tmp_path, name):
    """None, or refused where it leads out; never the folder itself."""
    touch(tmp_path, "in/a.png")
    try:
        assert Tree(tmp_path).find(name) is None
    except InputError as error:
        assert name == "/" and "leads out" in str(error)


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "in/../../secret.png", "/etc/passwd", "..", "./../secret.png", "/secret.png"],
)
@pytest.mark.parametrize("folders", [("",), ("in",), ("in", "")])
def test_no_name_leads_out(tmp_path, name, folders):
    """By .. or from the top of the disk, in whatever folder the names are looked for."""
    touch(tmp_path, "secret.png", "root/in/a.png")
    with pytest.raises(InputError, match="leads out of .*: name its folder with --root") as error:
        Tree(tmp_path / "root").find(name, folders)
    one_line(error)


def test_roundabout_names_stay_inside(tmp_path):
    """A name with .. or from the top of the disk that ends inside is the file's own name."""
    touch(tmp_path, "in/A.png")
    tree = Tree(tmp_path)
    for name in ("x/../in/a.png", "./in/a.png", f"{tree.root}/in/a.png"):
        assert tree.find(name) == "in/A.png"
    assert tree.find("./a.png", ("in",)) == "in/A.png"


@pytest.mark.parametrize("name", ["a\0.png", "./a\0.png", "x" * 5000, "./" + "x" * 5000, "..\0"])
def test_names_that_no_disk_can_have(tmp_path, name):
    """Not there, or refused in one line."""
    try:
        assert Tree(tmp_path).find(name) is None
    except InputError as error:
        assert "no path that can be followed" in str(error)


def test_links_to_files(tmp_path):
    """Inside they are files; those that lead out are listed, and broken ones and loops ignored."""
    touch(tmp_path, "root/in/a.png", "secret.png")
    root = tmp_path / "root"
    links = {
        "b.png": "in/a.png",
        "out.png": "../secret.png",
        "in/far.png": tmp_path / "secret.png",
        "broken.png": "in/none.png",
        "gone.png": "/nowhere/none.png",
        "self.png": "self.png",
        "one.png": "two.png",
        "two.png": "one.png",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    tree = Tree(root)
    assert tree.pictures() == ["b.png", "in/a.png"]
    assert tree.find("B.png") == "b.png"
    assert tree.outside == ["gone.png", "in/far.png", "out.png"]
    with pytest.raises(InputError, match="leads out"):
        tree.find("out.png")
    # not called by its own path: as if it were not there, and told in the problems
    assert tree.find("far.png", ("in",)) is None
    assert [tree.find(f"{name}.png") for name in ("broken", "self", "one")] == [None] * 3
    (line,) = tree.outside_lines()
    assert line.startswith(
        f"3 links lead out of {root} and are not followed, the first is gone.png"
    )


def test_links_to_folders(tmp_path):
    """Files behind one inside the root are found in any case; nothing is listed twice."""
    touch(tmp_path, "root/data/All/A.png", "root/data/more/b.png", "out/c.png", "root/.store/d.png")
    root = tmp_path / "root"
    links = {
        "images": "data/All",
        "data/All/sub": "../more",
        "far": "../out",
        "data/loop": "..",
        "hidden": ".store",
        "Ünder": "data/more",
    }
    for name, target in links.items():
        (root / name).symlink_to(target, target_is_directory=True)
    tree = Tree(root)
    assert tree.pictures() == ["data/All/A.png", "data/more/b.png"]
    assert tree.find("images/A.png") == "data/All/A.png"
    assert tree.find("a.PNG", ("none", "IMAGES")) == "data/All/A.png"
    assert tree.find("images/sub/B.png") == "data/more/b.png"
    assert tree.find("data/loop/data/loop/images/a.png") == "data/All/A.png"
    assert tree.find(unicodedata.normalize("NFD", "Ünder/b.png")) == "data/more/b.png"
    assert tree.find("hidden/d.png") == ".store/d.png"
    assert tree.find("images/none.png") is None and tree.find("images") is None
    assert tree.outside == ["far"]
    assert tree.find("far/c.png") is None
    # behind .. nothing is taken for granted
    with pytest.raises(InputError, match="leads out"):
        tree.find("far/../out/c.png")
    with pytest.raises(InputError, match="leads out"):
        tree.find("images/../../../out/c.png")


def test_a_hidden_folder_does_not_help_out(tmp_path):
    """What is not listed is looked at before it is given out."""
    touch(tmp_path, "out/c.png", "root/a.png")
    (tmp_path / "root" / ".far").symlink_to("../out")
    with pytest.raises(InputError, match="leads out"):
        Tree(tmp_path / "root").find(".far/c.png")


def test_the_root_may_be_a_link(tmp_path):
    """It is resolved once."""
    touch(tmp_path, "real/a.png")
    (tmp_path / "link").symlink_to("real")
    tree = Tree(tmp_path / "link")
    assert tree.root == (tmp_path / "real").resolve() and tree.find("a.png") == "a.png"


def test_no_folder(tmp_path):
    """Neither a file nor nothing is a root."""
    touch(tmp_path, "file")
    for name in ("none", "file"):
        with pytest.raises(InputError, match="there is no folder"):
            Tree(tmp_path / name)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    """It is named: half a database is no database."""
    touch(tmp_path, "closed/a.png", "b.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        InputError, match="closed cannot be read .Permission denied.: give"
    ) as error:
        Tree(tmp_path)
    one_line(error)


def test_label_takes_the_first_that_is_there(tmp_path):
    """In the order of preference, in any case."""
    touch(tmp_path, "META/Labels.CSV", "old.csv")
    tree = Tree(tmp_path)
    assert tree.label("labels.csv", "meta/labels.csv", "old.csv") == tree.root / "META/Labels.CSV"
    assert tree.label("old.csv", "meta/labels.csv") == tree.root / "old.csv"


@pytest.mark.parametrize("label", ["MOS.xlsx", "Annotations/MOS.xlsx"])
@pytest.mark.parametrize("moved", ["up", "up twice", "down", "down twice"])
def test_a_root_that_is_off_is_told(tmp_path, label, moved):
    """The right one is named, for labels at the top and in a folder."""
    right = tmp_path / "one" / "two" / "Ångström"  # its length differs from that of its other form
    touch(right, label.upper(), "Images/in/a.png")
    root = {
        "up": right.parent,
        "up twice": right.parent.parent,
        "down": right / "Images",
        "down twice": right / "Images" / "in",
    }[moved]
    with pytest.raises(InputError, match=f"DB's label file {label} is not in") as error:
        Tree(root).label(label, "other.xlsx", title="DB")
    assert one_line(error).endswith(f"but in {right}: give --root {right}")


def test_the_nearest_copies_are_named(tmp_path):
    """Fewest folders in between; of two as near, one may belong to another database."""
    touch(tmp_path, "a/b/c/MOS.csv", "z10/MOS.csv", "z2/MOS.csv")
    with pytest.raises(InputError, match=f"give --root {tmp_path}/z2 or {tmp_path}/z10$"):
        Tree(tmp_path).label("MOS.csv")
    touch(tmp_path, "k/part1/MOS.csv")
    with pytest.raises(InputError, match=f"give --root {tmp_path}/k$"):
        Tree(tmp_path).label("part1/MOS.csv")


def test_a_root_inside_the_folder_of_labels(tmp_path):
    """The label file lies at the top, but the layout wants it one folder deeper."""
    touch(tmp_path, "SPAQ/Annotations/MOS.xlsx")
    with pytest.raises(InputError, match="give --root .*SPAQ$"):
        Tree(tmp_path / "SPAQ" / "Annotations").label("Annotations/MOS.xlsx")


def test_a_label_file_in_the_wrong_place(tmp_path):
    """It is seen, and said where."""
    touch(tmp_path, "MOS.xlsx")
    with pytest.raises(InputError, match=r"a file of that name is at MOS.xlsx: move it$") as error:
        Tree(tmp_path).label("Annotations/MOS.xlsx", title="SPAQ", get="download it")
    assert "expected SPAQ's label file Annotations/MOS.xlsx under" in one_line(error)


def test_no_label_file_says_what_to_get(tmp_path):
    """With the first three of its names, and what lies there packed or leads out."""
    touch(tmp_path, "root/x.png")
    with zipfile.ZipFile(tmp_path / "root" / "db.zip", "w") as archive:
        archive.writestr("x", "x")
    (tmp_path / "root" / "labels").symlink_to(tmp_path)
    with pytest.raises(InputError) as error:
        Tree(tmp_path / "root").label("a.csv", "b.csv", "c.csv", "d.csv", title="DB", get="get it")
    text = one_line(error)
    assert "expected DB's label file a.csv or b.csv or c.csv under" in text
    assert ": get it; db.zip is an archive: unpack it here; 1 links lead out of" in text


def test_a_label_file_that_leads_out(tmp_path):
    """It is not read."""
    touch(tmp_path, "MOS.csv")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "MOS.csv").symlink_to(tmp_path / "MOS.csv")
    with pytest.raises(InputError, match="'MOS.csv' leads out of .*--root"):
        Tree(tmp_path / "root").label("MOS.csv")


def seven_zip(n: int) -> bytes:
    """An archive of 7-Zip with its header alone, whose list of files ends n bytes further on."""
    return b"7z\xbc\xaf'\x1c\0\4" + bytes(4) + n.to_bytes(8, "little") + bytes(8) + bytes(4)


def whole_zip(path):
    """A whole zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"x" * 1000)
    return path.read_bytes()


UNPACK = "is an archive: unpack it here"
BROKEN = "is no whole archive: download it again (or join its parts)"
PART = "is a part of an archive: unpack all parts together here"
UNFINISHED = "is an unfinished download: finish it"
ARCHIVES = {
    "half.zip": (lambda path: whole_zip(path)[:-30], BROKEN),
    "empty.zip": (lambda path: b"", BROKEN),
    "page.7z": (lambda path: b"<!DOCTYPE html>" * 9, BROKEN),
    "half.7z": (lambda path: seven_zip(100) + b"x" * 99, BROKEN),
    "empty.rar": (lambda path: b"", BROKEN),
    "page.tar.gz": (lambda path: b"<html>" * 9, BROKEN),
    "a.zip.part": (lambda path: b"x", UNFINISHED),
    "b.zip.CRDOWNLOAD": (lambda path: b"x", UNFINISHED),
    "c.partial": (lambda path: b"", UNFINISHED),
    "whole.ZIP": (whole_zip, UNPACK),
    "whole.7z": (lambda path: seven_zip(100) + b"x" * 100, UNPACK),
    "whole.rar": (lambda path: b"Rar!\x1a\x07\x01\0" + b"x" * 99, UNPACK),
    "whole.tgz": (lambda path: b"\x1f\x8b\x08" + b"x" * 99, UNPACK),
    "parts.z01": (lambda path: b"x", PART),
    "parts.7z.002": (lambda path: b"x", PART),
    "parts.r00": (lambda path: b"x", PART),
    "parts.part2.rar": (lambda path: b"Rar!\x1a\x07\x01\0" + b"x" * 99, PART),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_say_what_to_do(tmp_path, name):
    """What is packed, in parts, half or a web page instead."""
    content, what = ARCHIVES[name]
    (tmp_path / name).write_bytes(content(tmp_path / name))
    touch(tmp_path, "a.png", "b.csv", "in/deep/below.rar", "part", "zip")
    assert Tree(tmp_path).archives() == [(name, what)]
    assert Tree(tmp_path).archives_line() == f"; {name} {what}"


def test_what_is_not_whole_is_said_first(tmp_path):
    """At most three, and those that nothing can be unpacked of before the others."""
    for k in range(1, 9):
        touch(tmp_path, f"db.z0{k}")
    touch(tmp_path, "db.zip", "x.part")
    lines = Tree(tmp_path).archives_line().split("; ")[1:]
    assert lines == [f"db.zip {BROKEN}", f"x.part {UNFINISHED}", f"db.z01 {PART}"]


def test_elsewhere_finds_a_whole_name(tmp_path):
    """Wherever it lies, 2 before 10; img1.png of one folder is not that of another."""
    touch(tmp_path, "p10/A.png", "p2/a.PNG", "aa.png", "x/Images/a.png")
    tree = Tree(tmp_path)
    assert tree.elsewhere("a.png") == "p2/a.PNG"
    assert tree.elsewhere("Images/a.png") == "x/Images/a.png"
    assert tree.elsewhere("a.png", ("p10", "images")) == "p10/A.png"
    assert tree.elsewhere("other/a.png") is None
    assert tree.elsewhere("b.png") is None and tree.elsewhere("") is None


def test_the_disk_is_not_asked_for_each_file(tmp_path, monkeypatch):
    """Or a quarter of a million pictures would take minutes."""
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(20_000):
        os.close(os.open(folder / f"{k}.jpg", os.O_CREAT))
    asked = []

    def count(function):
        return lambda *arguments, **options: asked.append(1) or function(*arguments, **options)

    for name in ("stat", "lstat", "readlink", "scandir", "listdir"):
        monkeypatch.setattr(os, name, count(getattr(os, name)))
    start = time.perf_counter()
    tree = Tree(tmp_path)
    found = [tree.find(f"{k}.JPG", ("none", "images", "")) for k in range(21_000)]
    assert found.count(None) == 1000 and found[2] == "images/2.jpg"
    assert len(tree.pictures()) == 20_000
    assert time.perf_counter() - start < 15
    monkeypatch.undo()
    assert len(asked) < 50
