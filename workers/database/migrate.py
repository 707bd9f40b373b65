"""Brings a database's schema to the newest version, by Alembic, safely from two places at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from workers.database.engine import Database

SCRIPTS = Path(__file__).parent / "migrations"
LOCK_ID = 0x4C554E41  # "LUNA": the advisory lock that makes a second `luna migrate` wait for the first


def upgrade(database: Database, revision: str = "head") -> tuple[str | None, str | None]:
    """Migrate up to `revision`; the versions before and after. Raises SettingsError when it cannot write."""
    database.check()
    with _exclusive(database) as connection:
        before = _version(connection)
        command.upgrade(_config(connection), revision)
        return before, _version(connection)


def downgrade(database: Database, revision: str) -> None:
    """Migrate down to `revision` (`base` for nothing)."""
    with _exclusive(database) as connection:
        command.downgrade(_config(connection), revision)


def pending(database: Database) -> bool:
    """Whether the schema is older than this code wants. Raises UnavailableError when the database is away."""
    with database.read() as connection:
        return _version(connection) != ScriptDirectory(str(SCRIPTS)).get_current_head()


@contextmanager
def _exclusive(database: Database) -> Iterator[Connection]:
    with database.write() as connection:  # on SQLite, BEGIN IMMEDIATE is the lock
        if not database.is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(LOCK_ID)))
        yield connection


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
