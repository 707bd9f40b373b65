"""Promise 9: nothing poisons its neighbours."""

from __future__ import annotations

import base64
import json
from typing import Any

import dramatiq
import pytest
import redis

from tests.queues import Log, add, empty, letters, message, working
from tests.servers import eventually
from workers import keys
from workers.queue.broker import StreamsBroker


@pytest.fixture
def note(broker: StreamsBroker, log: Log) -> dramatiq.Actor[[str], None]:
    @dramatiq.actor(broker=broker, actor_name="note")
    def note(line: str) -> None:
        log.add(line)

    return note


def fields(**changes: Any) -> bytes:
    return json.dumps({**message("note", "x").asdict(), **changes}).encode()


MISSHAPEN = {
    "no JSON": b"\xff\x00 no message",
    "not an object": b"[]",
    "nested without end": b"[" * 100_000,
    "fields missing": b'{"actor_name": "note"}',
    "options null": fields(options=None),
    "options a list": fields(options=[]),
    "kwargs a string": fields(kwargs="abc"),
    "actor name no string": fields(actor_name=["note"]),
    "message id no string": fields(message_id=None),
    "timestamp no number": fields(message_timestamp="soon"),
    "retries no number": fields(options={"retries": "many"}),
    "attempts no list": fields(options={"attempts": 3}),
    "earlier attempts no number": fields(options={"attempts_before": "many"}),
    "actor name no text": fields(actor_name="\ud800"),
    "message id no text": fields(message_id="\ud800"),
}


@pytest.mark.parametrize("payload", MISSHAPEN.values(), ids=MISSHAPEN.keys())
def test_an_entry_that_is_no_message_is_a_dead_letter_with_its_bytes(
    broker: StreamsBroker, client: redis.Redis, log: Log, note: dramatiq.Actor[[str], None], payload: bytes
) -> None:
    note.send("before")
    add(client, payload)
    note.send("after")
    with working(broker):
        log.holds("before", "after", within=2)
        (letter,) = eventually(lambda: letters(client), within=2)
        eventually(lambda: empty(client), within=2)
    assert letter["reason"] == "undecodable"
    assert base64.b64decode(letter["raw"]) == payload


def test_an_entry_without_the_field_of_a_message_does_not_orphan_those_read_with_it(
    broker: StreamsBroker, client: redis.Redis, log: Log, note: dramatiq.Actor[[str], None]
) -> None:
    note.send("before")
    client.xadd(keys.stream("default"), {"other": b"thing"})
    note.send("after")
    with working(broker, threads=8):
        log.holds("before", "after", within=1)
        (letter,) = eventually(lambda: letters(client))
    assert base64.b64decode(letter["raw"]) == b"thing"


def test_a_message_that_names_another_queue_runs_where_it_lies(
    broker: StreamsBroker, client: redis.Redis, log: Log, note: dramatiq.Actor[[str], None]
) -> None:
    add(client, message("note", "astray", queue="elsewhere").encode())
    with working(broker, threads=1):
        log.holds("astray", within=2)
        note.send("next")
        log.holds("next", within=2)
        eventually(lambda: empty(client))


@pytest.mark.parametrize(
    "options", [{"eta": 2**60}, {"eta": "never"}, {"throws": "Error"}, {"throws": ["Error"]}], ids=str
)
def test_options_smuggled_in_neither_keep_a_message_back_nor_stop_a_thread(
    broker: StreamsBroker, client: redis.Redis, log: Log, options: dict[str, Any]
) -> None:
    @dramatiq.actor(broker=broker, actor_name="fail", max_retries=0)
    def fail(line: str) -> None:
        log.add(line)
        raise RuntimeError(line)

    add(client, message("fail", "smuggled", **options).encode())
    with working(broker, threads=1):
        log.holds("smuggled", within=2)
        fail.send("next")
        log.holds("next", within=2)
        eventually(lambda: len(letters(client)) == 2)


def test_a_message_whose_hook_cannot_decide_is_a_dead_letter_not_done(
    broker: StreamsBroker, client: redis.Redis
) -> None:
    @dramatiq.actor(broker=broker, actor_name="fail")
    def fail() -> None:
        raise RuntimeError("no")

    add(client, message("fail", max_retries="many").encode())  # Retries raises TypeError, which Dramatiq swallows
    with working(broker):
        (letter,) = eventually(lambda: letters(client), within=2)
    assert letter["attempts"][-1]["type"] == "RuntimeError"
