from __future__ import annotations

import time
from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest
import redis

from actors.events import CONTRACTS
from tests.builders import Told, an_event, waiting
from tests.servers import eventually
from workers.database import Database
from workers.errors import NotFoundError, PermanentError, RefusedError, UnavailableError
from workers.event import Event, Route
from workers.operations import Filter, Operations, bulk
from workers.queue.graveyard import Graveyard
from workers.queue.publisher import Publisher

ROUTES = {"user.signed_up": (Route("users.create", "users"),)}
SLICES = {"operation.slice_due": (Route("maintenance.work_operation", "maintenance"),)}
QUEUES = ("users",)


class Grave:
    """Many letters of one cause, and an operation over them."""

    def __init__(self, store: redis.Redis, database: Database, letters: int) -> None:
        self.store, self.database = store, database
        self.told, self.graveyard = Told(store, ROUTES), Graveyard(store, QUEUES)
        self.operations = Operations(store, QUEUES, database, Publisher(store, SLICES))
        self.slept: list[float] = []
        self.die(*(an_event() for _ in range(letters)), publish=True)

    def die(self, *events: Event, publish: bool = False) -> None:
        for event in events:
            if publish:
                Publisher(self.store, ROUTES).publish(event)
            self.told.attempt(event, ROUTES["user.signed_up"][0], PermanentError("never"))

    def start(self, kind: bulk.Kind, rate: float = 0) -> UUID:
        newest = next(self.graveyard.search(Filter())).died_ms
        eventually(lambda: time.time() * 1000 > newest + 1)
        return self.operations.start_bulk(kind, Filter(), rate, "cli:op")

    def work(self, operation: UUID) -> bool:
        return bulk.work(self.database, self.graveyard, operation, self.slept.append)


@pytest.fixture
def grave(store: redis.Redis, database: Database) -> Grave:
    return Grave(store, database, letters=7)


def test_discarding_many_takes_all_and_says_so(grave: Grave) -> None:
    operation = grave.start("discard")
    assert not grave.work(operation)
    progress = grave.operations.operation(operation)
    assert (progress.state, progress.done, progress.total) == ("done", 7, 7)
    assert grave.graveyard.count(Filter()) == 0


def test_a_retry_of_many_sends_five_first(grave: Grave) -> None:
    operation = grave.start("retry")
    assert grave.work(operation)
    assert (len(waiting(grave.store, "users")), grave.graveyard.count(Filter())) == (5, 2)
    assert grave.operations.operation(operation).done == 5


def test_it_stops_by_itself_when_all_five_die_again_of_the_same_cause(grave: Grave) -> None:
    operation = grave.start("retry")
    grave.work(operation)
    grave.die(*waiting(grave.store, "users"))
    grave.work(operation)
    progress = grave.operations.operation(operation)
    assert (progress.state, progress.done) == ("stopped", 5)
    assert progress.note == "stopped by itself: all of the first 5 died again of the same cause"
    assert not grave.work(operation)
    assert grave.graveyard.count(Filter()) == 7


def test_canaries_that_were_never_sent_are_sent_and_not_taken_for_dead_again(
    grave: Grave, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = grave.start("retry")
    with monkeypatch.context() as away:
        away.setattr(grave.graveyard, "retry", Mock(side_effect=redis.ConnectionError))
        with pytest.raises(redis.ConnectionError):
            grave.work(operation)
    assert grave.work(operation)
    progress = grave.operations.operation(operation)
    assert (progress.state, progress.done, len(waiting(grave.store, "users"))) == ("running", 5, 5)


def test_it_goes_on_when_the_five_live(grave: Grave, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = grave.start("retry")
    grave.work(operation)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + bulk.CANARY_S + 1)
    assert not grave.work(operation)
    assert (grave.operations.operation(operation).state, len(waiting(grave.store, "users"))) == ("done", 7)


def test_what_dies_again_meanwhile_is_not_taken_a_second_time(grave: Grave) -> None:
    operation = grave.start("discard")
    grave.die(an_event(), publish=True)
    grave.work(operation)
    assert grave.graveyard.count(Filter()) == 1


def test_it_keeps_to_its_rate(grave: Grave) -> None:
    assert grave.work(grave.start("discard", rate=1.0))
    assert grave.graveyard.count(Filter()) == 2  # five seconds' worth are taken in one slice
    assert max(grave.slept) > 3


def test_it_keeps_to_a_rate_below_one_letter_a_slice(grave: Grave) -> None:
    operation = grave.start("discard", rate=0.01)
    assert grave.work(operation)
    assert (grave.operations.operation(operation).done, grave.slept) == (0, [bulk.SLICE_S])


def test_the_last_letter_of_a_slice_and_the_first_of_the_next_are_as_far_apart_as_others(grave: Grave) -> None:
    operation = grave.start("discard", rate=1.0)
    grave.work(operation)
    grave.slept.clear()
    grave.work(operation)
    assert 0.5 < grave.slept[0] <= 1.0


def test_a_stopped_operation_takes_nothing_more(grave: Grave) -> None:
    operation = grave.start("discard")
    grave.operations.stop(operation, "cli:op")
    assert not grave.work(operation)
    assert (grave.graveyard.count(Filter()), grave.operations.operation(operation).state) == (7, "stopped")


def test_an_operation_nobody_stored_is_not_worked_off(grave: Grave) -> None:
    assert not grave.work(uuid4())
    with pytest.raises(NotFoundError):
        grave.operations.operation(uuid4())


def test_every_action_is_in_the_audit_log(grave: Grave) -> None:
    api, (letter, other, *_) = grave.operations, [found.letter for found in grave.graveyard.search(Filter())]
    api.pause("users", "cli:op")
    api.resume("users", "cli:op")
    api.retry(letter.id, "cli:op")
    api.discard(other.id, "ops:eve")
    operation = grave.start("discard")
    api.stop(operation, "cli:op")
    log = [(entry.by, entry.action, entry.target, entry.affected) for entry in reversed(api.audit_log(10))]
    assert log == [
        ("cli:op", "queue.pause", "users", 1),
        ("cli:op", "queue.resume", "users", 1),
        ("cli:op", "dead.retry", letter.id, 1),
        ("ops:eve", "dead.discard", other.id, 1),
        ("cli:op", "dead.discard_many", str(operation), 5),
        ("cli:op", "operation.stop", str(operation), 1),
    ]


def test_an_edit_that_breaks_the_contract_is_refused_and_changes_nothing(grave: Grave) -> None:
    letter = next(grave.graveyard.search(Filter())).letter
    with pytest.raises(RefusedError, match=r"breaks the contract of user\.signed_up: email: Field required"):
        grave.operations.edit(letter.id, {"name": "Ada"}, "cli:op", CONTRACTS)
    assert (grave.graveyard.count(Filter()), grave.operations.audit_log(10)) == (7, [])


def test_starting_an_operation_sets_workers_to_it(grave: Grave) -> None:
    operation = grave.start("discard")
    (event,) = waiting(grave.store, "maintenance")
    assert (event.type, event.data, event.caller) == ("operation.slice_due", {"operation_id": str(operation)}, "cli:op")


def test_an_operation_that_no_worker_was_told_of_is_stopped(grave: Grave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Publisher, "publish", Mock(side_effect=UnavailableError("Redis", "gone")))
    with pytest.raises(UnavailableError):
        grave.start("discard")
    (started,) = grave.operations.audit_log(10)
    progress = grave.operations.operation(UUID(started.target))
    assert (progress.state, progress.note) == ("stopped", "it was never begun: Redis went away")


def test_the_audit_log_is_read_page_by_page(grave: Grave) -> None:
    for _ in range(3):
        grave.operations.pause("users", "cli:op")
    first = grave.operations.audit_log(2)
    rest = grave.operations.audit_log(2, before=first[-1].id)
    assert [len(first), len(rest)] == [2, 1]
    assert first[0].id > first[1].id > rest[0].id


def test_whoever_acts_on_an_id_that_no_column_holds_is_in_the_audit_log_all_the_same(
    store: redis.Redis, any_database: Database
) -> None:
    queue = "a\0" + "b" * 300
    Operations(store, [queue], any_database).pause(queue, "c" * 300)
    (entry,) = Operations(store, [queue], any_database).audit_log(1)
    assert (entry.by, entry.target) == ("c" * 200, "a\ufffd" + "b" * 198)


def test_one_queue_is_what_it_is_among_all(grave: Grave) -> None:
    assert [grave.operations.queue("users")._replace(oldest_age_s=0)] == [
        state._replace(oldest_age_s=0) for state in grave.operations.queues()
    ]


@pytest.mark.parametrize("cursor", ["", "x", "1", "-1.a", "nan.a", "1" * 40 + ".a"])
def test_a_cursor_that_no_listing_ended_with_is_refused(grave: Grave, cursor: str) -> None:
    with pytest.raises(RefusedError, match="the cursor is not one"):
        grave.operations.dead(Filter(), limit=1, cursor=cursor)


def test_what_is_not_there_is_said_in_a_sentence(grave: Grave) -> None:
    with pytest.raises(NotFoundError, match="there is no queue 'post'; these are: users"):
        grave.operations.queue("post")
    with pytest.raises(NotFoundError, match="there is no queue 'post'; these are: users"):
        grave.operations.start_bulk("retry", Filter("post"), 0, "cli:op")
    with pytest.raises(NotFoundError, match="there is no queue 'post'; these are: users"):
        grave.operations.pause("post", "cli:op")
    with pytest.raises(NotFoundError, match="there is no dead letter 'x'"):
        grave.operations.retry("x", "cli:op")
