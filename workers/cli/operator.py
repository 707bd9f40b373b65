"""What the operators' commands share: the operator API of this installation, and who is asking."""

from __future__ import annotations

import getpass
import re
import time

import typer

from workers import settings
from workers.cli.contracts import queues
from workers.connection import connect
from workers.database import Database
from workers.database.migrate import pending
from workers.errors import SettingsError
from workers.operations import Operations
from workers.operations.access import Access
from workers.settings import Settings

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def operations(*, audited: bool = False) -> Operations:
    """The operator API. With `audited`, over a database that holds the audit log: SettingsError if it does not."""
    loaded = settings.load()
    database = _migrated(loaded) if audited else Database(loaded.database)
    return Operations(connect(loaded.redis), queues(), database)


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
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 15m, 12h or 30d")
    return int(found[1]) * UNITS_S[found[2]]


def ago_ms(text: str | None) -> int:
    """The moment that long ago, in ms since the epoch; 0 for None. Raises typer.BadParameter."""
    return int((time.time() - seconds(text)) * 1000) if text else 0
