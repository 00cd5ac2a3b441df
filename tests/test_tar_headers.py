"""Headers of tars, against the standard library's tarfile and the program tar."""

import io
import os
import shutil
import subprocess
import tarfile

import numpy as np
import pytest

from features.errors import InputError
from features.tar_headers import Headers

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def tar_bytes(members, kind="pax", mtime=0) -> bytes:
    """A tar of (name, bytes), as the standard library writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=FORMATS[kind]) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def read(data: bytes):
    """What our reader finds: entries and problem."""
    headers = Headers(lambda start, end: data[start:end], len(data), "x.tar")
    return list(headers), headers.problem


def expected(data: bytes):
    """The same by tarfile."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(m.name, m.offset_data, m.size, "") for m in tar.getmembers() if m.isreg()]


MEMBERS = [
    ("a.jpg", b"x"),
    ("000/empty.jpg", b""),
    ("exactly/512.png", bytes(512)),
    ("n" * 99 + "/" + "m" * 60 + ".jpg", b"prefix"),
    ("last of all.txt", b"y" * 1000),
]
LONG = [("f" * 150 + "/" + "g" * 180 + ".jpg", b"long"), ("图片/ä.jpg", b"letters"), *MEMBERS]


@pytest.mark.parametrize("mtime", [0, 12.5])
@pytest.mark.parametrize("kind", FORMATS)
def test_members_are_tarfile_s(kind, mtime):
    """Names, places and sizes in every format; times that are no whole seconds make PAX headers."""
    data = tar_bytes(MEMBERS if kind == "ustar" else LONG, kind, mtime)
    entries, problem = read(data)
    assert [tuple(entry) for entry in entries] == expected(data)
    assert problem == ""


def test_random_names_and_sizes():
    """Two hundred members of random names."""
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("ab/.é"), rng.integers(1, 200))) + "z" for _ in range(200)]
    members = [(name, rng.bytes(int(rng.integers(0, 2000)))) for name in names]
    for kind in ("gnu", "pax"):
        data = tar_bytes(members, kind)
        assert [tuple(entry) for entry in read(data)[0]] == expected(data)


def test_no_member_is_read():
    """Of a large member only the header is asked for."""
    data = tar_bytes([("a.jpg", bytes(1_000_000)), ("b.jpg", bytes(1_000_000))])
    asked = []

    def part(start, end):
        asked.append(end - start)
        return data[start:end]

    assert len(list(Headers(part, len(data), "x.tar"))) == 2
    assert sum(asked) < 100_000


def test_a_global_header_and_one_that_states_the_size():
    """PAX headers that concern all, or the size."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "all"}
    ) as tar:
        for name, extra in (("a.jpg", {"size": "3"}), ("b.jpg", {"comment": "7 size=9\n"})):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = 3, extra
            tar.addfile(info, io.BytesIO(b"abc"))
    data = buffer.getvalue()
    assert [tuple(entry) for entry in read(data)[0]] == expected(data)


def test_links_folders_and_devices():
    """Links are refused, each with what to do; folders and devices are passed by."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, target in (
            ("folder", tarfile.DIRTYPE, ""),
            ("hard.jpg", tarfile.LNKTYPE, "a.jpg"),
            ("soft.jpg", tarfile.SYMTYPE, "../../etc/passwd" * 20),
            ("device", tarfile.CHRTYPE, ""),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
        info = tarfile.TarInfo("a.jpg")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    entries, problem = read(buffer.getvalue())
    assert [entry.name for entry in entries] == ["hard.jpg", "soft.jpg", "a.jpg"]
    assert "hard link to a.jpg" in entries[0].refused and "a link to" in entries[1].refused
    assert not entries[2].refused and not problem


@pytest.mark.skipif(not shutil.which("tar"), reason="the program tar is not here")
@pytest.mark.parametrize("kind", ["gnu", "posix", "ustar", "v7", "oldgnu"])
def test_the_program_tar(tmp_path, kind):
    """What GNU tar writes, with a sparse file and a hard link where the format has them."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "b.jpg").write_bytes(b"b" * 700)
    with open(tmp_path / "in" / "holes.jpg", "wb") as file:
        for place in range(0, 30_000_000, 1_000_000):
            file.seek(place)
            file.write(b"some")
    os.link(tmp_path / "in" / "sub" / "b.jpg", tmp_path / "in" / "sub" / "again.jpg")
    (tmp_path / "in" / "a.jpg").write_bytes(b"a")
    sparse = ["--sparse"] if kind in ("gnu", "posix", "oldgnu") else []
    names = ["holes.jpg", "sub", "a.jpg"]
    command = ["tar", f"--format={kind}", *sparse, "-cf", "../x.tar", *names]
    done = subprocess.run(command, cwd=tmp_path / "in", capture_output=True, text=True)
    if done.returncode:
        pytest.skip(done.stderr)
    data = (tmp_path / "x.tar").read_bytes()
    entries, problem = read(data)
    assert not problem
    plain = {e.name: data[e.offset : e.offset + e.size] for e in entries if not e.refused}
    refused = {e.name: e.refused for e in entries if e.refused}
    assert plain["a.jpg"] == b"a"
    assert sum("hard link" in reason for reason in refused.values()) == 1
    assert sum(value == b"b" * 700 for value in plain.values()) == 1
    assert ("holes.jpg" in refused) == bool(sparse)


@pytest.mark.parametrize("mtime", [0, 12.5])
def test_truncated_anywhere_gives_the_members_before(mtime):
    """Cut at every 100th byte: the whole members, and a line unless it is whole."""
    members = [(f"{n}.jpg", bytes([n]) * (300 * n)) for n in range(5)]
    data = tar_bytes(members, mtime=mtime)
    places = {e.name: e.offset + e.size for e in read(data)[0]}
    for cut in range(512, len(data), 100):
        entries, problem = read(data[:cut])
        whole = [name for name, end in places.items() if end <= cut]
        assert [entry.name for entry in entries] == whole
        ended = cut > max(places.values()) + 1024 or not problem
        assert ended or f"ends at byte {cut}" in problem, (cut, problem)
        assert ended or f"the {len(whole)} files before are used" in problem


def test_damage_ends_the_list_where_it_is():
    """A header that is none says where; what is before is used."""
    data = bytearray(tar_bytes([(f"{n}.jpg", b"x") for n in range(4)]))
    data[2048 + 10 : 2048 + 200] = b"\xff" * 190
    entries, problem = read(bytes(data))
    assert len(entries) == 2
    assert "damaged at byte 2048: the 2 files" in problem


def test_random_damage_never_raises():
    """Whatever the bytes are, there are entries, a problem, or one line."""
    rng = np.random.default_rng(0)
    data = tar_bytes(LONG, "gnu") + tar_bytes(LONG, "pax", 0.5)
    for _ in range(500):
        broken = bytearray(data[: int(rng.integers(600, len(data)))])
        for place in rng.integers(0, len(broken), 5):
            broken[place] = int(rng.integers(256))
        try:
            entries, _ = read(bytes(broken))
        except InputError:
            continue
        assert all(e.refused or 0 <= e.offset + e.size <= len(broken) for e in entries)


def test_joined_tars_are_said_to_be():
    """What is behind the end mark is not read, and not passed over in silence."""
    entries, problem = read(tar_bytes([("a.jpg", b"x")]) + tar_bytes([("b.jpg", b"x")]))
    assert [entry.name for entry in entries] == ["a.jpg"]
    assert "goes on behind its end mark" in problem


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x1f\x8b" + bytes(1000), r"compressed \(gzip\).*gunzip"),
        (b"BZh9" + bytes(1000), r"bzip2"),
        (b"\xfd7zXZ\0" + bytes(1000), "xz"),
        (b"\x28\xb5\x2f\xfd" + bytes(1000), "zstd"),
        (b"<!DOCTYPE html><html>" * 50, "x.tar is no tar"),
        (b"short", "no tar"),
        (b"", "no tar"),
    ],
)
def test_no_tar(data, reason):
    """Compressed and foreign bytes are one line."""
    with pytest.raises(InputError, match=reason) as error:
        read(data)
    assert "\n" not in str(error.value)


def test_an_empty_tar_has_no_files():
    """Two empty blocks are a tar."""
    assert read(tar_bytes([])) == ([], "")


def test_a_name_of_other_letters():
    """A name that is no UTF-8 is written with the numbers of its bytes."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT, encoding="latin-1"
    ) as tar:
        tar.addfile(tarfile.TarInfo("ä.jpg"))
    assert read(buffer.getvalue())[0][0].name == "\\xe4.jpg"
