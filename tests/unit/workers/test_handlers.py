from __future__ import annotations

from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from tests.builders import NOBODY_LISTENS, an_event, waiting
from workers.cache import TaggedCache
from workers.connection import connect
from workers.contract import Contract
from workers.database import Database
from workers.errors import PermanentError, TransientError, UnavailableError
from workers.event import Event, Route
from workers.handlers import Handler, Handlers, Work, handler
from workers.operations import Operations
from workers.queue.publisher import Publisher


class Ordered(Contract, type="test.ordered"):
    number: int


class Billed(Contract, type="test.billed"):
    number: int


CONTRACTS: dict[str, type[Contract]] = {Ordered.type: Ordered, Billed.type: Billed}
ROUTES = {Ordered.type: (Route("orders.bill", "orders"),), Billed.type: (Route("mail.send", "mail"),)}
bills = Table("bills", MetaData(), Column("id", String, primary_key=True), Column("number", Integer))


@handler("orders.bill")
def bill(data: Ordered, work: Work) -> None:
    work.connection.execute(insert(bills).values(id=str(uuid4()), number=data.number))
    work.publish(Billed(number=data.number), Billed(number=data.number + 1))


@pytest.fixture
def database(any_database: Database) -> Database:
    with any_database.write() as connection:
        bills.create(connection)
    return any_database


def build(database: Database, store: redis.Redis, **resources: Any) -> Handlers:
    publisher = Publisher(store, ROUTES)
    return Handlers(contracts=CONTRACTS, database=database, publisher=publisher, cache=TaggedCache(store), **resources)


@pytest.fixture
def handlers(database: Database, store: redis.Redis) -> Handlers:
    return build(database, store)


def ordered(number: Any = 7, **attributes: Any) -> Event:
    return an_event(Ordered.type, {"number": number}, **attributes)


def billed(database: Database) -> int | None:
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(bills))


def test_a_handler_does_its_work_and_what_follows_is_published(
    handlers: Handlers, database: Database, store: redis.Redis
) -> None:
    event = ordered(7, correlation="c-1")
    handlers.run(bill, event)
    assert billed(database) == 1
    follow_ups = waiting(store, "mail")
    assert sorted(child.data["number"] for child in follow_ups) == [7, 8]
    assert {(child.type, child.correlation, child.caller) for child in follow_ups} == {("test.billed", "c-1", "shop")}


def test_an_effect_happens_once_however_often_its_message_comes(
    handlers: Handlers, database: Database, store: redis.Redis
) -> None:
    event = ordered()
    for _ in range(3):
        handlers.run(bill, event)
    assert billed(database) == 1
    assert len(waiting(store, "mail")) == 2


def test_a_crash_between_commit_and_publish_loses_no_follow_up(database: Database, store: redis.Redis) -> None:
    event = ordered()
    with connect(NOBODY_LISTENS) as away, pytest.raises(UnavailableError):
        build(database, away).run(bill, event)
    assert billed(database) == 1
    assert waiting(store, "mail") == []
    build(database, store).run(bill, event)
    assert billed(database) == 1
    assert sorted(child.data["number"] for child in waiting(store, "mail")) == [7, 8]


def test_follow_ups_come_again_under_the_same_ids(database: Database, store: redis.Redis) -> None:
    event = ordered()
    build(database, store).run(bill, event)
    first = {child.id for child in waiting(store, "mail")}
    store.flushall()
    build(database, store).run(bill, event)
    assert {child.id for child in waiting(store, "mail")} == first


def test_the_follow_ups_are_linked_to_their_event(handlers: Handlers, store: redis.Redis) -> None:
    event = ordered()
    Publisher(store, ROUTES).publish(event)
    handlers.run(bill, event)
    trace = Operations(store, ["orders", "mail"]).trace(event.id)
    assert trace is not None
    assert [child.type for child in trace.follow_ups] == ["test.billed", "test.billed"]


@pytest.mark.parametrize("error", [PermanentError("never"), TransientError("busy"), ValueError("a bug")])
def test_a_failure_leaves_nothing_behind_and_the_work_can_be_done_again(
    handlers: Handlers, database: Database, store: redis.Redis, error: Exception
) -> None:
    def fail(data: Ordered, work: Work) -> None:
        bill.function(data=data, work=work)
        raise error

    event = ordered()
    with pytest.raises(type(error), match=str(error)):
        handlers.run(Handler("orders.bill", fail, {}), event)
    assert billed(database) == 0
    assert waiting(store, "mail") == []
    handlers.run(bill, event)
    assert billed(database) == 1


@pytest.mark.parametrize("data", [{"number": "x"}, {}, {"number": 1, "role": "admin"}])
def test_data_that_breaks_its_contract_is_permanent_and_is_not_repeated(
    handlers: Handlers, database: Database, data: dict[str, Any]
) -> None:
    with pytest.raises(PermanentError, match=r"^the data of test\.ordered breaks its contract at: (number|role)$"):
        handlers.run(bill, an_event(Ordered.type, data))
    assert billed(database) == 0


def test_an_event_without_a_contract_is_permanent(handlers: Handlers) -> None:
    with pytest.raises(PermanentError, match=r"^there is no contract for order\.lost$"):
        handlers.run(bill, an_event("order.lost"))


def test_what_is_cached_is_stale_after_the_commit_and_not_before(handlers: Handlers, store: redis.Redis) -> None:
    cache, reads = TaggedCache(store), []
    cache.read("order", ["orders"], lambda: "old")

    def change(work: Work) -> None:
        work.invalidate("orders")
        reads.append(cache.read("order", ["orders"], lambda: "new").how)

    handlers.run(Handler("orders.bill", change, {}), ordered())
    reads.append(cache.read("order", ["orders"], lambda: "new").how)
    assert reads == ["hit", "miss"]


def test_a_cache_that_is_away_holds_up_neither_the_work_nor_what_follows(
    database: Database, store: redis.Redis
) -> None:
    def change(data: Ordered, work: Work) -> None:
        work.invalidate("orders")
        bill.function(data=data, work=work)

    with connect(NOBODY_LISTENS) as away:
        publisher, cache = Publisher(store, ROUTES), TaggedCache(away)
        handlers = Handlers(contracts=CONTRACTS, database=database, publisher=publisher, cache=cache)
        handlers.run(Handler("orders.bill", change, {}), ordered())
    assert billed(database) == 1
    assert len(waiting(store, "mail")) == 2


def test_a_handler_is_given_what_it_asks_for_and_nothing_else(database: Database, store: redis.Redis) -> None:
    given: dict[str, Any] = {}

    def greet(event: Event, data: Ordered, greeting: str) -> None:
        given.update(event=event, data=data, greeting=greeting)

    event = ordered()
    build(database, store, greeting="hello", unused=object()).run(Handler("orders.greet", greet, {}), event)
    assert given == {"event": event, "data": Ordered(number=7), "greeting": "hello"}


def test_a_handler_that_asks_for_what_nobody_gives_is_refused_at_boot(handlers: Handlers) -> None:
    @handler("orders.greet")
    def greet(data: Ordered, greeting: str) -> None: ...

    with pytest.raises(TypeError, match=r"^orders\.greet asks for \['greeting'\]"):
        handlers.declare(greet, "orders", StubBroker(middleware=[]))


def test_a_declared_handler_is_an_ordinary_actor_with_its_options(handlers: Handlers, database: Database) -> None:
    broker = StubBroker(middleware=[dramatiq.middleware.Retries()])
    actor = handlers.declare(handler("orders.bill", max_retries=2)(bill.function), "orders", broker)
    assert (actor.actor_name, actor.queue_name, actor.options["max_retries"]) == ("orders.bill", "orders", 2)
    assert actor.options["throws"] is PermanentError
    actor(ordered().to_dict())
    assert billed(database) == 1
