from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from tests.servers import PostgreSQL
from workers.database import Database, engine
from workers.errors import SettingsError, TransientError, UnavailableError

numbers = Table("numbers", MetaData(), Column("number", Integer, primary_key=True))


@pytest.fixture
def database(any_database: Database) -> Database:
    with any_database.write() as connection:
        numbers.create(connection)
    return any_database


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """An embedded database, as it is made: without a table of Luna's."""
    database = Database(f"sqlite:///{tmp_path / 'numbers.db'}")
    with database.write() as connection:
        numbers.create(connection)
    yield database
    database.close()


def stored(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(select(numbers.c.number).order_by(numbers.c.number)))


def test_what_a_block_writes_is_there_after_it(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(numbers).values(number=1))
    assert stored(database) == [1]


def test_a_block_that_raises_leaves_nothing_behind(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(numbers).values(number=1))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert stored(database) == []


def test_what_is_not_committed_is_not_read(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(numbers).values(number=1))
        assert stored(database) == []


def test_on_sqlite_a_writer_that_reads_first_keeps_other_writers_out(sqlite: Database) -> None:
    def add_next() -> None:
        with sqlite.write() as connection:
            highest = connection.scalar(select(func.coalesce(func.max(numbers.c.number), 0)))
            connection.execute(insert(numbers).values(number=highest + 1))

    threads = [threading.Thread(target=add_next) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert stored(sqlite) == list(range(1, 9))


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write(), database.read() as reader:
        assert reader.scalar(select(func.count()).select_from(numbers)) == 0


def test_a_busy_file_asks_for_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.01)
    database = Database(f"sqlite:///{tmp_path / 'busy.db'}")
    database.check()
    other = sqlite3.connect(tmp_path / "busy.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match=r"^database is locked$") as busy, database.write():
        pass
    assert not isinstance(busy.value, UnavailableError)
    other.close()
    database.close()


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}")
    with (
        pytest.raises(UnavailableError, match=r"^the database cannot be reached: unable to open"),
        database.read() as it,
    ):
        it.execute(select(1))
    database.close()


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    database = Database("postgresql+psycopg://luna:hunter2@127.0.0.1:1/luna")
    with pytest.raises(UnavailableError, match=r"^the database cannot be reached") as away, database.write():
        pass
    assert "hunter2" not in str(away.value)
    assert "\n" not in str(away.value)
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: postgresql\+psycopg://luna:\*\*\*@127\.0\.0\.1:1/luna "):
        database.check()


def test_a_broken_rule_is_for_the_caller_to_judge(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(numbers).values(number=1))
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(insert(numbers).values(number=1))


def test_a_connection_that_breaks_is_unavailable_and_the_next_one_works(postgresql: PostgreSQL) -> None:
    with closing(Database(postgresql.create())) as database:
        with pytest.raises(UnavailableError, match=r"^the database cannot be reached"), database.write() as connection:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        database.check()


def test_transactions_that_cannot_be_put_in_order_ask_for_another_try(postgresql: PostgreSQL) -> None:
    def add(connection: Connection, number: int) -> None:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        counted = connection.scalar(select(func.count()).select_from(numbers))
        connection.execute(insert(numbers).values(number=number + (counted or 0)))

    def both(database: Database) -> None:
        with database.write() as first:
            add(first, 100)
            with database.write() as second:
                add(second, 1)

    with closing(Database(postgresql.create())) as database:
        with database.write() as connection:
            numbers.create(connection)
        with pytest.raises(TransientError) as failed:
            both(database)
        assert not isinstance(failed.value, UnavailableError)
        assert stored(database) == [1]


def test_a_host_that_goes_away_without_a_word_is_noticed_within_seconds(postgresql: PostgreSQL) -> None:
    with closing(Database(postgresql.create())) as database, database.read() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        descriptor = socket.socket(fileno=os.dup(driver.fileno()))
        with closing(descriptor):
            idle, every, probes = (
                descriptor.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
        assert idle + every * probes < 15
