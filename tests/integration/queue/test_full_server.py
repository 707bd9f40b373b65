"""Promise 10: a full server takes no event from outside, and still drains all that it took."""

from __future__ import annotations

import asyncio
from typing import Any

import dramatiq
import pytest
import redis

from tests.builders import an_event
from tests.queues import Brokers, empty, working
from tests.servers import Valkey, eventually
from workers import keys
from workers.connection import connect_async
from workers.errors import PermanentError, UnavailableError
from workers.event import Event, Route
from workers.operations import Filter, Operations
from workers.queue.broker import StreamsBroker
from workers.queue.publisher import AsyncPublisher, Outcome, Publisher, fingerprint
from workers.queue.server import FULL, Watch

ROUTES = {"user.signed_up": (Route("first", "default"),), "user.created": (Route("follow", "default"),)}
EVENTS = 60


def declare(broker: StreamsBroker, publisher: Publisher, ran: list[str]) -> None:
    @dramatiq.actor(broker=broker, throws=PermanentError)
    def first(event: dict[str, Any]) -> None:
        given = Event.from_dict(event)
        number = given.data["number"]
        if number % 10 == 0:
            raise PermanentError("planned")
        if number % 10 == 1 and not ran.count(given.id):
            ran.append(given.id)
            raise RuntimeError("once")
        child = Event(f"child of {given.id}", "/shop", "user.created", {}, "shop")
        publisher.publish_follow_ups(given, "first", [child])
        ran.append(given.id)

    @dramatiq.actor(broker=broker, on_success="last")
    def follow(event: dict[str, Any]) -> None:
        ran.append(event["id"])

    @dramatiq.actor(broker=broker)
    def last(*_: Any) -> None:
        ran.append("last")


def fill(client: redis.Redis, share: float) -> None:
    """Set the limit so that this share of it is used."""
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / share))


def posted(url: str, **options: int) -> Outcome:
    async def post() -> Outcome:
        async with connect_async(url) as client:
            watch = Watch(client, "fsync")
            await watch.look()
            return await AsyncPublisher(client, ROUTES, watch=watch, **options).publish(event, fingerprint(event))

    event = an_event()
    return asyncio.run(post())


def test_at_four_fifths_new_events_are_refused_and_below_they_are_taken(own_valkey: Valkey) -> None:
    with own_valkey.client() as client:
        fill(client, FULL + 0.05)
        with pytest.raises(UnavailableError, match="nearly full"):
            posted(own_valkey.url)
        fill(client, FULL - 0.2)
        assert posted(own_valkey.url) is Outcome.STORED


def test_an_overfull_server_drains_follow_ups_retries_callbacks_and_dead_letters_among_it(
    own_valkey: Valkey, own_broker: Brokers
) -> None:
    with own_valkey.client() as client:
        broker, publisher, ran = own_broker(), Publisher(client, ROUTES), []
        declare(broker, publisher, ran)
        publisher.publish(*(an_event(data={"number": number}) for number in range(EVENTS)))
        client.xgroup_create(keys.stream("default"), "workers", id="0")
        fill(client, 1.01)
        with pytest.raises(redis.ResponseError, match="used memory"):
            client.set("more", "memory")
        with working(broker, threads=4):
            eventually(lambda: ran.count("last") == EVENTS * 9 // 10, what="the last callback")
            eventually(lambda: empty(client))
        client.config_set("maxmemory", 0)
        assert Operations(client, ["default"]).count_dead(Filter(reason="permanent")) == EVENTS // 10
        assert sum(name.startswith("child of") for name in ran) == EVENTS * 9 // 10


def test_a_queue_that_holds_as_much_as_it_may_takes_no_more(own_valkey: Valkey) -> None:
    assert posted(own_valkey.url, longest=1) is Outcome.STORED
    assert posted(own_valkey.url, longest=1) is Outcome.FULL
