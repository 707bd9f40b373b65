"""How a process starts: with settings that hold, logs that work and servers that answer, or not at all.

A process that cannot start says why in one line on standard error and exits with status 1.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import structlog
from dramatiq import Broker, Middleware
from redis import RedisError

from workers import settings
from workers.connection import connect, masked, ping
from workers.database import Database
from workers.database.migrate import pending
from workers.errors import LunaError, SettingsError, UnavailableError
from workers.queue import server
from workers.settings import Settings
from workers.telemetry import logs

log = structlog.get_logger(__name__)


def refuse(error: LunaError) -> NoReturn:
    """Say why this process does not start, and end it."""
    sys.exit(f"luna: {error}")


@contextmanager
def starting(process: str) -> Iterator[Settings]:
    """The settings, with logs set up; an error of ours inside the block is one line and exit status 1."""
    try:
        loaded = settings.load()
        logs.configure(process, production=loaded.production)
        yield loaded
    except LunaError as error:
        refuse(error)


def check(loaded: Settings, database: Database) -> None:
    """Raise SettingsError or UnavailableError unless Redis answers and the database is there, writable and migrated."""
    check_queue(loaded)
    database.check()
    if pending(database):
        raise SettingsError("DATABASE_URL: the schema is older than this version of Luna; run `luna migrate`")


def check_queue(loaded: Settings) -> None:
    """Raise UnavailableError unless Redis answers, SettingsError if it evicts; warn if it does not keep its promise."""
    ping(loaded.redis)
    client = connect(loaded.redis)
    try:
        facts = server.examine(client)
    except RedisError as error:
        raise UnavailableError(f"Redis at {masked(loaded.redis)}", str(error)) from None
    finally:
        client.close()
    server.refuse_eviction(facts)
    kept, sentence = server.verdict(facts, loaded.durability)
    if not kept:
        log.warning("server.weak", durability=loaded.durability, seen=sentence)


class StartChecks(Middleware):
    """Refuses to start a worker process whose surroundings are not there."""

    def __init__(self, loaded: Settings, database: Database) -> None:
        self._settings = loaded
        self._database = database

    def after_process_boot(self, broker: Broker) -> None:  # noqa: ARG002 Dramatiq's signature
        """Runs in each worker process before it takes a message."""
        try:
            check(self._settings, self._database)
        except LunaError as error:
            refuse(error)


class StopOnce(Middleware):
    """Makes a worker process finish its work however often it is told to stop; a supervisor out of patience kills.

    Dramatiq drops the work in hand at the second SIGTERM, and supervisors that signal whole process groups, such as
    honcho and systemd, bring about two: their own, and that of the master process.
    """

    def after_process_boot(self, broker: Broker) -> None:  # noqa: ARG002 Dramatiq's signature
        """Runs in the main thread of each worker process, once Dramatiq listens to the signal."""
        stop = signal.getsignal(signal.SIGTERM)

        def once(number: int, frame: FrameType | None) -> None:
            signal.signal(number, signal.SIG_IGN)
            if callable(stop):
                stop(number, frame)

        signal.signal(signal.SIGTERM, once)
