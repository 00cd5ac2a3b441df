"""A real PostgreSQL server for one test module: the binaries of a registry package, on loopback.

The server refuses to run as root: there its files are copied to a folder that `nobody` owns.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import free_port


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yield the URL of a fresh database."""
    pgserver = pytest.importorskip("pgserver", reason="PostgreSQL comes with the package pgserver")
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is the extra storage")
    installed = Path(pgserver.__file__).parent / "pginstall"
    as_user = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="meanopinion-pg-") as place:
        root = Path(place)
        root.chmod(0o755)
        if as_user:
            installed = Path(shutil.copytree(installed, root / "pg", symlinks=True))
            # the package's own shared libraries lie beside it
            libraries = installed.parent.with_name("pgserver.libs")
            original = Path(pgserver.__file__).parent.with_name("pgserver.libs")
            if original.is_dir():
                shutil.copytree(original, libraries, dirs_exist_ok=True)
        data = root / "data"
        data.mkdir(mode=0o700)
        if as_user:
            shutil.chown(data, "nobody", "nogroup")
        run = {"cwd": data, "check": True, "capture_output": True, **as_user}
        bin = installed / "bin"
        subprocess.run([bin / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-N"], **run)
        port = free_port()
        options = ("-p", str(port), "-h", "127.0.0.1", "-k", "", "-F")
        process = subprocess.Popen(
            [bin / "postgres", "-D", data, *options],
            cwd=data,
            stderr=subprocess.DEVNULL,
            **as_user,
        )
        try:
            yield _ready(f"postgresql://tester@127.0.0.1:{port}/postgres", process)
        finally:
            process.send_signal(signal.SIGINT)  # does not wait for clients
            process.wait(30)


def _ready(url: str, process: subprocess.Popen) -> str:
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url).close()
            return url
        except psycopg.OperationalError:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
