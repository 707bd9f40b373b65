"""Fixtures that all tests share: servers, stores and settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import fakeredis
import pytest
import redis
from sqlalchemy import inspect

from tests.servers import PostgreSQL, Valkey, postgresql_binaries
from workers.database import Database
from workers.database.migrate import upgrade
from workers.settings import Settings


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no `.env` of the developer's reaches a test."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.setenv("LUNA_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"), appendfsync="no").start()
    yield server
    server.stop()


@pytest.fixture
def valkey(_shared_valkey: Valkey) -> Valkey:
    """A running server, empty. Do not stop this one: tests that stop a server start their own."""
    with _shared_valkey.client() as client:
        client.flushall()
    return _shared_valkey


@pytest.fixture(params=["fakeredis", "valkey"])
def store(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A Redis client: every test that asks for it runs on the fake and on the real server."""
    if request.param == "fakeredis":
        yield fakeredis.FakeRedis()
    else:
        with request.getfixturevalue("valkey").client() as client:
            yield client


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A migrated database."""
    database = Database(f"sqlite:///{tmp_path / 'luna.db'}")
    upgrade(database)
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running server for all tests; each makes the databases it needs."""
    binaries = postgresql_binaries()
    if binaries is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("PostgreSQL is not installed here")
    server = PostgreSQL(binaries).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _shared_database(postgresql: PostgreSQL) -> Iterator[tuple[Database, set[str]]]:
    """A migrated database, and the names of its tables."""
    database = Database(postgresql.create())
    upgrade(database)
    yield database, set(inspect(database.engine).get_table_names()) - {"alembic_version"}
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest) -> Database:
    """A migrated, empty database: every test that asks for it runs on SQLite and on a real PostgreSQL."""
    if request.param == "sqlite":
        return cast("Database", request.getfixturevalue("database"))
    database, tables = cast("tuple[Database, set[str]]", request.getfixturevalue("_shared_database"))
    with database.write() as connection:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(sorted(tables))}")
        for table in set(inspect(connection).get_table_names()) - tables - {"alembic_version"}:
            connection.exec_driver_sql(f"DROP TABLE {table}")  # a test's own
    return database
