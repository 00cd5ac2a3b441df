"""Databases in tars and behind URLs, in WebDataset's form and plain, against folders and CSVs."""

import io
import json
import tarfile

import numpy as np
import pandas as pd
import pytest
from conftest import assert_same, write_csv, write_pictures
from servers import Plain, Ranged, serving
from test_tar_headers import tar_bytes

import features
from features.decode import read_picture
from features.errors import InputError, UsageError
from features.sources import Refused, read
from pipeline import sizes
from pipeline.databases import locate
from pipeline.databases.checking import check
from pipeline.extract import run_extract
from pipeline.scoring import collect
from pipeline.sizes import write_sizes
from pipeline.tables import read_cached_table, write_table

PNG = b"not decoded here"


def open_db(db):
    """Read a database."""
    return locate(str(db), None, "data")()


@pytest.fixture
def tar(tmp_path):
    """Writes a tar of members into this test's folder."""

    def tar(name, *members, **options):
        path = tmp_path / name
        path.write_bytes(tar_bytes(members, **options))
        return path

    return tar


def said(**values) -> bytes:
    """A sample's JSON."""
    return json.dumps(values).encode()


# --- the same pictures, wherever they are


def pixels(database):
    """Name -> pixels."""
    names = database.table["name"]
    return {n: read_picture(p)[0] for n, p in zip(names, database.paths(), strict=True)}


@pytest.mark.parametrize("where", ["tar", "web folder", "web tar", "plain web tar", "memory"])
def test_the_same_rows_and_pixels_as_a_folder(tmp_path, where):
    """A folder, a tar of it, a folder and a tar behind URLs: names, pixels, sizes, digests."""
    folder = tmp_path / "www" / "photos"
    write_pictures(folder / "sub", 7)
    (folder / "sub" / "p003.png").write_bytes(b"<html>")
    with tarfile.open(tmp_path / "www" / "x.tar", "w") as file:
        file.add(folder, "./")
    expected = open_db(folder)
    if where == "tar":
        compare(open_db(tmp_path / "www" / "x.tar"), expected, tmp_path)
        return
    fsspec = pytest.importorskip("fsspec")
    if where == "memory":
        system = fsspec.filesystem("memory")
        system.put(str(folder), "/photos", recursive=True)
        compare(open_db("memory://photos/"), expected, tmp_path)
        system.rm("/photos", recursive=True)
        return
    pytest.importorskip("aiohttp")
    with serving(tmp_path / "www", Plain if "plain" in where else Ranged) as (url, _):
        end = "/photos/" if "folder" in where else "/x.tar"
        compare(open_db(url + end), expected, tmp_path)


def compare(database, expected, tmp_path):
    """The same rows, and the table in the cache leads to the same pictures again."""
    assert list(database.table["name"]) == list(expected.table["name"])
    assert list(database.table["group"]) == list(expected.table["group"])
    ours, theirs = pixels(database), pixels(expected)
    for name, picture in theirs.items():
        np.testing.assert_array_equal(ours[name], picture)
    write_table(tmp_path / "cache", database)
    cached = read_cached_table(tmp_path / "cache", database.name)
    for name, path in zip(expected.table["name"], expected.paths(), strict=True):
        assert read(cached.path(name)) == path.read_bytes()
    assert [read(path) for path in cached.paths()] == [
        read(path) for path in sorted(expected.paths())
    ]


def test_the_same_embeddings_as_a_folder(tmp_path):
    """Bit for bit, with the reasons of what fails; a second run embeds nothing."""
    write_pictures(tmp_path / "photos", 12)
    (tmp_path / "photos" / "p003.png").write_bytes(b"<html>")
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.add(tmp_path / "photos", "./")
    database, _ = run_extract(str(tmp_path / "photos"), features="nss")
    packed, done = run_extract(str(tmp_path / "x.tar"), features="nss")
    assert done[0].n_new == 12
    assert_same(features.load(packed.name, "nss"), features.load(database.name, "nss"))
    assert run_extract(str(tmp_path / "x.tar"), features="nss")[1][0].n_new == 0


# --- WebDataset


def test_samples_as_webdataset_writes_them(tmp_path):
    """Its own writer's tars; keys with folders and dots behind, JSON, text and class."""
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "x.tar")) as sink:
        for index in range(4):
            sample = {
                "__key__": f"00{index % 2}/{index:04d}",
                "png": np.full((4, 5, 3), index, np.uint8),
                "json": {"mos": index / 2, "mos_std": 0.5, "scene": f"s{index}", "list": [1]},
                "txt": f"a red fox {index // 2}",
                "cls": 3,
            }
            sink.write(sample)
    database = open_db(tmp_path / "x.tar")
    table = database.table.set_index("name")
    assert list(table.index) == [f"00{i % 2}/{i:04d}.png" for i in range(4)]
    assert table["mos"].tolist() == [0, 0.5, 1, 1.5]
    assert table["mos_std"].tolist() == [0.5] * 4
    assert table["scene"].tolist() == ["s0", "s1", "s2", "s3"]
    assert table["prompt"].tolist() == ["a red fox 0"] * 2 + ["a red fox 1"] * 2
    assert database.group_by == "column prompt" and table["group"].nunique() == 2
    assert "list" not in table and "cls" not in table
    for index, path in enumerate(database.paths()):
        assert (read_picture(path)[0] == index).all()
    assert not database.problems and not database.remarks


def test_keys_are_webdataset_s(tmp_path):
    """Which picture belongs to which JSON, as its own reader groups them."""
    webdataset = pytest.importorskip("webdataset")
    names = ["a/b.c/x.jpg", "a.b/y.seg.png", "a.b/y.jpg", "z.1.jpg", "up/UP.PNG", "plain.jpeg"]
    keys = {name: webdataset.tariterators.base_plus_ext(name)[0] for name in names}
    members = [(name, PNG) for name in names]
    members += [(f"{key}.json", said(mos=1, key_=key)) for key in sorted(set(keys.values()))]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members))
    table = open_db(tmp_path / "x.tar").table
    assert dict(zip(table["name"], table["key_"], strict=True)) == keys


def test_columns_are_those_of_a_csv(tmp_path, tar):
    """The same labels in a CSV and in a tar give the same table."""
    path = write_csv(tmp_path / "csv", 12, groups=4)
    members = []
    for line in path.read_text().splitlines()[1:]:
        name, mos, group = line.split(",")
        members.append((name, (path.parent / name).read_bytes()))
        members.append((name.replace(".png", ".json"), said(mos=float(mos), group=group)))
    ours, expected = open_db(tar("x.tar", *members)), open_db(path)
    columns = ["name", "row", "mos", "group"]
    pd.testing.assert_frame_equal(ours.table[columns], expected.table[columns], check_dtype=False)
    assert ours.targets == expected.targets and ours.group_by == expected.group_by


def test_json_may_come_first_and_dmos_is_worse(tar):
    """The order within a tar says nothing; dmos is lower for better pictures."""
    database = open_db(tar("x.tar", ("a.json", said(DMOS="3.5", Group=7)), ("a.jpg", PNG)))
    assert database.table["dmos"].tolist() == [3.5]
    assert database.table["group"].tolist() == ["7"]
    assert not database.targets["dmos"].higher_is_better


def test_pictures_without_a_score_are_unlabelled(tar):
    """Where some samples have one."""
    database = open_db(tar("x.tar", ("a.jpg", PNG), ("b.jpg", PNG), ("b.json", said(mos=2))))
    assert database.table["name"].tolist() == ["b.jpg"]
    assert database.unlabelled == ("a.jpg",)
    assert [path.name for path in database.paths()] == ["b.jpg"]


def test_scores_that_are_none(tar):
    """One line with the picture, as for a CSV."""
    path = tar("x.tar", ("a.jpg", PNG), ("a.json", said(mos="good")))
    with pytest.raises(InputError, match="values of mos are not numbers.*'good' for 'a.jpg'"):
        open_db(path)


def test_several_pictures_of_a_sample(tar):
    """Each is a row; they share the JSON and the group, and a remark says so."""
    members = [("a.jpg", PNG), ("a.seg.png", PNG), ("a.json", said(mos=2)), ("b.jpg", PNG)]
    database = open_db(tar("x.tar", *members, ("b.json", said(mos=1))))
    assert database.table["name"].tolist() == ["a.jpg", "a.seg.png", "b.jpg"]
    assert database.table["group"].tolist() == ["a", "a", "b"]
    assert database.group_by == "sample"
    assert "1 pictures are further ones of their sample" in database.remarks[0]


def test_bad_and_large_texts(tar):
    """They are counted and named, and cost no picture."""
    members = [("a.jpg", PNG), ("a.json", b"{"), ("b.jpg", PNG), ("b.json", b"[1]")]
    members += [("c.jpg", PNG), ("c.txt", b"\xff\xfe"), ("d.jpg", PNG)]
    members += [("d.txt", b" " * 2_000_000), ("e.jpg", PNG), ("e.json", b"[" * 100_000)]
    database = open_db(tar("x.tar", *members))
    assert len(database.table) == 5
    assert "4 members are no JSON objects or no text in UTF-8, the first is a.json" in str(
        database.problems
    )
    assert "1 members .json and .txt of over 1 MB" in str(database.problems)


def test_texts_that_no_csv_can_hold(tar, tmp_path):
    """Halves of letters and zeros, which JSON can write, cost no database."""
    values = b'{"group": "a\\ud800\\u0000b", "k\\ud800": 1, "prompt": "\\u0000"}'
    database = open_db(tar("x.tar", ("a.jpg", PNG), ("a.json", values), ("a.txt", b"\0fox\0")))
    assert database.table["group"].tolist() == ["a?b"]
    assert database.table["prompt"].tolist() == ["fox"]
    write_table(tmp_path / "cache", database)
    assert read_cached_table(tmp_path / "cache", database.name).table["k?"].tolist() == ["1"]


# --- names and tars


def test_of_a_pattern_names_begin_with_the_tar(tar):
    """So two tars may use one name, and one more tar renames nothing."""
    for number in range(3):
        tar(f"s-{number}.tar", ("000/a.jpg", b"%d" % number), ("000/a.json", said(mos=number)))
    root = tar("other.tar", ("x.jpg", PNG)).parent
    database = open_db(root / "s-{0..1}.tar")
    assert database.table["name"].tolist() == ["s-0/000/a.jpg", "s-1/000/a.jpg"]
    assert database.table["image"].tolist() == ["s-0.tar::000/a.jpg", "s-1.tar::000/a.jpg"]
    assert [read(path) for path in database.paths()] == [b"0", b"1"]
    assert database.table["mos"].tolist() == [0, 1]
    assert open_db(root / "s-*.tar").table["name"].tolist()[:2] == database.table["name"].tolist()
    assert open_db(root / "s-1.tar").table["name"].tolist() == ["000/a.jpg"]
    (root / "a").mkdir()
    (root / "b").mkdir()
    for folder in "ab":
        tar(f"{folder}/s.tar", ("x.jpg", PNG))
    assert open_db(root / "{a,b}/s.tar").table["name"].tolist() == ["a/s/x.jpg", "b/s/x.jpg"]


def test_odd_names_are_harmless(tar, tmp_path):
    """Absolute names and .. are names and nothing else; hidden files are passed by."""
    members = [("/etc/a.jpg", b"1"), ("../../b.jpg", b"2"), ("./c.jpg", b"3")]
    members += [
        (".hidden.jpg", b""),
        ("x/._d.jpg", b""),
        ("__MACOSX/e.jpg", b""),
        (".x/f.jpg", b""),
    ]
    before = sorted(tmp_path.rglob("*"))
    database = open_db(tar("x.tar", *members))
    assert database.table["name"].tolist() == ["etc/a.jpg", "../../b.jpg", "c.jpg"]
    write_table(tmp_path / "cache", database)
    cached = read_cached_table(tmp_path / "cache", database.name)
    assert read(cached.path("../../b.jpg")) == b"2"
    new = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert new == {path.relative_to(tmp_path).parts[0] for path in before} | {"x.tar", "cache"}


def test_the_last_of_a_name_stands_for_it(tar):
    """As a tar that was appended to is unpacked; a line says so."""
    database = open_db(tar("x.tar", ("a.jpg", b"old"), ("b.jpg", b"b"), ("a.jpg", b"new")))
    assert [read(path) for path in database.paths()] == [b"new", b"b"]
    assert "1 pictures stand there again" in database.problems[0]


def test_links_are_rows_with_a_reason(tmp_path):
    """A link in a tar is counted, and not followed."""
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        info = tarfile.TarInfo("a.jpg")
        info.type, info.linkname = tarfile.LNKTYPE, "/etc/passwd"
        file.addfile(info)
        info = tarfile.TarInfo("b.jpg")
        info.size = 1
        file.addfile(info, io.BytesIO(b"x"))
    database = open_db(tmp_path / "x.tar")
    link, _ = database.paths()
    assert isinstance(link, Refused)
    assert "hard link to /etc/passwd" in read_picture(link)[0]
    write_table(tmp_path / "cache", database)
    cached = read_cached_table(tmp_path / "cache", database.name)
    assert cached.path("a.jpg") == link


def test_a_truncated_tar_gives_what_is_before(tar):
    """And a line that says how many, and where it ends."""
    path = tar("x.tar", *[(f"{n}.jpg", b"x" * 5000) for n in range(5)])
    path.write_bytes(path.read_bytes()[:20_000])
    database = open_db(path)
    assert len(database.table) == 3
    assert "ends at byte 20000, within 3.jpg: the 3 files before are used" in database.problems[0]


def test_what_is_no_database(tar, tmp_path):
    """One line each, with what to do."""
    path = tmp_path / "x.tar"
    path.write_bytes(b"\x1f\x8b" + bytes(1000))
    with pytest.raises(InputError, match="is compressed"):
        open_db(path)
    path.write_bytes(b"<html>" * 100)
    with pytest.raises(InputError, match="is no tar"):
        open_db(path)
    with pytest.raises(InputError, match="no picture found"):
        open_db(tar("x.tar", ("readme.md", b"")))
    with pytest.raises(InputError, match="is compressed"):
        (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b" + bytes(1000))
        open_db(tmp_path / "x.tar.gz")
    (tmp_path / "folder").mkdir()
    tar("folder/s-0.tar", ("a.jpg", PNG))
    with pytest.raises(InputError, match=r"but 1 tars: give them as .*/folder/\*.tar"):
        open_db(tmp_path / "folder")
    with pytest.raises(InputError, match=r"but 1 tars"):
        collect([str(tmp_path / "folder")])


def test_what_does_not_answer(tmp_path):
    """Absent tars and folders behind URLs, and a server that is not there."""
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    with serving(tmp_path, Ranged) as (url, _):
        with pytest.raises(InputError, match=r"x-0.tar cannot be opened \(No such file"):
            open_db(f"{url}/x-{{0..3}}.tar")
        (tmp_path / "photos").mkdir()
        with pytest.raises(InputError, match="no picture found"):
            open_db(f"{url}/photos/")
        (tmp_path / "photos" / "s.tar").write_bytes(b"")
        with pytest.raises(InputError, match="but 1 tars"):
            open_db(f"{url}/photos/")
    for end in ("x.tar", "photos/"):
        with pytest.raises(InputError, match=r"cannot be (opened|listed) \("):
            open_db(f"{url}/{end}")


def test_a_pattern_of_remote_tars(tmp_path, tar):
    """Braces and stars behind URLs, and the headers alone are not all that is read twice."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for number in range(3):
        path = tar(f"s-{number}.tar", ("a.jpg", b"%d" % number))
        system.pipe_file(f"/box/s-{number}.tar", path.read_bytes())
    try:
        for end in ("s-{0..2}.tar", "s-*.tar"):
            database = open_db(f"memory://box/{end}")
            assert database.table["name"].tolist() == [f"s-{n}/a.jpg" for n in range(3)]
            assert [read(path) for path in database.paths()] == [b"0", b"1", b"2"]
            write_table(tmp_path / "cache", database)
            cached = read_cached_table(tmp_path / "cache", database.name)
            assert read(cached.path("s-1/a.jpg")) == b"1"
    finally:
        system.rm("/box", recursive=True)


# --- what else opens pictures


def test_check_reads_tars(tmp_path):
    """`databases check` counts, decodes and finds broken members and near-duplicates."""
    pytest.importorskip("imagehash")
    folder = tmp_path / "photos"
    write_pictures(folder, 5)
    (folder / "p001.png").write_bytes((folder / "p000.png").read_bytes())
    (folder / "p003.png").write_bytes(b"<html>")
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.add(folder, "photos")
    facts = check(locate(str(tmp_path / "x.tar"), None, tmp_path), deep=True, duplicates=True)
    assert facts["n_present"] == 5 and facts["n_unreadable"] == 1
    assert facts["duplicates"] == [["photos/p000.png", "photos/p001.png"]]
    assert list(facts["unreadable"]) == ["photos/p003.png"]


def test_sizes_of_members_and_none_of_urls(tmp_path, tar, monkeypatch):
    """Headers of a tar are read once; a URL would be a request for each picture."""
    write_pictures(tmp_path / "photos", 3)
    members = [(path.name, path.read_bytes()) for path in sorted((tmp_path / "photos").iterdir())]
    database = open_db(tar("x.tar", *members))
    table = pd.read_csv(write_sizes(tmp_path / "cache", database))
    assert table["width"].tolist() == [64, 48, 80]
    assert table["bytes"].tolist() == [len(data) for _, data in members]

    def opened(path):
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(sizes, "upright_size", opened)
    write_sizes(tmp_path / "cache", database)
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.pipe_file("/photos/a.png", members[0][1])
    assert len(pd.read_csv(write_sizes(tmp_path / "cache", open_db("memory://photos")))) == 0
    system.rm("/photos", recursive=True)


def test_score_takes_tars_patterns_and_urls(tmp_path, tar, monkeypatch):
    """Each picture is called as it was given; prompts come from the samples."""
    monkeypatch.chdir(tmp_path)
    tar("s-0.tar", ("a.jpg", b"0"), ("a.txt", b"a fox"))
    tar("s-1.tar", ("a.jpg", b"1"))
    found = {picture.name: picture for picture in collect(["s-{0..1}.tar"], "a dog")}
    assert list(found) == ["s-0.tar::a.jpg", "s-1.tar::a.jpg"]
    assert [picture.prompt for picture in found.values()] == ["a fox", "a dog"]
    assert [read(picture.path) for picture in found.values()] == [b"0", b"1"]
    (tmp_path / "sub").mkdir()
    tar("sub/x.tar", ("b/a.jpg", b"2"))
    assert [picture.name for picture in collect(["sub/x.tar"])] == ["sub/x.tar::b/a.jpg"]
    with pytest.raises(UsageError, match="not there"):
        collect(["none.tar"])
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.pipe_file("/photos/a.png", b"3")
    single, listed = collect(["memory://photos/a.png"]), collect(["memory://photos/"])
    assert [read(picture.path) for picture in (*single, *listed)] == [b"3", b"3"]
    assert single[0].name == "memory://photos/a.png"
    system.rm("/photos", recursive=True)


def test_a_truncated_tar_is_said_when_scoring(tar, capsys):
    """A warning on stderr."""
    path = tar("x.tar", *[(f"{n}.jpg", b"x" * 5000) for n in range(5)])
    path.write_bytes(path.read_bytes()[:20_000])
    assert len(collect([str(path)])) == 3
    assert "within 3.jpg" in capsys.readouterr().err
