from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.builders import NOBODY_LISTENS, an_event, waiting
from tests.servers import Valkey
from workers.connection import connect
from workers.errors import UnavailableError
from workers.event import Route
from workers.operations import Operations
from workers.queue.publisher import Publisher, fingerprint

ROUTES = {
    "user.signed_up": (Route("users.create", "users"),),
    "user.created": (Route("email.deliver", "email"), Route("cache.invalidate", "cache"), Route("crm.sync", "email")),
}
QUEUES = ("cache", "email", "users")


@pytest.fixture
def publisher(store: redis.Redis) -> Publisher:
    return Publisher(store, ROUTES)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server of this test's own, that may be stopped and filled."""
    server = Valkey(tmp_path).start()
    yield server
    server.stop()


def test_a_published_event_waits_on_its_queue_as_it_was(store: redis.Redis, publisher: Publisher) -> None:
    event = an_event(data={"name": "Ada"}, subject="ada", correlation="c-1")
    publisher.publish(event)
    assert waiting(store, "users") == [event]


def test_an_event_goes_to_every_actor_on_its_routes(store: redis.Redis, publisher: Publisher) -> None:
    event = an_event("user.created")
    publisher.publish(event)
    assert waiting(store, "email") == [event, event]
    assert waiting(store, "cache") == [event]


def test_the_same_event_is_stored_once(store: redis.Redis, publisher: Publisher) -> None:
    event = an_event()
    publisher.publish(event, event)
    publisher.publish(event)
    assert waiting(store, "users") == [event]


@pytest.mark.parametrize("other", [{"caller": "till"}, {"source": "/till"}, {"id": "e-2"}])
def test_another_caller_source_or_id_is_another_event(
    store: redis.Redis, publisher: Publisher, other: dict[str, str]
) -> None:
    publisher.publish(an_event(id="e-1"), an_event(**{"id": "e-1", **other}))
    assert len(waiting(store, "users")) == 2


def test_what_was_stored_first_stays_as_it_is(store: redis.Redis, publisher: Publisher) -> None:
    first, second = an_event(id="e-1", data={"name": "Ada"}), an_event(id="e-1", data={"name": "Bob"})
    publisher.publish(first)
    publisher.publish(second)
    assert waiting(store, "users") == [first]


def test_a_published_event_can_be_traced_at_once(store: redis.Redis, publisher: Publisher) -> None:
    event = an_event("user.created", correlation="c-1")
    publisher.publish(event)
    trace = Operations(store, QUEUES).trace(event.id)
    assert trace is not None
    assert (trace.id, trace.source, trace.type, trace.status) == (event.id, "/shop", "user.created", "queued")
    assert trace.correlation == "c-1"
    assert [(part.actor, part.queue, part.attempts) for part in trace.actors] == [
        ("cache.invalidate", "cache", []),
        ("crm.sync", "email", []),
        ("email.deliver", "email", []),
    ]


def test_events_published_together_share_one_call(
    store: redis.Redis, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    evalsha = store.evalsha
    monkeypatch.setattr(store, "evalsha", lambda *args: calls.append(args) or evalsha(*args))
    publisher.publish(*(an_event() for _ in range(20)))
    assert len(waiting(store, "users")) == 20
    assert len(calls) == 1


def test_follow_ups_are_stored_and_linked_to_their_parent(store: redis.Redis, publisher: Publisher) -> None:
    parent = an_event()
    child = an_event("user.created", source="/luna/actors/users.create")
    publisher.publish(parent)
    publisher.publish_follow_ups(parent, "users.create", [child])
    assert waiting(store, "cache") == [child]
    trace = Operations(store, QUEUES).trace(parent.id)
    assert trace is not None
    assert [follow_up.id for follow_up in trace.follow_ups] == [child.id]


def test_no_follow_ups_need_no_server() -> None:
    Publisher(connect(NOBODY_LISTENS), ROUTES).publish_follow_ups(an_event(), "users.create", [])


def test_a_server_that_is_away_is_unavailable_and_the_event_can_be_published_again(server: Valkey) -> None:
    with connect(server.url) as client:
        publisher, event = Publisher(client, ROUTES), an_event()
        publisher.publish(an_event())
        server.stop()
        with pytest.raises(UnavailableError, match=r"^Redis cannot be reached"):
            publisher.publish(event)
        server.start()
        publisher.publish(event)
        assert event in waiting(client, "users")


def test_a_full_server_still_takes_follow_ups_of_what_it_accepted(server: Valkey) -> None:
    with connect(server.url) as client:
        event = an_event()
        client.config_set("maxmemory", 1)
        Publisher(client, ROUTES).publish(event)
        client.config_set("maxmemory", 0)
        assert waiting(client, "users") == [event]


def test_a_fingerprint_does_not_depend_on_the_order_of_fields_or_the_time() -> None:
    one = an_event(data={"a": 1, "b": {"c": 2, "d": 3}}, time="2026-01-01T00:00:00.000Z")
    other = an_event(data={"b": {"d": 3, "c": 2}, "a": 1}, time="2026-01-02T00:00:00.000Z")
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    "other", [{"type_": "user.created"}, {"subject": "s"}, {"data": {"a": 2}}, {"data": {"a": "1"}}]
)
def test_type_subject_and_data_make_a_fingerprint(other: dict[str, Any]) -> None:
    assert fingerprint(an_event(**{"data": {"a": 1}, **other})) != fingerprint(an_event(data={"a": 1}))
