"""A local page: score and rank pictures, see where a score comes from, score like a few rated ones.

It listens on this machine alone. With --token, and for another --host, it asks for a name
(meanopinion) and the token; without --token one is made and printed.
"""

import contextlib
import errno
import importlib.util
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path

from features.errors import InputError, UsageError
from features.places import expand
from features.way import Way
from pipeline import cli
from pipeline.heads import read_head
from pipeline.serve.uploads import uploads_folder

EXAMPLES = """\
  python -m pipeline.serve
  python -m pipeline.serve --port 8000 --head head.zip
  python -m pipeline.serve --host 0.0.0.0 --token "$(cat token.txt)"
"""
LOOPBACK = ("127.0.0.1", "localhost")
NAME = "meanopinion"
MAX_UPLOAD = "50mb"
MAX_WAITING = 32  # requests
MAX_EDGE = 2**16


def main(argv: list[str] | None = None) -> int:
    """Parse, serve until it is interrupted."""
    options = cli.parser(__doc__, EXAMPLES)
    add = options.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=cli.positive, default=7860, help="(default %(default)s)")
    add("--token", default="", help="what users must give (another --host has one)")
    add("--head", action="append", default=[], metavar="HEAD.zip", help="a shared head, too")
    cli.add_way(options)
    options.set_defaults(precision="")
    cli.add_places(options, "runs", "weights")
    chosen = options.parse_args(argv)
    way = cli.take_way(vars(chosen))
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the page needs gradio: pip install 'meanopinion[serve]'")
    if way.cluster or len(way.gpus) > 1:
        raise UsageError("the page works on one device of this machine: no --cluster, one --gpu")
    shared = [expand(path) for path in chosen.head]
    for path in shared:
        read_head(path)  # before anybody waits for it
    places = cli.places(chosen, "runs", "weights")
    check_port(chosen.host, chosen.port)
    with uploads_folder() as uploads:
        _serve(chosen, way, shared, places, uploads)
    # a request that is still computed would be ended in the middle of native code, which aborts
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be had, before anything is loaded.

    Raises
    ------
    InputError
    """
    if port >= MAX_EDGE:
        raise InputError(f"--port {port}: expected 1 to {MAX_EDGE - 1}")
    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(address)
    except (OSError, UnicodeError) as error:
        taken = getattr(error, "errno", 0) == errno.EADDRINUSE
        said = getattr(error, "strerror", "") or error
        why = "is taken: name another" if taken else f"cannot be had: {said}"
        raise InputError(f"--host {host} --port {port} {why}") from error


def _serve(chosen, way: Way, shared: list[Path], places: dict, uploads: Path) -> None:
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # gradio reads these when it is imported
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from pipeline.serve.page import THEME, page
    from pipeline.serve.room import Room
    from pipeline.serve.service import Service

    service = Service(places["runs"], places["weights"], uploads, way, shared)
    auth, app = None, [Middleware(Room, folder=uploads)]
    if chosen.token or chosen.host not in LOOPBACK:
        token = chosen.token or secrets.token_urlsafe(18)
        auth = (NAME, token)
        if not chosen.token:
            cli.say(f"name {NAME}, token {token}")
    else:
        # without a token, no other site may have its own name lead here and then read the answers
        app.append(Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK)))
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host  # as addresses have IPv6
    blocks = page(service)
    blocks.queue(max_size=MAX_WAITING)
    blocks.launch(
        server_name=host,
        server_port=chosen.port,
        auth=auth,
        app_kwargs={"middleware": app},
        max_file_size=MAX_UPLOAD,
        show_error=True,
        quiet=True,
        footer_links=[],
        share=False,
        theme=THEME,
        ssr_mode=False,
        prevent_thread_lock=True,
        strict_cors=True,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # before anybody is told that it is there
        signal.signal(number, lambda *_: stopped.set())
    print(f"http://{host}:{chosen.port}", flush=True)
    cli.say("Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        stopped.wait()
    blocks.close(verbose=False)


if __name__ == "__main__":
    cli.run(main)
