from __future__ import annotations

from datetime import UTC, datetime

import pytest
import redis

from tests.builders import NOBODY_LISTENS, Told, an_event
from tests.servers import eventually
from workers.connection import connect
from workers.errors import PermanentError, TransientError, UnavailableError
from workers.event import Event, Route, timestamp
from workers.operations import EventTrace, Operations
from workers.operations.traces import MAX_DEPTH
from workers.queue.publisher import Publisher

CREATE, GREET, REFRESH = Route("users.create", "users"), Route("email.deliver", "email"), Route("cache.fill", "cache")
ROUTES = {"user.signed_up": (CREATE,), "user.created": (GREET, REFRESH)}
QUEUES = ("cache", "email", "users")
ENDS = {"done": None, "retrying": TransientError("busy"), "dead": PermanentError("never")}


class Ledger:
    """Publishes events, and tells a store how far each of their actors is."""

    def __init__(self, store: redis.Redis) -> None:
        self.publisher = Publisher(store, ROUTES)
        self.operations = Operations(store, QUEUES)
        self.told = Told(store, ROUTES)

    def set(self, event: Event, route: Route, status: str) -> None:
        if status == "running":
            self.told.begin(event, route)
        elif status != "queued":
            self.told.attempt(event, route, ENDS[status])

    def trace(self, event_id: str, **wanted: str) -> EventTrace:
        trace = self.operations.trace(event_id, **wanted)
        assert trace is not None
        return trace


@pytest.fixture
def ledger(store: redis.Redis) -> Ledger:
    return Ledger(store)


def test_an_event_nobody_published_has_no_trace(ledger: Ledger) -> None:
    assert ledger.operations.trace("e-1") is None


@pytest.mark.parametrize(
    ("greet", "refresh", "overall"),
    [
        ("queued", "queued", "queued"),
        ("done", "queued", "queued"),
        ("done", "running", "running"),
        ("running", "queued", "running"),
        ("retrying", "running", "retrying"),
        ("retrying", "dead", "dead"),
        ("done", "dead", "dead"),
        ("done", "done", "done"),
    ],
)
def test_an_event_is_as_far_as_the_worst_of_its_actors(ledger: Ledger, greet: str, refresh: str, overall: str) -> None:
    event = an_event("user.created")
    ledger.publisher.publish(event)
    ledger.set(event, GREET, greet)
    ledger.set(event, REFRESH, refresh)
    with ledger.told.alive("cache", "email"):
        assert eventually(ledger.operations.consumed_queues) == {"cache", "email"}
        trace = ledger.trace(event.id)
    assert trace.status == overall
    assert {actor.actor: actor.status for actor in trace.actors} == {"email.deliver": greet, "cache.fill": refresh}


@pytest.mark.parametrize(
    ("refresh", "settled", "succeeded"),
    [("queued", False, False), ("retrying", False, False), ("dead", True, False), ("done", True, True)],
)
def test_a_tree_is_settled_and_succeeded_when_all_of_it_is(
    ledger: Ledger, refresh: str, settled: bool, succeeded: bool
) -> None:
    parent, child = an_event(), an_event("user.created", source="/luna/actors/users.create")
    ledger.publisher.publish(parent)
    ledger.publisher.publish_follow_ups(parent, CREATE.actor, [child])
    ledger.set(parent, CREATE, "done")
    ledger.set(child, GREET, "done")
    ledger.set(child, REFRESH, refresh)
    trace = ledger.trace(parent.id)
    assert (trace.status, trace.settled, trace.succeeded) == ("done", settled, succeeded)
    assert [follow_up.status for follow_up in trace.follow_ups] == [refresh]


def test_a_dead_parent_is_settled_and_did_not_succeed(ledger: Ledger) -> None:
    event = an_event()
    ledger.publisher.publish(event)
    ledger.set(event, CREATE, "dead")
    trace = ledger.trace(event.id)
    assert (trace.settled, trace.succeeded) == (True, False)
    assert trace.actors[0].attempts[0].error == {"type": "PermanentError", "message": "never"}


def test_callers_see_their_own_event_among_those_with_the_same_id(ledger: Ledger) -> None:
    mine, theirs = an_event(id="e-1", caller="shop"), an_event(id="e-1", caller="till")
    ledger.publisher.publish(mine, theirs)
    ledger.set(theirs, CREATE, "dead")
    assert ledger.trace("e-1", caller="shop").status == "queued"
    assert ledger.trace("e-1", caller="till").status == "dead"


def test_the_event_of_another_caller_is_not_shown(ledger: Ledger) -> None:
    ledger.publisher.publish(an_event(id="e-1", caller="till"))
    assert ledger.operations.trace("e-1", caller="shop") is None


def test_the_follow_ups_of_another_callers_event_are_not_shown(ledger: Ledger) -> None:
    mine, theirs = an_event(id="e-1", caller="shop"), an_event(id="e-1", caller="till")
    foreign = an_event("user.created", caller="till")
    ledger.publisher.publish(mine, theirs)
    ledger.publisher.publish_follow_ups(theirs, CREATE.actor, [foreign])
    assert ledger.trace("e-1", caller="shop").follow_ups == []
    assert ledger.operations.trace(foreign.id, caller="shop") is None


def test_a_follow_up_is_the_callers_own_even_where_another_ones_has_its_id_and_source(ledger: Ledger) -> None:
    parent = an_event()
    mine, theirs = (an_event("user.created", id="c-1", source="/luna/a", caller=caller) for caller in ("shop", "till"))
    ledger.publisher.publish(parent)
    ledger.publisher.publish_follow_ups(parent, CREATE.actor, [mine])
    ours = ledger.trace("c-1").accepted_at
    eventually(lambda: timestamp(datetime.now(UTC)) > ours, what="another millisecond")
    ledger.publisher.publish(theirs)  # of all events with an id the newest is shown, and that is theirs now
    ledger.set(mine, GREET, "dead")
    assert [child.status for child in ledger.trace(parent.id).follow_ups] == ["dead"]


def test_the_source_picks_among_events_with_the_same_id(ledger: Ledger) -> None:
    ledger.publisher.publish(an_event(id="e-1", source="/web"), an_event(id="e-1", source="/app"))
    assert ledger.trace("e-1", source="/web").source == "/web"
    assert ledger.trace("e-1", source="/app").source == "/app"
    assert ledger.operations.trace("e-1", source="/tv") is None


def test_events_with_the_same_id_are_never_mixed_into_one(ledger: Ledger) -> None:
    ledger.publisher.publish(an_event("user.created", id="e-1"), an_event(id="e-1", source="/app"))
    trace = ledger.trace("e-1")
    assert (trace.source, [part.actor for part in trace.actors]) in [
        ("/shop", ["cache.fill", "email.deliver"]),
        ("/app", ["users.create"]),
    ]


def test_a_chain_that_never_ends_is_cut(ledger: Ledger) -> None:
    event = an_event()
    ledger.publisher.publish(event)
    ledger.publisher.publish_follow_ups(event, CREATE.actor, [event])
    trace, depth = ledger.trace(event.id), 0
    while trace.follow_ups:
        trace, depth = trace.follow_ups[0], depth + 1
    assert depth == MAX_DEPTH


def test_a_store_that_is_away_is_unavailable() -> None:
    with connect(NOBODY_LISTENS) as client:
        operations = Operations(client, QUEUES)
        with pytest.raises(UnavailableError, match=r"^Redis cannot be reached"):
            operations.trace("e-1")
        with pytest.raises(UnavailableError, match=r"^Redis cannot be reached"):
            operations.consumed_queues()
