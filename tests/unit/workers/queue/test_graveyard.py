from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
import redis

from tests.builders import Told, an_event, buried, waiting
from tests.servers import eventually
from workers.errors import PermanentError
from workers.event import Event, Route
from workers.queue import graveyard as module
from workers.queue.encoding import decode
from workers.queue.graveyard import Filter, Found, Graveyard, event_of
from workers.queue.publisher import Publisher

CREATE, GREET = Route("users.create", "users"), Route("email.deliver", "email")
ROUTES = {"user.signed_up": (CREATE,), "user.created": (GREET,)}

Die = Callable[..., Event]


@pytest.fixture
def die(store: redis.Redis) -> Die:
    """Publishes an event whose only attempt fails for good."""
    told, publisher = Told(store, ROUTES), Publisher(store, ROUTES)

    def die(type_: str = "user.signed_up", error: Exception | None = None, **attributes: Any) -> Event:
        event = an_event(type_, **attributes)
        publisher.publish(event)
        told.attempt(event, ROUTES[type_][0], error or PermanentError("never"))
        return event

    return die


@pytest.fixture
def graveyard(store: redis.Redis) -> Graveyard:
    return Graveyard(store, ["users", "email"])


def a_message(**kwargs: Any) -> dramatiq.Message[Any]:
    return dramatiq.Message(queue_name="users", actor_name="note", args=(), kwargs=kwargs, options={})


def ids(found: list[Found]) -> list[str]:
    return [event.id for each in found if (event := event_of(each.letter)) is not None]


def only(graveyard: Graveyard) -> Found:
    (found,) = graveyard.search(Filter())
    return found


def test_there_are_no_letters_before_anything_died(graveyard: Graveyard) -> None:
    assert (list(graveyard.search(Filter())), graveyard.count(Filter()), graveyard.groups()) == ([], 0, [])


def test_a_letter_tells_what_died_where_of_what_and_when(graveyard: Graveyard, die: Die) -> None:
    event = die(data={"email": "ada@example.org"})
    letter = only(graveyard).letter
    assert (letter.queue, letter.actor, letter.reason) == ("users", "users.create", "permanent")
    assert event_of(letter) == event
    (attempt,) = letter.body["attempts"]
    assert (attempt["number"], attempt["type"], attempt["message"]) == (1, "PermanentError", "never")
    assert "PermanentError: never" in attempt["traceback"]
    found = graveyard.find(letter.id)
    assert found is not None
    assert found.letter == letter


def test_letters_come_newest_first_over_all_queues_page_by_page(graveyard: Graveyard, die: Die) -> None:
    died = [die("user.signed_up" if number % 3 else "user.created").id for number in range(9)]
    listed: list[str] = []
    cursor = None
    for _ in range(5):
        page = [found for found, _ in zip(graveyard.search(Filter(), cursor), range(2), strict=False)]
        listed += ids(page)
        cursor = page[-1].cursor
    assert sorted(listed) == sorted(died)
    moments = [found.died_ms for found in graveyard.search(Filter())]
    assert moments == sorted(moments, reverse=True)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), 3),
        (Filter(queue="email"), 1),
        (Filter(actor="users.create"), 2),
        (Filter(reason="permanent"), 3),
        (Filter(reason="failed"), 0),
        (Filter(error="NEVER"), 2),
        (Filter(error="permanenterror: no"), 1),
        (Filter(queue="users", error="no such"), 1),
        (Filter(since_ms=2**53), 0),
        (Filter(until_ms=1), 0),
    ],
)
def test_a_filter_finds_and_counts_the_same(graveyard: Graveyard, die: Die, wanted: Filter, expected: int) -> None:
    die()
    die(error=PermanentError("no such user"))
    die("user.created")
    assert (len(list(graveyard.search(wanted))), graveyard.count(wanted)) == (expected, expected)


def test_letters_of_one_cause_share_a_fingerprint(graveyard: Graveyard, die: Die) -> None:
    die(error=PermanentError("no user 1"))
    die(error=PermanentError("no user 2"))
    die("user.created")
    prints = [found.letter.fingerprint for found in graveyard.search(Filter(actor="users.create"))]
    assert len(set(prints)) == 1
    assert graveyard.count(Filter(fingerprint=prints[0])) == 2
    assert ("users", f"fingerprint|{prints[0]}", 2) in graveyard.groups()


def test_a_retry_gives_a_message_a_new_life_and_counts_its_attempts_on(
    store: redis.Redis, graveyard: Graveyard, die: Die
) -> None:
    event = die()
    letter = only(graveyard).letter
    assert graveyard.retry(letter)
    assert (waiting(store, "users"), list(graveyard.search(Filter())), graveyard.groups()) == ([event], [], [])
    told = Told(store, ROUTES)
    eventually(lambda: told.attempt(event, CREATE, PermanentError("again")) or True)
    assert [attempt["number"] for attempt in only(graveyard).letter.body["attempts"]] == [2]
    assert only(graveyard).letter.id == letter.id


def test_of_two_operators_one_acts(store: redis.Redis, graveyard: Graveyard, die: Die) -> None:
    die()
    letter = only(graveyard).letter
    assert (graveyard.retry(letter), graveyard.retry(letter), graveyard.discard(letter)) == (True, False, False)
    assert len(waiting(store, "users")) == 1


def test_a_discarded_letter_is_gone_with_its_marks_in_every_index(graveyard: Graveyard, die: Die) -> None:
    die()
    letter = only(graveyard).letter
    assert graveyard.discard(letter)
    for wanted in (Filter(), Filter(actor=letter.actor), Filter(reason=letter.reason), Filter(error="never")):
        assert graveyard.count(wanted) == 0
    assert (graveyard.find(letter.id), graveyard.groups()) == (None, [])


def test_an_edited_message_has_the_new_data_and_the_original_beside_it(
    store: redis.Redis, graveyard: Graveyard, die: Die
) -> None:
    die(data={"email": "ada@"})
    assert graveyard.retry(only(graveyard).letter, edited={"email": "ada@example.org"}, by="cli:op")
    ((_, fields),) = store.xrange("luna:{users}:stream")
    message = decode(fields[b"m"])
    assert message.kwargs["event"]["data"] == {"email": "ada@example.org"}
    assert message.options["edited"]["original"] == {"email": "ada@"}
    assert message.options["edited"]["by"] == "cli:op"


def test_only_what_died_before_then_is_purged(graveyard: Graveyard, die: Die) -> None:
    die()
    died_ms = only(graveyard).died_ms
    assert graveyard.purge(died_ms) == 0
    assert graveyard.purge(died_ms + 1) == 1
    assert graveyard.count(Filter()) == 0


def test_an_argument_that_is_only_called_event_hinders_neither_edit_nor_retry_nor_purge(
    store: redis.Redis, graveyard: Graveyard
) -> None:
    message = a_message(event={"id": "no envelope"})
    for act in (graveyard.discard, graveyard.retry, lambda letter: graveyard.retry(letter, edited={"event": {}})):
        buried(store, message, ValueError("no"))
        assert act(only(graveyard).letter)
        store.delete("luna:{users}:stream")
    buried(store, message, ValueError("no"))
    assert graveyard.purge(2**53) == 1


def test_a_message_that_was_stored_twice_and_dies_twice_leaves_two_letters(
    store: redis.Redis, graveyard: Graveyard
) -> None:
    message = a_message()
    buried(store, message, ValueError("first"))
    buried(store, message, TypeError("second"))
    second, first = graveyard.search(Filter())
    assert (graveyard.count(Filter(fingerprint=first.letter.fingerprint)), first.letter.id) == (1, message.message_id)
    found = graveyard.find(second.letter.id)
    assert found is not None
    assert found.letter.body["attempts"][-1]["type"] == "TypeError"
    assert graveyard.purge(2**53) == 2
    assert graveyard.groups() == []


def test_what_died_again_of_another_cause_is_not_taken_for_what_was_seen(
    store: redis.Redis, graveyard: Graveyard
) -> None:
    message = a_message()
    buried(store, message, ValueError("seen"))
    seen = only(graveyard).letter
    assert graveyard.discard(seen)
    buried(store, message, TypeError("not seen"))
    assert not graveyard.discard(seen)
    assert graveyard.discard(only(graveyard).letter)
    assert graveyard.groups() == []


@pytest.fixture
def eleven(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters on several pages, each of which died in a millisecond of its own."""
    monkeypatch.setattr(module, "PAGE", 4)
    for number in range(11):
        buried(store, a_message(), ValueError("no"))
        (name,) = store.zrange("luna:{users}:dead", -1, -1)
        store.zadd("luna:{users}:dead", {name: number + 1})


@pytest.mark.usefixtures("eleven")
def test_a_listing_misses_nothing_when_letters_go_while_it_is_read(graveyard: Graveyard) -> None:
    assert sum(graveyard.discard(found.letter) for found in graveyard.search(Filter())) == 11


@pytest.mark.usefixtures("eleven")
def test_more_letters_of_one_millisecond_than_a_page_holds_are_all_listed_once(
    store: redis.Redis, graveyard: Graveyard
) -> None:
    store.zadd("luna:{users}:dead", dict.fromkeys(store.zrange("luna:{users}:dead", 2, -1), 3))
    listed = [found.letter.id for found in graveyard.search(Filter())]
    assert (len(listed), len(set(listed))) == (11, 11)
