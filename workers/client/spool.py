"""The spool: enqueued events in a file, which outlive the process and the machine's crash.

SQLite, because it comes with Python, and because its log with synchronous=FULL is on disk before a commit returns
(SQLite manual, "PRAGMA synchronous"): that is the promise of `enqueue`. Any number of processes may put events into one
file; one of them sends, under a lock that the kernel takes back when that process dies. It must lie on a local disk:
neither SQLite's log nor the lock works over NFS.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from workers.client import batches
from workers.client.errors import Refused, SpoolError
from workers.client.event import Outgoing
from workers.client.store import KEPT_REFUSED, Queued, RefusedRow

FORMAT = 1
APPLICATION = int.from_bytes(b"Luna")
BUSY_S = 5.0
POLL_S = 0.2
REFUSED_PART = 4
"""What was refused takes at most this part of the capacity: the quarter."""

SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE refused (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, body BLOB NOT NULL,
    status INTEGER NOT NULL, problem TEXT NOT NULL
);
"""

_left_behind: list[sqlite3.Connection] = []
"""A parent's connections, in its child: using or closing one could break the file (SQLite, "How To Corrupt", 2.6)."""


class Spool:
    """Events in the file at `path`, which takes up to `capacity` bytes. Raises SpoolError when it cannot be used."""

    poll_s: float | None = POLL_S

    def __init__(self, path: Path, capacity: int) -> None:
        self._lock = threading.Lock()
        self._lease: int | None = None
        self._path = path
        with _spool_errors(path):
            if not path.exists():
                _create(path)
            self._in = _connect(path)
            self._out = _connect(path)
            self._check()
            self._capacity = capacity
            (page_size,) = self._in.execute("PRAGMA page_size").fetchone()
            # What takes events in is bounded; what settles them is not, so that a full file still drains.
            self._in.execute(f"PRAGMA max_page_count = {capacity // page_size}")

    def put(self, events: Sequence[Outgoing]) -> bool:
        try:
            with self._writing(self._in) as connection:
                connection.executemany("INSERT INTO outbox (id, body) VALUES (?, ?)", events)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:  # its own limit, or the disk's
                return False
            raise SpoolError(f"the spool {self._path} cannot be written: {error}") from None
        return True

    def may_send(self) -> bool:
        with self._lock:
            if self._lease is None:
                self._lease = _locked(self._path.with_name(f"{self._path.name}.lock"))
            return self._lease is not None

    def oldest(self, most: int) -> list[Queued]:
        with self._lock, closing(self._out.cursor()) as rows:
            rows.execute("SELECT number, id, body FROM outbox ORDER BY number")
            queued = (Queued(number, Outgoing(id_, body)) for number, id_, body in rows)
            return batches.first(queued, lambda each: len(each.event.body), most)

    def settle(self, sent: Sequence[int], refused: Sequence[tuple[Queued, Refused]]) -> None:
        gone = [(number,) for number in (*sent, *(queued.number for queued, _ in refused))]
        rows = [(*queued.event, error.status, json.dumps(error.problem)) for queued, error in refused]
        with self._writing(self._out) as connection:
            connection.executemany("DELETE FROM outbox WHERE number = ?", gone)
            connection.executemany("INSERT INTO refused (id, body, status, problem) VALUES (?, ?, ?, ?)", rows)
            if rows:
                _trim(connection, self._capacity // REFUSED_PART)

    def holds(self, number: int) -> bool:
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM outbox WHERE number <= ?)", number))

    def last(self) -> int:
        return self._one("SELECT coalesce(max(number), 0) FROM outbox")

    def waiting(self) -> int:
        return self._one("SELECT count(*) FROM outbox")

    def refused(self) -> list[RefusedRow]:
        with self._lock:
            rows = self._in.execute("SELECT id, body, status, problem FROM refused ORDER BY number").fetchall()
        return [RefusedRow(Outgoing(id_, body), status, json.loads(problem)) for id_, body, status, problem in rows]

    def close(self) -> None:
        with self._lock:
            self._in.close()
            self._out.close()
            self._give_back()

    def forked(self) -> None:
        _left_behind.extend((self._in, self._out))
        self._give_back()  # closing a copy leaves the parent's lock alone

    def _give_back(self) -> None:
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None

    def _check(self) -> None:
        application, version = self._one("PRAGMA application_id"), self._one("PRAGMA user_version")
        if application != APPLICATION:
            raise SpoolError(f"{self._path} is no spool of Luna's")
        if version != FORMAT:
            raise SpoolError(f"the spool {self._path} has format {version}, this client knows {FORMAT}")

    def _one(self, statement: str, *parameters: int) -> int:
        with self._lock, _spool_errors(self._path):
            (value,) = self._in.execute(statement, parameters).fetchone()
            return int(value)

    @contextmanager
    def _writing(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk may have ended it
                    connection.execute("ROLLBACK")
                raise


def _create(path: Path) -> None:
    """Make the file whole under another name, then give it its own: no process ever sees half of it."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # which makes it 0600
    os.close(handle)
    try:
        with closing(sqlite3.connect(draft)) as connection:
            connection.executescript(SCHEMA)
        try:
            os.link(draft, path)  # fails if another process was first: then its file counts
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        Path(draft).unlink()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: there fsync alone does not reach the disk
    return connection


def _locked(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _trim(connection: sqlite3.Connection, most_bytes: int) -> None:
    """Forget the oldest of what was refused."""
    kept, total = 0, 0
    rows: list[Any] = connection.execute("SELECT number, length(body) FROM refused ORDER BY number DESC").fetchall()
    for number, size in rows:
        kept, total = kept + 1, total + size
        if kept > KEPT_REFUSED or (total > most_bytes and kept > 1):
            connection.execute("DELETE FROM refused WHERE number <= ?", (number,))
            return


@contextmanager
def _spool_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise SpoolError(f"the spool {path} cannot be used: {error}") from None
