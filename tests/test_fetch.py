"""Downloads from a server that cuts, lies, changes and breaks; nothing leaves this machine."""

import contextlib
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from conftest import ROOT

from features import fetch
from features.errors import InputError
from features.fetch import download, fetch_weights
from features.weights import WeightFile

DATA = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Site(ThreadingHTTPServer):
    """One file, and how it is served. `plan` holds, request by request, what goes wrong."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.data, self.etag, self.dated = DATA, '"one"', ""
        self.ranges, self.length, self.headers, self.plan, self.asked = True, True, {}, [], []
        self.url = f"http://127.0.0.1:{self.server_port}/net.pth"

    def offsets(self) -> list[str]:
        """The Range of every request so far; "" where the whole file was asked for."""
        return [headers.get("Range", "") for headers in self.asked]


class Answer(BaseHTTPRequestHandler):
    """Answers as the site says."""

    def log_message(self, *arguments):
        """Say nothing."""

    def do_GET(self):
        """Send the file, or what the plan has for this request."""
        site = self.server
        site.asked.append(self.headers)
        step = site.plan.pop(0) if site.plan else {}
        if "then" in step:
            step["then"](site)
        start = 0
        asked, mark = self.headers.get("Range"), self.headers.get("If-Range")
        if asked and site.ranges and mark in (None, site.etag, site.dated):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        status = step.get("status", 416 if start > len(site.data) else 206 if start else 200)
        self.send_response(status)
        headers = {"ETag": site.etag, "Last-Modified": site.dated} | site.headers
        if status == 206:
            total = len(site.data)
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        if site.length:
            body = status in (200, 206)
            headers["Content-Length"] = str(len(site.data) - start if body else 0)
        for name, value in (headers | step.get("headers", {})).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if status in (200, 206):
            self.send(site.data[start:], step)

    def send(self, body: bytes, step: dict):
        """Send the body, in part where the plan says so."""
        with contextlib.suppress(OSError):
            self.wfile.write(body[: step.get("cut", len(body))])
            self.wfile.flush()
            if "stall" in step:
                step["stall"].wait(30)


@pytest.fixture
def site(monkeypatch):
    """A server of one file; attempts follow each other at once."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetch, "BACKOFF", 0.0)
    with Site() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def names(folder) -> set[str]:
    """What lies in a folder, beside the home of all tests."""
    return {path.name for path in folder.iterdir()} - {"home"}


def test_a_whole_file(site, tmp_path):
    """It arrives as it is, in a folder that was not there, and nothing lies beside it."""
    download(site.url, tmp_path / "deep" / "net.pth", SHA256, len(DATA))
    assert (tmp_path / "deep" / "net.pth").read_bytes() == DATA
    assert names(tmp_path / "deep") == {"net.pth"}
    assert len(site.asked) == 1


def test_a_cut_connection_is_resumed(site, tmp_path, capsys):
    """Each attempt asks for what is missing, of the same version only."""
    site.plan = [{"cut": 100_000}, {"cut": 50_000}]
    download(site.url, tmp_path / "net.pth", SHA256)
    assert (tmp_path / "net.pth").read_bytes() == DATA
    assert site.offsets() == ["", "bytes=100000-", "bytes=150000-"]
    assert [headers["If-Range"] for headers in site.asked[1:]] == ['"one"', '"one"']
    assert "ended at 100,000 of 300,000 bytes; again in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "offsets"),
    [
        ({"ranges": False}, ["", "bytes=100000-"]),  # the answer is the whole file
        ({"etag": ""}, ["", ""]),  # no mark of the version: never resumed
        ({"etag": 'W/"one"'}, ["", ""]),  # a weak one promises nothing
        ({"etag": "", "dated": "Mon, 06 May 2024 10:00:00 GMT"}, ["", "bytes=100000-"]),
    ],
)
def test_what_a_server_cannot_do(site, tmp_path, change, offsets):
    """Without ranges, or without a mark of the version, the file is fetched from its beginning."""
    vars(site).update(change)
    site.plan = [{"cut": 100_000}]
    download(site.url, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == DATA
    assert site.offsets() == offsets


def test_a_checksum_allows_to_resume_without_mark(site, tmp_path):
    """The published SHA-256 tells whether the parts belong together."""
    site.etag, site.plan = "", [{"cut": 100_000}]
    download(site.url, tmp_path / "net.pth", SHA256)
    assert site.offsets() == ["", "bytes=100000-"]
    assert (tmp_path / "net.pth").read_bytes() == DATA


def change(site):
    """The file on the server becomes another one."""
    site.data, site.etag = OTHER, '"two"'


@pytest.mark.parametrize("honest", [True, False])
def test_a_file_that_changes_meanwhile(site, tmp_path, honest):
    """No part of the old version stays, also where a server ignores If-Range."""
    site.plan = [{"cut": 100_000}, {"then": change}]
    if not honest:  # 206 with bytes of the new version
        site.plan[1] |= {"status": 206, "headers": {"Content-Range": "bytes 100000-299999/300000"}}
    download(site.url, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == OTHER
    assert site.offsets() == ["", "bytes=100000-", *([] if honest else [""])]


@pytest.mark.parametrize("header", ["bytes 5-299999/300000", "bytes 100000-299999/7", "", "junk"])
def test_a_part_from_another_place(site, tmp_path, header):
    """A 206 that is not what was asked for is not glued to the part."""
    site.plan = [{"cut": 100_000}, {"headers": {"Content-Range": header}}]
    download(site.url, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == DATA
    assert site.offsets() == ["", "bytes=100000-", ""]


def test_a_file_that_became_shorter(site, tmp_path):
    """416 makes it start anew."""
    site.etag = ""
    site.plan = [{"cut": 200_000}, {"then": lambda s: setattr(s, "data", DATA[:1000])}]
    download(site.url, tmp_path / "net.pth", hashlib.sha256(DATA[:1000]).hexdigest())
    assert site.offsets() == ["", "bytes=200000-", ""]


def test_a_wrong_checksum(site, tmp_path):
    """Nothing is installed, nothing stays."""
    with pytest.raises(InputError, match="its SHA-256 is another"):
        download(site.url, tmp_path / "net.pth", "0" * 64)
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"plan": [{"status": 404}]}, "answered 404"),
        ({"plan": [{"status": 403}]}, "answered 403"),
        ({"headers": {"Content-Type": "text/html; charset=utf-8"}}, "answered with a web page"),
        ({"data": b"\n<!DOCTYPE html><title>Sign in</title>"}, r"something else \(a web page\)"),
        ({"data": b""}, "has 0 bytes"),
        ({"length": False, "data": b""}, r"something else \(empty\)"),
        ({"headers": {"Content-Encoding": "gzip"}}, "encoding"),
        ({"headers": {"Location": "file:///etc/x"}, "plan": [{"status": 302}]}, "not allowed"),
        ({"headers": {"Location": "http://["}, "plan": [{"status": 302}]}, "leads to none"),
        ({"headers": {"Location": "ftp://a/b"}, "plan": [{"status": 301}]}, "not followed"),
    ],
)
def test_what_is_no_weight_file(site, tmp_path, change, reason):
    """One line, asked once, and nothing stays."""
    vars(site).update(change)
    with pytest.raises(InputError, match=reason) as error:
        download(site.url, tmp_path / "net.pth")
    assert "\n" not in str(error.value) and "127.0.0.1" in str(error.value)
    assert names(tmp_path) == set() and len(site.asked) == 1


@pytest.mark.parametrize("length", [True, False])
def test_another_size_than_published(site, tmp_path, length):
    """Said before the download where the server tells, after it otherwise."""
    site.length = length
    with pytest.raises(InputError, match=r"300,000 bytes.* 300,001"):
        download(site.url, tmp_path / "net.pth", size=300_001)
    assert names(tmp_path) == set()


def test_redirects_are_followed(site, tmp_path):
    """As release pages and hubs send them, with the range."""
    site.plan = [
        *({"status": 302, "headers": {"Location": "/moved"}}, {"cut": 9}),
        {"status": 307, "headers": {"Location": site.url}},
    ]
    download(site.url, tmp_path / "net.pth")
    assert site.offsets() == ["", "", "bytes=9-", "bytes=9-"]
    assert (tmp_path / "net.pth").read_bytes() == DATA


def test_a_circle_of_redirects(site, tmp_path):
    """One line."""
    site.headers, site.plan = {"Location": "/again"}, [{"status": 302}] * 20
    with pytest.raises(InputError, match="answered 302 .*redirect") as error:
        download(site.url, tmp_path / "net.pth")
    assert "\n" not in str(error.value)


def test_passing_failures_are_tried_again(site, tmp_path, monkeypatch):
    """An overloaded server, with the pause that it asks for."""
    pauses = []
    monkeypatch.setattr(fetch.time, "sleep", pauses.append)
    monkeypatch.setattr(fetch, "BACKOFF", 1.0)
    busy = {"status": 503, "headers": {"Retry-After": "7"}}
    site.plan = [{"status": 500}, busy, {"status": 429}]
    download(site.url, tmp_path / "net.pth")
    assert pauses == [1.0, 7.0, 4.0]


def test_it_gives_up_and_goes_on_later(site, tmp_path):
    """After some attempts without a byte, an error; the part is kept for the next command."""
    site.plan = [{"cut": 100_000}, *[{"status": 503}] * (fetch.ATTEMPTS - 1)]
    with pytest.raises(InputError, match=r"503.*100,000 bytes are kept.*goes on from there"):
        download(site.url, tmp_path / "net.pth")
    assert names(tmp_path) == {"net.pth.part", "net.pth.part.json"}
    site.asked.clear()
    download(site.url, tmp_path / "net.pth")
    assert site.offsets() == ["bytes=100000-"]
    assert (tmp_path / "net.pth").read_bytes() == DATA and names(tmp_path) == {"net.pth"}


def test_a_server_that_always_cuts_at_the_beginning(site, tmp_path):
    """Where nothing can be resumed, attempts that come no further are counted."""
    site.ranges, site.plan = False, [{"cut": 1000}] * 50
    with pytest.raises(InputError, match="cannot be fetched"):
        download(site.url, tmp_path / "net.pth")
    assert len(site.asked) <= fetch.ATTEMPTS + 1


def test_no_server(site, tmp_path):
    """Refused connections are tried again, then said."""
    site.server_close()
    with pytest.raises(InputError, match=r"cannot be fetched \(.*refused"):
        download(site.url, tmp_path / "net.pth")
    assert names(tmp_path) == set()


def test_a_server_that_falls_silent(site, tmp_path, monkeypatch):
    """A timeout is a cut like any other."""
    monkeypatch.setattr("features.fetch_answers.TIMEOUT", 0.3)
    silent = threading.Event()
    site.plan = [{"cut": 100_000, "stall": silent}]
    download(site.url, tmp_path / "net.pth")
    silent.set()
    assert site.offsets() == ["", "bytes=100000-"]
    assert (tmp_path / "net.pth").read_bytes() == DATA


def test_no_room(site, tmp_path, monkeypatch):
    """Said before the download."""
    usage = shutil.disk_usage(tmp_path)._replace(free=299_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(InputError, match="room for 299,999 bytes and 300,000 are to come"):
        download(site.url, tmp_path / "net.pth")
    assert names(tmp_path) == set()


def test_a_disk_that_fills_up(site, tmp_path):
    """What came is kept, and the next command goes on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, before[1]))
        with pytest.raises(InputError, match="make room, then give the same command to go on"):
            download(site.url, tmp_path / "net.pth")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "net.pth.part").read_bytes() == DATA[:120_000]
    download(site.url, tmp_path / "net.pth")
    assert site.offsets() == ["", "bytes=120000-"]
    assert (tmp_path / "net.pth").read_bytes() == DATA


def test_a_kill_half_way(site, tmp_path):
    """A killed process leaves a part that the next one goes on with."""
    silent = threading.Event()
    site.plan = [{"cut": 123_456, "stall": silent}]
    code = (
        "from pathlib import Path; import sys; from features.fetch import download; "
        "download(sys.argv[1], Path(sys.argv[2]))"
    )
    path = tmp_path / "net.pth"
    process = subprocess.Popen([sys.executable, "-c", code, site.url, str(path)], cwd=ROOT)
    part = tmp_path / "net.pth.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size == 123_456):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    with pytest.raises(InputError, match="another process is fetching"):
        download(site.url, path)
    process.kill()
    process.wait()
    silent.set()
    assert not path.exists()
    download(site.url, path)
    assert site.offsets() == ["", "bytes=123456-"]
    assert path.read_bytes() == DATA and names(tmp_path) == {"net.pth"}


def test_a_kill_before_the_rename(site, tmp_path, monkeypatch):
    """All bytes are there: the next command asks for none."""

    def kill(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "stage", kill)
    with pytest.raises(KeyboardInterrupt):
        download(site.url, tmp_path / "net.pth")
    monkeypatch.undo()
    download(site.url, tmp_path / "net.pth")
    assert len(site.asked) == 1 and (tmp_path / "net.pth").read_bytes() == DATA


def test_a_part_of_another_address_is_not_continued(site, tmp_path):
    """Nor one whose note is torn."""
    site.plan = [{"cut": 100_000}, *[{"status": 503}] * (fetch.ATTEMPTS - 1)]
    with pytest.raises(InputError):
        download(site.url, tmp_path / "net.pth")
    site.asked.clear()
    download(site.url + "?v=2", tmp_path / "net.pth")
    assert site.offsets() == [""]
    (tmp_path / "b.part").write_bytes(b"x" * 100)
    (tmp_path / "b.part.json").write_text('{"url": ')
    download(site.url, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == DATA


def test_a_local_file(tmp_path):
    """file:// is a copy, checked as any other; a missing one is said at once."""
    (tmp_path / "there.pth").write_bytes(DATA)
    download((tmp_path / "there.pth").as_uri(), tmp_path / "to" / "net.pth", SHA256, len(DATA))
    assert (tmp_path / "to" / "net.pth").read_bytes() == DATA
    with pytest.raises(InputError, match="No such file"):
        download((tmp_path / "no.pth").as_uri(), tmp_path / "to" / "other.pth")
    assert names(tmp_path / "to") == {"net.pth"}


@pytest.mark.parametrize("url", ["ftp://a/b", "/etc/passwd", "data:,x", "", "javascript:1"])
def test_other_schemes_are_refused(tmp_path, url):
    """Before anything is opened or written."""
    with pytest.raises(InputError, match="expected an address with http, https, file"):
        download(url, tmp_path / "net.pth")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("url", ["http://", "http://[", "http://a b/", "http://127.0.0.1:x/"])
def test_a_broken_address_is_one_line(tmp_path, url, monkeypatch):
    """Never a traceback."""
    monkeypatch.setattr(fetch, "BACKOFF", 0.0)
    with pytest.raises(InputError) as error:
        download(url, tmp_path / "net.pth")
    assert "\n" not in str(error.value) and url in str(error.value)


def test_weights_go_where_they_are_looked_for(site, tmp_path):
    """Into the first folder, under the published name; a file that is there is left alone."""
    file = WeightFile("net.pth", "https://a", ("sub", ""), url=site.url, sha256=SHA256)
    assert fetch_weights(file, tmp_path) == tmp_path / "sub" / "net.pth"
    assert file.find(tmp_path).read_bytes() == DATA
    fetch_weights(file, tmp_path)
    assert len(site.asked) == 1


def test_weights_without_an_address(tmp_path):
    """The page is named."""
    with pytest.raises(InputError, match="get it from https://page"):
        fetch_weights(WeightFile("net.pth", "https://page"), tmp_path)


@pytest.mark.parametrize(
    ("filename", "folder"),
    [("../net.pth", ""), ("net.pth", "../x"), ("/tmp/net.pth", ""), ("..", "")],
)
def test_weights_stay_in_their_folder(site, tmp_path, filename, folder):
    """No name leads out of it."""
    file = WeightFile(filename, "https://a", (folder,), url=site.url)
    with pytest.raises(InputError, match="would lie outside"):
        fetch_weights(file, tmp_path / "weights")
    assert site.asked == [] and not os.path.exists(tmp_path / "net.pth")
