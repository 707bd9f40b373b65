from __future__ import annotations

import dramatiq
import pytest
import redis

from tests.builders import Told, an_event
from tests.servers import eventually
from workers.errors import PermanentError, TransientError
from workers.event import Event, Route
from workers.operations import Operations
from workers.operations.traces import ActorTrace
from workers.queue.delivery import Delivery
from workers.queue.lane import Lane
from workers.queue.publisher import Publisher

CREATE = Route("users.create", "users")
ROUTES = {"user.signed_up": (CREATE,)}


@pytest.fixture
def told(store: redis.Redis) -> Told:
    return Told(store, ROUTES)


@pytest.fixture
def event(store: redis.Redis) -> Event:
    event = an_event()
    Publisher(store, ROUTES).publish(event)
    return event


def traced(store: redis.Redis, event: Event) -> ActorTrace:
    trace = Operations(store, ["users"]).trace(event.id)
    assert trace is not None
    return trace.actors[0]


def test_an_attempt_under_way_is_seen(store: redis.Redis, told: Told, event: Event) -> None:
    told.begin(event, CREATE)
    with told.alive("users"):
        eventually(lambda: traced(store, event).status == "running")


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "done"), (TransientError("busy"), "retrying"), (PermanentError("never"), "dead")],
)
def test_an_attempt_ends_done_retrying_or_dead(
    store: redis.Redis, told: Told, event: Event, error: Exception | None, status: str
) -> None:
    told.attempt(event, CREATE, error)
    assert traced(store, event).status == status


def test_every_attempt_is_kept_with_its_error(store: redis.Redis, told: Told, event: Event) -> None:
    told.attempt(event, CREATE, TransientError("busy"))
    eventually(lambda: told.attempt(event, CREATE) or True)
    first, second = traced(store, event).attempts
    assert (first.number, first.error) == (1, {"type": "TransientError", "message": "busy"})
    assert (second.number, second.error) == (2, None)
    assert second.duration_ms is not None
    assert first.worker


def test_what_is_remembered_of_events_ends_in_its_time(store: redis.Redis, told: Told) -> None:
    lasting = set()
    for _ in range(3):
        event = an_event()
        Publisher(store, ROUTES).publish(event)
        told.attempt(event, CREATE)
        times = [int(store.ttl(key)) for key in store.scan_iter()]
        lasting.add(times.count(-1))
        assert max(times) <= 30 * 24 * 3600
    assert len(lasting) == 1  # the queue itself stays; its messages bring nothing that does


def test_the_record_of_an_event_outlives_the_window_in_which_it_is_published_once(store: redis.Redis) -> None:
    Publisher(store, ROUTES).publish(an_event())
    once, record = sorted(ttl for ttl in map(store.ttl, store.scan_iter()) if ttl != -1)
    assert 0 < once <= 24 * 3600 < record


def test_a_message_that_holds_no_event_has_none(store: redis.Redis) -> None:
    message = dramatiq.Message[None](queue_name="q", actor_name="a", args=(1,), kwargs={"event": "x"}, options={})
    delivery = Delivery(message, Lane(store, "q", "worker", 1000), "1-0", 1, again=False)
    assert (delivery.event, delivery.ledger_records("done")) == (None, [])


def test_a_worker_is_seen_from_its_start_to_its_stop(store: redis.Redis, told: Told) -> None:
    operations = Operations(store, ["users"])
    with told.alive("users"):
        assert eventually(operations.consumed_queues) == {"users"}
        (worker,) = operations.workers()
        assert (worker.queues, worker.running) == (["users"], [])
    assert operations.consumed_queues() == set()
