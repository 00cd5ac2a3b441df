"""Bytes of pictures from files, tars and URLs: the same wherever they lie, and plain reasons."""

import hashlib
import io
import os
import pickle
import tarfile
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from servers import Dying, Plain, Ranged, serving
from test_tar_headers import tar_bytes

from features import remote, tars
from features.decode import read_picture, upright_size
from features.sources import (
    FileFacts,
    Member,
    Refused,
    Remote,
    facts,
    is_remote,
    opened,
    read,
    readable,
    sha256_of,
)
from features.tar_headers import Headers
from features.tars import archive_of, reading


def photo(seed: int, kind="JPEG", **options) -> bytes:
    """A picture file of noise."""
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (60 + seed, 80, 3), np.uint8)).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


PICTURES = {
    "a.jpg": photo(0),
    "sub/b.png": photo(1, "PNG"),
    "c.tif": photo(2, "TIFF"),
    "broken.jpg": photo(3)[:700],
    "exif.jpg": photo(4, exif=b"Exif\0\0" + bytes(60_000), icc_profile=bytes(150_000)),
}


def members(place: str) -> list[Member]:
    """All members of a tar."""
    archive = archive_of(place)
    with reading(archive) as part:
        found = list(Headers(part, archive.size, place))
    return [Member(archive, entry.name, entry.offset, entry.size) for entry in found]


@pytest.fixture
def folder(tmp_path):
    """The pictures as files, and all of them in a tar."""
    for name, data in PICTURES.items():
        path = tmp_path / "www" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "www" / "x.tar").write_bytes(tar_bytes(PICTURES.items()))
    return tmp_path / "www"


def assert_equal_to_files(sources, folder):
    """Bytes, pixels, reasons, sizes and digests are those of the files."""
    for name, source in sources.items():
        path = folder / name
        data = path.read_bytes()
        assert read(source) == data
        assert sha256_of(source) == hashlib.sha256(data).hexdigest()
        assert facts(source).size == len(data)
        ours, expected = read_picture(source), read_picture(path)
        np.testing.assert_array_equal(ours[0], expected[0])
        assert (ours[1].size, ours[1].sha256) == (expected[1].size, expected[1].sha256)
        assert upright_size(source) == upright_size(path)
        assert readable(source)
        assert pickle.loads(pickle.dumps(source)) == source
        assert hash(source) == hash(pickle.loads(pickle.dumps(source)))
        with opened(source) as file:
            file.seek(-10, os.SEEK_END)
            assert file.read() == data[-10:] and file.tell() == len(data)


def test_a_tar_is_as_good_as_a_folder(folder):
    """Members of a tar on this disk."""
    found = members(str(folder / "x.tar"))
    assert_equal_to_files({member.name: member for member in found}, folder)
    time = (folder / "x.tar").stat().st_mtime_ns
    assert facts(found[0]) == FileFacts(len(PICTURES["a.jpg"]), time)
    assert str(found[0]) == f"{folder}/x.tar::a.jpg"
    assert not is_remote(found[0])


@pytest.mark.parametrize("kind", [Plain, Ranged])
def test_a_web_server_is_as_good_as_a_disk(folder, kind):
    """Files and members of a tar, with byte ranges and without."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    with serving(folder, kind) as (url, handler):
        files = {name: Remote(f"{url}/{name}") for name in PICTURES}
        assert_equal_to_files(files, folder)
        found = members(f"{url}/x.tar")
        assert found[0].archive.ranges == (kind is Ranged)
        handler.asked.clear()
        assert_equal_to_files({member.name: member for member in found}, folder)
        whole = [span for path, span in handler.asked if path == "/x.tar" and not span]
        assert len(whole) <= 1  # without ranges it is fetched once, and kept
        if kind is Ranged:
            assert all(span for path, span in handler.asked)
        assert is_remote(found[0]) and is_remote(files["a.jpg"])


@pytest.mark.parametrize(
    "pool",
    [
        lambda: ThreadPoolExecutor(8),
        pytest.param(lambda: ProcessPoolExecutor(1, get_context("spawn")), marks=pytest.mark.slow),
    ],
    ids=["threads", "a process"],
)
def test_threads_and_new_processes_read_urls(folder, pool):
    """Many at a time, in this process and in one that was spawned."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    with serving(folder, Ranged) as (url, _), pool() as reading:
        read(Remote(f"{url}/a.jpg"))  # here first: what it starts must not be carried over
        found = [*members(f"{url}/x.tar"), *(Remote(f"{url}/{name}") for name in PICTURES)]
        assert list(reading.map(read, found * 3)) == [*PICTURES.values()] * 6


def test_a_file_system_of_fsspec(folder):
    """Files and members in fsspec's own memory."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in (*PICTURES, "x.tar"):
        system.pipe_file(f"/box/{name}", (folder / name).read_bytes())
    try:
        assert_equal_to_files({name: Remote(f"memory://box/{name}") for name in PICTURES}, folder)
        found = members("memory://box/x.tar")
        assert_equal_to_files({member.name: member for member in found}, folder)
        before = facts(found[0])
        system.pipe_file("/box/x.tar", (folder / "x.tar").read_bytes())
        assert facts(members("memory://box/x.tar")[0]) != before  # its time is another
    finally:
        system.rm("/box", recursive=True)


def test_only_the_header_is_fetched_for_a_size(tmp_path):
    """Of a large picture behind a URL, or in a tar there, some kilobytes are enough."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    data = photo(5, "BMP") + bytes(5_000_000)
    (tmp_path / "a.bmp").write_bytes(data)
    with serving(tmp_path, Ranged) as (url, handler):
        assert upright_size(Remote(f"{url}/a.bmp")) == (80, 65)
        spans = [span.removeprefix("bytes=").split("-") for _, span in handler.asked if span]
        assert sum(int(last) - int(first) for first, last in spans) < 200_000


@pytest.mark.parametrize("change", ["replaced", "written over", "shortened"])
def test_a_tar_that_is_another_by_now(folder, change):
    """Its rows fail politely; listed anew they are read."""
    place = folder / "x.tar"
    first, *others = members(str(place))
    read(first)
    if change == "replaced":
        (folder / "new.tar").write_bytes(tar_bytes([("other.jpg", photo(9)), *PICTURES.items()]))
        tars._handle.cache_clear()  # another process, which has not opened it yet
        os.replace(folder / "new.tar", place)
    elif change == "written over":
        place.write_bytes(tar_bytes([("other.jpg", photo(9)), *PICTURES.items()]))
    else:
        os.truncate(place, 1000)
    reason, _ = read_picture(others[0])
    assert reason.startswith("cannot be opened: ") and "was changed while it was read" in reason
    with pytest.raises(OSError, match="changed"):
        read(first)
    if change != "shortened":
        assert read(members(str(place))[1]) == PICTURES["a.jpg"]


def test_a_remote_tar_that_is_another_by_now(folder):
    """The header before a member tells."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    with serving(folder, Ranged) as (url, _):
        found = members(f"{url}/x.tar")
        (folder / "x.tar").write_bytes(tar_bytes([("o.jpg", photo(9)), *PICTURES.items()]))
        with pytest.raises(OSError, match="another tar"):
            read(found[1])


def test_a_server_that_dies_in_the_middle(folder):
    """Each row fails with a reason that is tried again, and nothing hangs."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    with serving(folder, Dying) as (url, handler):
        member, file = members(f"{url}/x.tar")[0], Remote(f"{url}/a.jpg", 10, 7)
        handler.dead.append(True)
        for source in (member, file):
            reason, kept = read_picture(source)
            assert reason.startswith("cannot be opened: "), reason
            assert "\n" not in reason and kept.sha256 == ""
            assert readable(source)
    for source in (member, file):  # nobody listens any more
        assert read_picture(source)[0].startswith("cannot be opened: ")
    assert facts(file) == FileFacts(10, 7)  # as it was listed: no request
    assert facts(Remote(f"{url}/a.jpg")) == FileFacts(0, 0)


def test_no_answer_is_no_waiting(monkeypatch):
    """A server that accepts and says nothing fails after the time that is allowed."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    import socket

    monkeypatch.setattr(remote, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.jpg"
        reason, _ = read_picture(Remote(url, 5, 5))
    assert reason.startswith("cannot be opened: no answer in 0.3")


def test_a_remote_file_that_is_absent_or_another(folder):
    """Not there, and of another length than listed."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    with serving(folder, Ranged) as (url, _):
        reason, none = read_picture(Remote(f"{url}/none.jpg"))
        assert reason == "cannot be opened: No such file or directory"
        assert none == FileFacts(0, 0)
        assert "has changed" in read_picture(Remote(f"{url}/a.jpg", 5, 1))[0]


def test_refused_is_a_reason():
    """What is listed and not read says why, and is not tried again until it is another."""
    source = Refused("x.tar::a.jpg", "it is a hard link")
    assert read_picture(source) == ("cannot be opened: it is a hard link", FileFacts(0, 0))
    assert not readable(source) and str(source) == "x.tar::a.jpg"
    with pytest.raises(OSError), opened(source):
        pass


def test_files_are_as_ever(folder):
    """A path is a source."""
    path = folder / "a.jpg"
    state = path.stat()
    assert facts(path) == FileFacts(state.st_size, state.st_mtime_ns)
    assert read(path) == PICTURES["a.jpg"] and readable(path)
    assert facts(Path("none")) == FileFacts(0, 0) and not readable(Path("none"))


def test_secrets_are_not_shown():
    """User, password and signature stay out of rows, tables and errors."""
    source = Remote("https://me:secret@host/bucket/a.jpg?X-Signature=abc")
    assert str(source) == "https://host/bucket/a.jpg"
    archive = tars.Archive("https://me:secret@host/x.tar?sig=abc", 1, 1)
    assert str(Member(archive, "a.jpg", 0, 1)) == "https://host/x.tar::a.jpg"


def test_many_tars_and_threads_hold_few_files_open(tmp_path):
    """Forty tars, eight threads: every byte is right, and no more than some are open."""
    sources = []
    for number in range(40):
        place = tmp_path / f"{number}.tar"
        place.write_bytes(tar_bytes([(f"{n}.jpg", bytes([number, n]) * 50) for n in range(20)]))
        sources += members(str(place))
    wrong, most = [], []

    def work(seed):
        rng = np.random.default_rng(seed)
        for index in rng.permutation(len(sources)):
            number, n = divmod(int(index), 20)
            if read(sources[index]) != bytes([number, n]) * 50:
                wrong.append(index)
        most.append(sum(str(tmp_path) in link for link in map(_link, os.listdir("/proc/self/fd"))))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert max(most) <= tars._OPEN + 8


def _link(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""


def test_a_million_members_are_small(folder):
    """A member costs its place and its size; names and tars are shared."""
    found = members(str(folder / "x.tar"))
    assert len({id(member.archive) for member in found}) == 1
    assert not hasattr(found[0], "__dict__")
    many = [Member(found[0].archive, "a.jpg", n, n) for n in range(8)]
    assert len(pickle.dumps(many)) < 600


def test_the_header_of_a_size_beyond_8_gigabytes(tmp_path):
    """A base-256 size is read as tarfile writes it."""
    info = tarfile.TarInfo("a.jpg")
    info.size = 9 * 2**30
    assert tars.header_size(info.tobuf(tarfile.GNU_FORMAT)) == 9 * 2**30
