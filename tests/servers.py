"""Local web servers: one that gives byte ranges, one that does not, one that dies within a file."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Plain(SimpleHTTPRequestHandler):
    """The standard library's: whole files, and folders as a page of links."""

    asked: list = []  # noqa: RUF012 - of the class, one for each server

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        """Note what is asked for."""
        self.asked.append((self.path, self.headers.get("Range", "")))
        super().do_GET()


class Ranged(Plain):
    """The same with byte ranges."""

    def do_GET(self):
        """Give the part that is asked for."""
        path = Path(self.translate_path(self.path))
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not span or not path.is_file():
            super().do_GET()
            return
        self.asked.append((self.path, self.headers["Range"]))
        data = path.read_bytes()
        first, last = int(span[1]), min(int(span[2] or len(data) - 1), len(data) - 1)
        if first >= len(data):
            self.send_error(416)
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])


class Dying(Ranged):
    """Promises a whole answer, and closes the connection in its middle."""

    dead: list = []  # noqa: RUF012 - not empty once it dies

    def do_GET(self):
        """Break off."""
        if not self.dead:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"only this")
        self.close_connection = True


@contextlib.contextmanager
def serving(folder: Path, kind: type[Plain]) -> Iterator[tuple[str, type[Plain]]]:
    """Serve a folder; give its URL, and the handler with what was asked of it."""
    handler = type("Handler", (kind,), {"asked": [], "dead": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", handler
        finally:
            server.shutdown()
            thread.join()
