"""Where studies live, and who works on which: several processes or hosts share one set of them.

Whoever works on a study holds its claim, which dies with the process: a study that was left behind
is taken up by another, which goes on where the trials end. Trials are written by the holder alone.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import URL, Engine, make_url

from features.errors import InputError, UsageError
from features.files import write_atomic

POLL = 0.5  # seconds between two looks at a claim of somebody else's


class Studies:
    """Studies of one run by name, each with a claim."""

    def claim(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """Hold a study for as long as the context lasts; False where another process holds it."""
        raise NotImplementedError

    def open(self, name: str) -> optuna.Study:
        """Return a study that is held, with the trials that it has."""
        raise NotImplementedError

    def told(self) -> contextlib.AbstractContextManager[None]:
        """Turn the storage's complaint about anything done inside into one line."""
        return contextlib.nullcontext()

    def check(self) -> None:
        """Raise when a claim was lost while it was held."""

    def is_free(self, name: str) -> bool:
        """Say whether nobody holds a study at the moment."""
        with self.claim(name) as held:
            return held


@dataclass(frozen=True)
class Journals(Studies):
    """One Optuna journal a study, in a folder; the claim is a lock of the file system."""

    folder: Path

    @contextlib.contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Hold a study."""
        with _file_claim(self.folder / f".{name}.lock") as held:
            yield held

    def open(self, name: str) -> optuna.Study:
        """Open a journal, mending what a kill may have left: half a line, a lock."""
        path = self.folder / f"{name}.journal"
        if path.is_file():
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                write_atomic(path, whole)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}.lock")  # we hold the study, so its owner is dead
        return _study(JournalStorage(JournalFileBackend(str(path))), name)


@dataclass(frozen=True)
class Shared(Studies):
    """All studies in one database (`--storage URL`); the claim is an advisory lock of its server.

    Attributes
    ----------
    url : as SQLAlchemy takes it; never printed with its password
    run : what tells this run's studies from others' in the same database
    """

    url: str
    run: str

    # the lock lasts as long as its connection does, so that it dies with the process
    LOCKS: ClassVar[dict[str, str]] = {
        "postgresql": "SELECT pg_try_advisory_lock(:number)",
        "mysql": "SELECT GET_LOCK(:name, 0)",
        "mariadb": "SELECT GET_LOCK(:name, 0)",
    }

    @cached_property
    def _url(self) -> URL:
        try:
            url = make_url(self.url)
        except (sqlalchemy.exc.ArgumentError, ValueError):  # the latter for a port
            url = None
        if url is None or "@" in (url.host or ""):
            raise UsageError(
                "--storage: expected a URL such as postgresql://user:password@host/name or "
                "sqlite:///studies.db; an @ in the password is written %40"
            )
        if url.get_backend_name() not in (*self.LOCKS, "sqlite"):
            raise UsageError(
                f"--storage: {url.get_backend_name()} has no advisory locks that we know; known "
                f"are {', '.join(self.LOCKS)}, and sqlite on one machine"
            )
        place = url.database or ":memory:"
        if url.get_backend_name() == "sqlite" and place.startswith((":memory:", "file:")):
            raise UsageError("--storage: expected the path of a file, as sqlite:///studies.db")
        if url.drivername == "postgresql" and importlib.util.find_spec("psycopg"):
            return url.set(drivername="postgresql+psycopg")
        return url

    @property
    def name(self) -> str:
        """The URL without what may be secret."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    @contextlib.contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Hold a study."""
        with self._locked(f"{self.run}/{name}") as held:
            yield held

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[bool]:
        full = hashlib.sha256(name.encode()).hexdigest()
        if self._url.get_backend_name() == "sqlite":
            place = Path(f"{self._url.database}.claims")
            with _file_claim(place / full[:32]) as held:
                yield held
            return
        with self._connection() as connection:
            values = {"number": int(full[:15], 16), "name": full[:60]}
            statement = text(self.LOCKS[self._url.get_backend_name()])
            wanted = {key: values[key] for key in statement.compile().params}
            held = bool(connection.execute(statement, wanted).scalar())
            if held:
                self._held.append(connection)
            try:
                yield held
            finally:
                if held:
                    self._held.remove(connection)

    @cached_property
    def _held(self) -> list[sqlalchemy.Connection]:
        return []

    def check(self) -> None:
        """Raise when the server let go of a lock: its connection is gone."""
        with self.told():
            for connection in self._held:
                connection.execute(text("SELECT 1"))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlalchemy.Connection]:
        with self.told():
            connection = self._engine.connect()
        # closing it gives the lock back; an error inside is not this connection's
        with contextlib.closing(connection):
            yield connection

    @cached_property
    def _engine(self) -> Engine:
        try:
            return create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
            raise UsageError(
                f"--storage {self.name} needs a driver of its database: {error}; PostgreSQL "
                "takes pip install 'psycopg[binary]', MySQL mysql+pymysql:// and its pymysql"
            ) from None

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Turn the database's complaint into one line."""
        try:
            yield
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
            error = error.__cause__ if isinstance(error, StorageInternalError) else error
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()
            raise InputError(
                f"--storage {self.name}: {reason[0] if reason else type(error).__name__}; finished "
                "trials are kept: mend that, then give the same command again"
            ) from None

    def open(self, name: str) -> optuna.Study:
        """Open a study; the first one makes the tables."""
        with self.told():
            while True:  # two processes that make the tables at once would trip over each other
                with self._locked("the tables of all runs") as held:
                    if held:
                        return _study(self._storage, f"{self.run}/{name}")
                time.sleep(POLL / 10)

    @cached_property
    def _storage(self) -> RDBStorage:
        url = self._url.render_as_string(hide_password=False)
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except RuntimeError as error:  # tables of another version of Optuna
            raise InputError(f"--storage {self.name}: {error}") from None

    def __getstate__(self) -> dict:
        """Leave connections behind: another process makes its own."""
        return {"url": self.url, "run": self.run}

    def __setstate__(self, state: dict) -> None:
        """Take what the other process knew."""
        self.__dict__.update(state)


@contextlib.contextmanager
def _file_claim(path: Path) -> Iterator[bool]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(path, "a")  # noqa: SIM115 - held open for as long as the claim
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}): choose another place") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _study(storage: optuna.storages.BaseStorage, name: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
