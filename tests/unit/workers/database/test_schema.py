from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, UniqueConstraint, insert, select
from sqlalchemy.exc import StatementError

from workers.database import Database, Moment, insert_once

NOON = datetime(2026, 7, 1, 12, 0, 0, 123456, UTC)
visits = Table(
    "visits",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("place", Integer),
    Column("at", Moment),
    UniqueConstraint("place"),
)


@pytest.fixture
def database(any_database: Database) -> Database:
    with any_database.write() as connection:
        visits.create(connection)
    return any_database


def kept(database: Database, moment: datetime | None) -> datetime | None:
    with database.write() as connection:
        connection.execute(insert(visits).values(number=1, at=moment))
    with database.read() as connection:
        return connection.scalar(select(visits.c.at))


@pytest.mark.parametrize("hours", [0, 2, -11])
def test_a_moment_comes_back_aware_and_utc_whatever_its_zone(database: Database, hours: int) -> None:
    found = kept(database, NOON.astimezone(timezone(timedelta(hours=hours))))
    assert found == NOON
    assert found is not None
    assert found.tzinfo is UTC


def test_no_moment_comes_back_as_none(database: Database) -> None:
    assert kept(database, None) is None


def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="needs its time zone"):
        kept(database, NOON.replace(tzinfo=None))


def test_moments_compare_in_the_database_across_zones(database: Database) -> None:
    kept(database, NOON.astimezone(timezone(timedelta(hours=2))))
    with database.read() as connection:
        earlier = select(visits.c.number).where(visits.c.at < NOON + timedelta(seconds=1))
        assert connection.scalars(earlier).all() == [1]
        assert connection.scalars(select(visits.c.number).where(visits.c.at < NOON)).all() == []


def test_a_row_is_inserted_once(database: Database) -> None:
    with database.write() as connection:
        assert insert_once(connection, visits, number=1, place=1)
        assert not insert_once(connection, visits, number=1, place=2)
        assert connection.scalars(select(visits.c.place)).all() == [1]


def test_any_unique_key_counts(database: Database) -> None:
    with database.write() as connection:
        assert insert_once(connection, visits, number=1, place=1)
        assert not insert_once(connection, visits, number=2, place=1)
