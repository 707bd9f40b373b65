from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from tests.builders import an_event
from workers import receipts
from workers.database import Database

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ACTOR = "users.create"


def test_a_receipt_is_claimed_once(any_database: Database) -> None:
    event = an_event()
    for expected in (True, False):
        with any_database.write() as connection:
            assert receipts.claim(connection, event, ACTOR, NOW) is expected


def test_every_actor_and_every_caller_has_its_own(any_database: Database) -> None:
    with any_database.write() as connection:
        assert receipts.claim(connection, an_event(id="e-1"), ACTOR, NOW)
        assert receipts.claim(connection, an_event(id="e-1"), "email.deliver", NOW)
        assert receipts.claim(connection, an_event(id="e-1", caller="till"), ACTOR, NOW)


def test_a_claim_that_is_rolled_back_can_be_made_again(any_database: Database) -> None:
    event = an_event()
    with any_database.engine.connect() as connection:
        assert receipts.claim(connection, event, ACTOR, NOW)
        connection.rollback()
    with any_database.write() as connection:
        assert receipts.claim(connection, event, ACTOR, NOW)


def test_of_many_who_claim_at_once_one_succeeds(any_database: Database) -> None:
    event, won = an_event(), []

    def claim() -> None:
        with any_database.write() as connection:
            if receipts.claim(connection, event, ACTOR, NOW):
                won.append(threading.get_ident())

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(won) == 1


def test_the_follow_ups_come_back_as_they_were_recorded(any_database: Database) -> None:
    event, other = an_event(), an_event()
    children = [an_event("user.created", {"n": 1}, correlation="c-1"), an_event("user.updated", subject="ü")]
    with any_database.write() as connection:
        for claimed in (event, other):
            receipts.claim(connection, claimed, ACTOR, NOW)
        receipts.record(connection, event, ACTOR, children)
    with any_database.read() as connection:
        assert receipts.follow_ups(connection, event, ACTOR) == children
        assert receipts.follow_ups(connection, other, ACTOR) == []


def test_only_receipts_older_than_the_limit_are_purged(any_database: Database) -> None:
    with any_database.write() as connection:
        for days in (29, 30, 31, 32):
            receipts.claim(connection, an_event(), ACTOR, NOW - timedelta(days=days))
        assert receipts.purge(connection, NOW - receipts.KEPT_FOR) == 2
        assert connection.scalar(select(func.count()).select_from(receipts.receipts)) == 2


def test_receipts_outlive_dead_letters_the_longest_retry_and_the_once_window() -> None:
    assert timedelta(days=7) + timedelta(hours=24) * 2 < receipts.KEPT_FOR
