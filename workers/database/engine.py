"""One engine per process over SQLite (WAL) or PostgreSQL, and the two ways to use it: `read` and `write`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from workers.errors import SettingsError, TransientError, UnavailableError

BUSY_TIMEOUT_S = 10  # how long SQLite waits for another process's write
POOL_SIZE = 10

GONE_AFTER = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 11_000}
"""A host that went away without a word is noticed after 11 s, where the kernel's own defaults wait for hours."""


class Database:
    """The database behind a SQLAlchemy URL. Building one does no I/O; connections open on first use."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.engine = _sqlite(url) if self.is_sqlite else _postgresql(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises UnavailableError when the database cannot be reached, TransientError when it asks for another try.
        """
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; on SQLite it never waits for writers. Raises like `write`."""
        with _translated(), self.engine.connect() as connection:
            yield connection.execution_options(luna_read_only=True)

    def check(self) -> None:
        """Raise SettingsError, in one line, unless the database can be opened and written."""
        if self.is_sqlite and self.url.database:
            folder = Path(self.url.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError(f"DATABASE_URL: cannot create {folder} ({error.strerror})") from None
        try:
            with self.write() as connection:
                self._must_write(connection)
        except (UnavailableError, DBAPIError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            where = self.url.render_as_string(hide_password=True)
            raise SettingsError(f"DATABASE_URL: {where} is not writable ({_first_line(cause)})") from None

    def _must_write(self, connection: Connection) -> None:
        if self.is_sqlite:  # BEGIN IMMEDIATE passes on a read-only file; only a write tells
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version = {version}")
        elif connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on":
            raise UnavailableError("the database", "it is read-only, as a standby is")

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if error.connection_invalidated or not _asks_for_retry(error):
            raise UnavailableError("the database", _first_line(error.orig)) from error
        raise TransientError(_first_line(error.orig)) from error


def _asks_for_retry(error: DBAPIError) -> bool:
    """Busy SQLite files, and PostgreSQL's class 40 (serialization failure, deadlock: its manual, appendix A)."""
    if isinstance(error.orig, sqlite3.OperationalError):
        return "locked" in str(error.orig)
    return str(getattr(error.orig, "sqlstate", "") or "").startswith("40")


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]


def _postgresql(url: str) -> Engine:
    return create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 3, **GONE_AFTER},
    )


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=0, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own transaction control off: `begin` below decides
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A read that turns into a write fails at once whatever the busy time-out, so writers say so first.
        reading = connection.get_execution_options().get("luna_read_only", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
