from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier
from threading import Event as ThreadEvent
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import delete, select

from actors.billing import lemonsqueezy
from actors.billing import store as table
from actors.billing.actors import apply
from actors.users import store as users
from tests.builders import an_event, business, waiting
from tests.payments import PAYMENTS, PLANS, PRO, STATUS_OF, SUBSCRIPTION, TEAM, encoded, webhook
from tests.servers import eventually
from workers.cache import TaggedCache
from workers.database import Database
from workers.errors import PermanentError, TransientError
from workers.event import Event
from workers.handlers import Handlers

ADA, BOB = "0b5a4c1e-8a52-4f0e-9d0a-6f7f3c6f1a11", "7d3f1c52-6b0e-4f57-8a53-1d1f5e0c2b22"
NOBODY = "11111111-2222-4333-8444-555555555555"
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def database(any_database: Database) -> Database:
    with any_database.write() as connection:
        for user_id, name in ((ADA, "ada"), (BOB, "bob")):
            users.create(connection, user_id=user_id, email=f"{name}@example.com", name=name, preferences={}, now=NOW)
    return any_database


@pytest.fixture
def store() -> redis.Redis:
    return fakeredis.FakeRedis()


@pytest.fixture
def handlers(database: Database, store: redis.Redis) -> Handlers:
    return business(database, store, plans=PLANS)


def received(name: str = "subscription_created", user_id: str | None = ADA, **attributes: Any) -> Event:
    """The event that the gateway makes of a webhook."""
    document = webhook(name, user_id, **attributes)
    sha = hashlib.sha256(encoded(document)).hexdigest()
    return an_event("payment.received", lemonsqueezy.facts(document), id=sha, caller="lemonsqueezy")


def at(second: int) -> str:
    return f"2026-01-02T03:04:{second:02}.000000Z"


def plan(database: Database, user_id: str = ADA, now: datetime = NOW) -> str:
    with database.read() as connection:
        return table.plan_of(connection, user_id, now, PLANS)


def rows(database: Database) -> list[table.Subscription]:
    with database.read() as connection:
        return [table.Subscription(*row) for row in connection.execute(select(table.subscriptions))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("subscription_created", "pro"),
        ("subscription_updated", "pro"),
        ("subscription_cancelled", "pro"),
        ("subscription_resumed", "pro"),
        ("subscription_unpaused", "pro"),
        ("subscription_paused", "free"),
        ("subscription_expired", "free"),
    ],
)
def test_a_state_of_a_subscription_is_kept_and_decides_the_plan(
    handlers: Handlers, database: Database, name: str, expected: str
) -> None:
    handlers.run(apply, received(name))
    (row,) = rows(database)
    assert (row.id, row.user_id, row.variant_id, row.status) == (SUBSCRIPTION, ADA, str(PRO), STATUS_OF[name])
    assert plan(database) == expected
    assert plan(database, BOB) == "free"


@pytest.mark.parametrize(
    ("status", "mode", "expected"),
    [
        ("on_trial", None, "pro"),
        ("active", None, "pro"),
        ("past_due", None, "pro"),
        ("paused", "free", "pro"),
        ("paused", "void", "free"),
        ("paused", None, "free"),
        ("unpaid", None, "free"),
        ("cancelled", None, "pro"),
        ("expired", None, "free"),
    ],
)
def test_every_status_is_worth_what_the_table_says(
    handlers: Handlers, database: Database, status: str, mode: str | None, expected: str
) -> None:
    pause = {"mode": mode} if mode else None
    handlers.run(apply, received("subscription_updated", status=status, pause=pause, ends_at=None))
    assert plan(database) == expected


def test_a_cancelled_subscription_ends_by_itself(handlers: Handlers, database: Database) -> None:
    handlers.run(apply, received("subscription_cancelled", ends_at="2026-02-01T09:00:00.000000Z"))
    end = datetime(2026, 2, 1, 9, tzinfo=UTC)
    assert plan(database, now=end - timedelta(milliseconds=1)) == "pro"
    assert plan(database, now=end) == "free"


@pytest.mark.parametrize("name", [f"subscription_payment_{how}" for how in PAYMENTS] + ["order_refunded"])
def test_a_payment_changes_no_plan(handlers: Handlers, database: Database, store: redis.Redis, name: str) -> None:
    handlers.run(apply, received())
    store.flushall()
    handlers.run(apply, received(name, BOB))
    assert (plan(database), plan(database, BOB), len(rows(database))) == ("pro", "free", 1)
    assert waiting(store, "cache") == []


@pytest.mark.parametrize("name", ["order_created", "license_key_created", "license_key_updated"])
def test_what_is_no_subscription_makes_none(handlers: Handlers, database: Database, name: str) -> None:
    handlers.run(apply, received(name))
    assert (rows(database), plan(database)) == ([], "free")


def test_what_comes_late_changes_nothing(handlers: Handlers, database: Database, store: redis.Redis) -> None:
    handlers.run(apply, received("subscription_expired", updated_at=at(9)))
    store.flushall()
    handlers.run(apply, received("subscription_updated", updated_at=at(8)))
    assert (plan(database), rows(database)[0].status) == ("free", "expired")
    assert waiting(store, "cache") == []


def test_of_two_states_of_one_second_the_further_one_counts(handlers: Handlers, database: Database) -> None:
    for name in ("subscription_cancelled", "subscription_updated"):
        handlers.run(apply, received(name, updated_at=at(9)))
    assert rows(database)[0].status == "cancelled"


def test_another_variant_is_another_plan(handlers: Handlers, database: Database) -> None:
    handlers.run(apply, received(updated_at=at(1)))
    handlers.run(apply, received("subscription_updated", variant_id=TEAM, updated_at=at(2)))
    assert (plan(database), rows(database)[0].variant_id) == ("team", str(TEAM))


@pytest.mark.parametrize("first", [PRO, TEAM])
def test_of_two_subscriptions_the_greater_plan_counts_so_that_no_payer_can_take_it_away(
    handlers: Handlers, database: Database, first: int
) -> None:
    handlers.run(apply, received(id="1", variant_id=first))
    handlers.run(apply, received(id="2", variant_id=PRO + TEAM - first, updated_at=at(1)))
    assert plan(database) == "team"
    greater = "1" if first == TEAM else "2"
    handlers.run(apply, received("subscription_expired", id=greater, variant_id=TEAM, updated_at=at(2)))
    assert plan(database) == "pro"


def test_the_receipt_the_state_and_the_fact_are_one(handlers: Handlers, database: Database, store: redis.Redis) -> None:
    event = received()
    for _ in range(3):
        handlers.run(apply, event)
    (fact,) = waiting(store, "cache")
    assert (fact.type, fact.data) == (
        "subscription.changed",
        {"user_id": ADA, "subscription_id": SUBSCRIPTION, "status": "active", "plan": "pro"},
    )
    with database.write() as connection:
        connection.execute(delete(table.subscriptions))
    handlers.run(apply, event)
    assert rows(database) == []


def test_what_is_cached_about_the_user_is_stale_at_once(handlers: Handlers, store: redis.Redis) -> None:
    cache = TaggedCache(store)
    cache.read("key", [f"user:{ADA}"], lambda: 1)
    handlers.run(apply, received())
    assert cache.read("key", [f"user:{ADA}"], lambda: 2) == (2, "miss")


def test_a_subscription_stays_with_its_user_whatever_a_later_checkout_says(
    handlers: Handlers, database: Database
) -> None:
    handlers.run(apply, received(updated_at=at(1)))
    handlers.run(apply, received("subscription_updated", BOB, variant_id=TEAM, updated_at=at(2)))
    handlers.run(apply, received("subscription_updated", None, updated_at=at(3)))
    assert (rows(database)[0].user_id, rows(database)[0].updated_at.second) == (ADA, 3)
    assert (plan(database), plan(database, BOB)) == ("pro", "free")


@pytest.mark.parametrize("claim", [None, "", "ada", "admin", "'; DROP TABLE users; --", "1" * 5000, "zoe@example.com"])
def test_a_subscription_of_nobody_waits_for_an_operator(
    handlers: Handlers, database: Database, claim: str | None
) -> None:
    with pytest.raises(PermanentError, match=rf"whose subscription {SUBSCRIPTION} is: .*`luna dead edit"):
        handlers.run(apply, received(user_id=claim))
    assert rows(database) == []


def test_neither_the_address_nor_the_customer_picks_an_account(handlers: Handlers, database: Database) -> None:
    handlers.run(apply, received())
    with pytest.raises(PermanentError):
        handlers.run(apply, received(user_id=None, id="2", user_email="ada@example.com"))
    assert len(rows(database)) == 1


def test_a_user_who_is_not_there_may_still_sign_up(handlers: Handlers, database: Database) -> None:
    with pytest.raises(TransientError, match="who is not there"):
        handlers.run(apply, received(user_id=NOBODY))
    assert rows(database) == []


def test_an_operator_says_whose_it_is(handlers: Handlers, database: Database) -> None:
    event = received(user_id=None)
    event.data["user_id"] = ADA  # what `luna dead edit` does
    handlers.run(apply, event)
    assert plan(database) == "pro"


def test_a_variant_without_a_plan_waits_for_an_operator(database: Database, store: redis.Redis) -> None:
    event = received(variant_id=999)
    with pytest.raises(PermanentError, match=r"variant 999 .* add 999:PLAN to LEMONSQUEEZY_PLANS"):
        business(database, store, plans=PLANS).run(apply, event)
    assert (rows(database), plan(database)) == ([], "free")
    business(database, store, plans={**PLANS, "999": "lifetime"}).run(apply, event)
    assert plan(database) == "lifetime"


def test_a_plan_that_is_sold_no_more_stays_until_its_subscription_ends(
    handlers: Handlers, database: Database, store: redis.Redis
) -> None:
    handlers.run(apply, received(updated_at=at(1)))
    later = business(database, store, plans={})
    later.run(apply, received("subscription_updated", updated_at=at(2)))
    assert plan(database) == "pro"
    later.run(apply, received("subscription_expired", updated_at=at(3)))
    assert plan(database) == "free"


def test_an_end_needs_no_plan(database: Database, store: redis.Redis) -> None:
    business(database, store, plans={}).run(apply, received("subscription_expired"))
    assert (len(rows(database)), plan(database)) == (1, "free")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "on_the_house"),
        ("status", None),
        ("variant_id", None),
        ("variant_id", {"id": PRO}),
        ("variant_id", True),
        ("variant_id", "1 OR 1=1"),
        ("updated_at", None),
        ("updated_at", "yesterday"),
        ("updated_at", "2026-01-02T03:04:05+23:00"),
        ("ends_at", "9999-12-31T23:59:59-23:59"),
        ("customer_id", "7\x00"),
        ("customer_id", "x" * 65),
    ],
)
def test_a_webhook_that_is_odd_is_seen_by_an_operator_and_changes_nothing(
    handlers: Handlers, database: Database, field: str, value: Any
) -> None:
    with pytest.raises(PermanentError, match=rf"breaks its contract at: subscription\.{field}$"):
        handlers.run(apply, received(**{field: value}))
    assert rows(database) == []


def test_no_field_but_the_variant_decides_the_plan(handlers: Handlers, database: Database) -> None:
    handlers.run(apply, received(role="admin", plan="team", price=0, variant_name="team", product_name="team"))
    assert plan(database) == "pro"


def test_all_fifteen_names_are_known() -> None:
    names = {*STATUS_OF, *(f"subscription_payment_{how}" for how in PAYMENTS), "order_created", "order_refunded"}
    assert names | {"license_key_created", "license_key_updated"} == lemonsqueezy.EVENTS
    assert len(lemonsqueezy.EVENTS) == 15


@pytest.mark.parametrize("name", sorted(lemonsqueezy.EVENTS))
def test_nothing_personal_and_no_secret_is_taken_from_a_webhook(name: str) -> None:
    taken = str(lemonsqueezy.facts(webhook(name, ADA)))
    left = ("zoe", "4242", "signature", "80e15db5", "1900", "Enterprise", "plan:")
    assert [word for word in left if word in taken] == []


@pytest.mark.parametrize(
    "document", [None, [], "x", {}, {"meta": []}, {"meta": {"event_name": 1}}, {"meta": {"event_name": None}}]
)
def test_what_is_no_webhook_has_no_name(document: Any) -> None:
    assert lemonsqueezy.name_of(document) is None


@pytest.mark.parametrize("part", [None, [], "x", 1, {"attributes": []}, {"attributes": {"pause": "x"}}])
@pytest.mark.parametrize("custom", [None, [], "x", {"user_id": {"$ne": 1}}, {"user_id": ["x"]}, {"user_id": 7}])
def test_a_webhook_of_any_shape_gives_facts(part: Any, custom: Any) -> None:
    meta = {"event_name": "subscription_updated", "custom_data": custom}
    assert "user_id" not in lemonsqueezy.facts({"meta": meta, "data": part})


def test_two_first_states_at_the_same_moment_are_both_seen(database: Database) -> None:
    events = [
        received("subscription_updated", status=status, updated_at=at(second))
        for second, status in enumerate(("on_trial", "active", "past_due", "expired"))
    ]
    together = Barrier(len(events))

    def working(event: Event) -> None:
        handlers = business(database, fakeredis.FakeRedis(), plans=PLANS)
        together.wait(10)
        for _ in range(10):
            try:
                return handlers.run(apply, event)
            except TransientError:  # the worker would try again a second later
                continue
        raise AssertionError("it never came through")

    with ThreadPoolExecutor(len(events)) as threads:
        list(threads.map(working, events))
    assert [row.status for row in rows(database)] == ["expired"]


class SlowPlans(dict[str, str]):
    """A table of plans whose reader, once there, waits until it is let go."""

    def __init__(self) -> None:
        super().__init__(PLANS)
        self.asked, self.go = ThreadEvent(), ThreadEvent()

    def __contains__(self, key: object) -> bool:
        self.asked.set()
        return self.go.wait(10) and super().__contains__(key)


def test_a_newer_state_waits_for_an_older_one_that_is_being_applied(
    handlers: Handlers, database: Database, store: redis.Redis
) -> None:
    def waits() -> bool:
        if database.is_sqlite:
            return True  # there the second cannot even begin
        with database.read() as connection:
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return bool(connection.exec_driver_sql(blocked).scalar_one())

    handlers.run(apply, received(updated_at=at(1)))
    plans = SlowPlans()
    with ThreadPoolExecutor(2) as threads:
        older = threads.submit(business(database, store, plans=plans).run, apply, received(updated_at=at(2)))
        assert plans.asked.wait(10)
        newer = threads.submit(handlers.run, apply, received("subscription_expired", updated_at=at(3)))
        eventually(lambda: newer.done() or waits(), what="the newer state at the lock")
        plans.go.set()
        older.result()
        newer.result()
    assert rows(database)[0].status == "expired"


STATES = st.builds(
    received,
    st.sampled_from(["subscription_updated", "subscription_cancelled", "subscription_expired"]),
    st.sampled_from([ADA, ADA, None]),
    updated_at=st.integers(0, 1).map(at),
    variant_id=st.sampled_from([PRO, TEAM, 999]),
    ends_at=st.sampled_from([None, "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"]),
)


@given(data=st.data(), events=st.lists(STATES, min_size=1, max_size=6))
@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_with_any_duplicates_ends_in_the_same_state(
    database: Database, data: st.DataObject, events: list[Event]
) -> None:
    shuffled = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=6))))
    assert outcome(database, shuffled) == outcome(database, events)


def outcome(database: Database, events: list[Event]) -> list[table.Subscription]:
    """What is left of them in a world of their own, with what died retried once, as an operator would."""
    with database.write() as connection:
        for each in ("subscriptions", "receipts"):
            connection.exec_driver_sql(f"DELETE FROM {each}")
    handlers, dead = business(database, fakeredis.FakeRedis(), plans=PLANS), []
    for event in events:
        try:
            handlers.run(apply, event)
        except PermanentError:
            dead.append(event)
    for event in dead:
        with suppress(PermanentError):
            handlers.run(apply, event)
    return rows(database)
