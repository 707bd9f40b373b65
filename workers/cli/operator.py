"""What the operators' commands share: the operator API of this installation, and who is asking."""

from __future__ import annotations

import getpass

import typer

from workers import durations, settings
from workers.cli.contracts import queues, routes
from workers.connection import connect
from workers.database import Database
from workers.database.migrate import pending
from workers.errors import SettingsError
from workers.operations import Operations
from workers.operations.access import Access
from workers.queue.publisher import Publisher
from workers.settings import Settings


def operations(*, audited: bool = False) -> Operations:
    """The operator API. With `audited`, over a database that holds the audit log: SettingsError if it does not."""
    loaded = settings.load()
    database = _migrated(loaded) if audited else Database(loaded.database)
    client = connect(loaded.redis)
    return Operations(client, queues(), database, Publisher(client, routes()))


def access() -> Access:
    """The operator API of credentials. Raises SettingsError for a database without their tables."""
    return Access(_migrated(settings.load()))


def _migrated(loaded: Settings) -> Database:
    database = Database(loaded.database)
    database.check()
    if pending(database):
        raise SettingsError("DATABASE_URL: the schema is older than this version of Luna; run `luna migrate`")
    return database


def console_user() -> str:
    """Who is at this terminal, for the audit log."""
    return f"cli:{getpass.getuser()}"


def seconds(text: str) -> int:
    """A duration such as 90s, 15m, 12h or 30d in seconds. Raises typer.BadParameter."""
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def since_ms(text: str | None) -> int:
    """The moment that long ago, or that moment, in ms since the epoch; 0 for None. Raises typer.BadParameter."""
    try:
        return durations.since_ms(text) if text else 0
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
