from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import actors.boot  # every slice's tables are on the metadata once it is imported
from tests.servers import PostgreSQL, eventually
from workers.database import Database, metadata
from workers.database.migrate import SCRIPTS, downgrade, pending, upgrade
from workers.errors import SettingsError

ROOT = Path(__file__).parents[4]
HEAD = ScriptDirectory(str(SCRIPTS)).get_current_head()
assert actors.boot.SLICES


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'luna.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.create()


@pytest.fixture
def empty(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def test_an_empty_database_is_brought_to_the_newest_version(empty: Database) -> None:
    assert upgrade(empty) == (None, HEAD)
    assert tables(empty) == set(metadata.tables)
    assert not pending(empty)


def test_migrating_again_changes_nothing(empty: Database) -> None:
    upgrade(empty)
    assert upgrade(empty) == (HEAD, HEAD)


def test_the_migrations_make_exactly_the_tables_that_the_code_declares(any_database: Database) -> None:
    with any_database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_going_down_to_nothing_leaves_no_table_and_up_again_works(empty: Database) -> None:
    upgrade(empty)
    downgrade(empty, "base")
    assert tables(empty) == set()
    assert upgrade(empty) == (None, HEAD)
    assert tables(empty) == set(metadata.tables)


def test_a_database_that_was_never_migrated_is_pending(empty: Database) -> None:
    empty.check()
    assert pending(empty)


def test_of_processes_that_migrate_at_once_one_does_it_and_none_fails(url: str) -> None:
    script = (
        "import sys; from workers.database import Database; from workers.database.migrate import upgrade;"
        "print(*upgrade(Database(sys.argv[1])))"
    )
    arguments = [sys.executable, "-c", script, url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment, text=True) for _ in range(3)]
    told = sorted(process.communicate(timeout=60)[0].strip() for process in started)
    assert told == [f"{HEAD} {HEAD}", f"{HEAD} {HEAD}", f"None {HEAD}"]
    assert {process.returncode for process in started} == {0}


def test_on_postgresql_the_second_waits_until_the_first_is_done(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate, entered, go = command.upgrade, threading.Event(), threading.Event()

    def slowly(config: Config, revision: str) -> None:
        entered.set()
        go.wait(20)
        migrate(config, revision)

    def somebody_waits() -> bool:
        with database.read() as connection:
            return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

    monkeypatch.setattr(command, "upgrade", slowly)
    with closing(Database(postgresql.create())) as database, ThreadPoolExecutor(2) as threads:
        first = threads.submit(upgrade, database)
        entered.wait(20)
        second = threads.submit(upgrade, database)
        try:
            eventually(somebody_waits, within=10, what="a second migration that waits")
        finally:
            go.set()
        assert [first.result(20), second.result(20)] == [(None, HEAD), (HEAD, HEAD)]


def test_a_database_that_cannot_be_written_is_refused_by_the_name_of_its_variable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}")
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: "):
        upgrade(database)
    database.close()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(op, "create_index", fail)
    with pytest.raises(OSError, match="full"):
        upgrade(empty)
    assert tables(empty) == set()
    assert pending(empty)
