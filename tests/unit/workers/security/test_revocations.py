from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.servers import eventually
from workers.database import Database
from workers.security import revocations
from workers.security.revocations import KEPT_PAST_EXPIRY, Revoked

NOW = datetime(2026, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def database(any_database: Database) -> Database:
    return any_database


def revoke(database: Database, token: str, expires_at: datetime = NOW + HOUR) -> None:
    with database.write() as connection:
        revocations.revoke(connection, token, expires_at, NOW)


def read(database: Database, known: Revoked | None = None, now: datetime = NOW) -> Revoked:
    with database.read() as connection:
        return revocations.read_newer(connection, known, now) if known else revocations.read(connection, now)


def purge(database: Database, now: datetime) -> int:
    with database.write() as connection:
        return revocations.purge(connection, now)


def test_what_is_revoked_is_read_whole_or_from_where_one_stopped(database: Database) -> None:
    revoke(database, "one")
    known = read(database)
    assert known.tokens == {"one"}
    assert read(database, known) is known
    revoke(database, "two")
    newer = read(database, known)
    assert newer.tokens == {"one", "two"}
    assert newer == read(database)


def test_a_token_is_revoked_for_a_while_past_its_expiry_and_then_purged(database: Database) -> None:
    revoke(database, "short", NOW)
    revoke(database, "long", NOW + 2 * KEPT_PAST_EXPIRY)
    assert read(database, now=NOW + KEPT_PAST_EXPIRY).tokens == {"short", "long"}
    later = NOW + KEPT_PAST_EXPIRY + timedelta(seconds=1)
    assert read(database, now=later).tokens == {"long"}
    assert (purge(database, later), purge(database, later)) == (1, 0)
    assert read(database, now=NOW).tokens == {"long"}


def test_of_two_moments_for_one_token_the_later_counts(database: Database) -> None:
    later = NOW + KEPT_PAST_EXPIRY + HOUR
    for first, second in ((NOW, NOW + HOUR), (NOW + HOUR, NOW)):
        revoke(database, "token", first)
        revoke(database, "token", second)
        assert read(database, now=later).tokens == {"token"}
        assert purge(database, later + timedelta(seconds=1)) == 1


def test_what_is_revoked_after_a_purge_is_not_passed_by(database: Database) -> None:
    revoke(database, "old", NOW)
    known = read(database)
    assert purge(database, NOW + KEPT_PAST_EXPIRY + timedelta(seconds=1)) == 1
    revoke(database, "new")
    assert "new" in read(database, known).tokens


@pytest.mark.parametrize("any_database", ["postgresql"], indirect=True)  # on SQLite there is one writer at a time
def test_a_revocation_that_commits_late_is_not_passed_by(database: Database) -> None:
    def somebody_waits() -> bool:
        with database.read() as connection:
            return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

    second = threading.Thread(target=revoke, args=(database, "second"))
    with database.write() as connection:
        revocations.revoke(connection, "first", NOW + HOUR, NOW)
        second.start()
        eventually(somebody_waits, what="a second revocation that waits")
        known = read(database)
    second.join(20)
    assert read(database, known).tokens == {"first", "second"}
