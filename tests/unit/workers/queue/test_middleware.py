from __future__ import annotations

import dramatiq
import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from tests.builders import NOBODY_LISTENS, an_event, delivered
from tests.servers import eventually
from workers.connection import connect
from workers.errors import TransientError
from workers.event import Event, Route
from workers.operations import ActorTrace, Operations
from workers.queue.middleware import EventStatus, Presence, event_of
from workers.queue.publisher import Publisher

ROUTES = {"user.signed_up": (Route("users.create", "users"),)}


@pytest.fixture
def broker() -> StubBroker:
    return StubBroker(middleware=[])


@pytest.fixture
def event(store: redis.Redis) -> Event:
    event = an_event()
    Publisher(store, ROUTES).publish(event)
    return event


def attempt(
    store: redis.Redis, broker: StubBroker, event: Event, number: int, error: Exception | None, dead: bool
) -> None:
    message, status = delivered(event, actor="users.create", queue="users", attempt=number), EventStatus(store)
    status.before_process_message(broker, message)
    if dead:
        message.fail()
    status.after_process_message(broker, message, exception=error)


def traced(store: redis.Redis, event: Event) -> ActorTrace:
    trace = Operations(store, ["users"]).trace(event.id)
    assert trace is not None
    return trace.actors[0]


def test_an_attempt_under_way_is_seen(store: redis.Redis, broker: StubBroker, event: Event) -> None:
    EventStatus(store).before_process_message(broker, delivered(event, actor="users.create", queue="users"))
    actor = traced(store, event)
    assert actor.status == "running"
    assert (actor.attempts[0].number, actor.attempts[0].duration_ms) == (1, None)


@pytest.mark.parametrize(
    ("error", "dead", "status"),
    [(None, False, "done"), (TransientError("busy"), False, "retrying"), (TransientError("busy"), True, "dead")],
)
def test_an_attempt_ends_done_retrying_or_dead(
    store: redis.Redis, broker: StubBroker, event: Event, error: Exception | None, dead: bool, status: str
) -> None:
    attempt(store, broker, event, 1, error, dead=dead)
    assert traced(store, event).status == status


def test_every_attempt_is_kept_with_its_error(store: redis.Redis, broker: StubBroker, event: Event) -> None:
    attempt(store, broker, event, 1, TransientError("busy"), dead=False)
    attempt(store, broker, event, 2, None, dead=False)
    first, second = traced(store, event).attempts
    assert (first.number, first.error) == (1, {"type": "TransientError", "message": "busy"})
    assert (second.number, second.error) == (2, None)
    assert second.duration_ms is not None
    assert first.worker


def test_what_is_remembered_of_events_ends_in_its_time(store: redis.Redis, broker: StubBroker) -> None:
    def remembered() -> tuple[int, int]:
        times = [int(store.ttl(key)) for key in store.scan_iter()]
        return times.count(-1), max(times)

    counts = set()
    for _ in range(3):
        event = an_event()
        Publisher(store, ROUTES).publish(event)
        attempt(store, broker, event, 1, None, dead=False)
        lasting, longest = remembered()
        counts.add(lasting)
        assert longest <= 30 * 24 * 3600
    assert len(counts) == 1  # the queue itself stays; its messages bring nothing that does


def test_the_record_of_an_event_outlives_the_window_in_which_it_is_published_once(store: redis.Redis) -> None:
    Publisher(store, ROUTES).publish(an_event())
    once, record = sorted(ttl for ttl in map(store.ttl, store.scan_iter()) if ttl != -1)
    assert 0 < once <= 24 * 3600 < record


def test_a_ledger_that_is_away_does_not_stop_the_work(broker: StubBroker) -> None:
    with connect(NOBODY_LISTENS) as client:
        status, message = EventStatus(client), delivered(an_event(), actor="users.create", queue="users")
        status.before_process_message(broker, message)
        status.after_process_message(broker, message)


def test_a_message_that_holds_no_event_is_none_of_ours() -> None:
    message = dramatiq.Message[None](queue_name="q", actor_name="a", args=(1,), kwargs={"event": "x"}, options={})
    assert event_of(message) is None


def test_a_worker_is_seen_from_its_start_to_its_stop(store: redis.Redis, broker: StubBroker) -> None:
    operations, presence = Operations(store, ()), Presence(store)
    worker = dramatiq.Worker(broker, queues={"email", "users"})
    presence.after_worker_boot(broker, worker)
    assert eventually(operations.consumed_queues) == {"email", "users"}
    presence.before_worker_shutdown(broker, worker)
    assert operations.consumed_queues() == set()
