"""Promise 3: pipelines, callbacks and what else hooks enqueue are stored before the message is settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Message
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import StubBackend

from tests.queues import Brokers, Log, Process, empty, message, pending, working
from tests.servers import Valkey, eventually
from workers import keys
from workers.queue.broker import StreamsBroker


def declare(broker: StreamsBroker, log: Log) -> None:
    @dramatiq.actor(broker=broker, queue_name="next")
    def follow(*_: Any) -> None:
        log.add("follow")

    @dramatiq.actor(broker=broker)
    def first() -> None:
        log.add("first")

    @dramatiq.actor(broker=broker, max_retries=0, on_retry_exhausted="follow")
    def fail() -> None:
        log.add("first")
        raise RuntimeError("no")


def group_of_one() -> Message[Any]:
    callback = message("follow", queue="next").asdict()
    return message("first", group_completion_uuid="g", group_completion_callbacks=[callback])


FOLLOWED: dict[str, Callable[[], Message[Any]]] = {
    "a pipeline": lambda: message("first", pipe_target=message("follow", queue="next").asdict()),
    "a delayed pipeline": lambda: message("first", pipe_target=message("follow", queue="next", delay=1).asdict()),
    "on_success": lambda: message("first", on_success="follow"),
    "on_failure": lambda: message("fail", on_failure="follow"),
    "on_retry_exhausted": lambda: message("fail"),
    "a group callback": group_of_one,
}


@pytest.mark.parametrize("followed_by", FOLLOWED.values(), ids=FOLLOWED.keys())
def test_while_what_follows_cannot_be_stored_the_message_is_not_settled(
    new_broker: Brokers, client: redis.Redis, log: Log, followed_by: Callable[[], Message[Any]]
) -> None:
    barrier = StubBackend()
    barrier.add("g", 1, 60_000)
    broker = new_broker(GroupCallbacks(barrier))
    declare(broker, log)
    for name in (keys.stream("next"), keys.delayed_messages("next")):
        client.set(name, "no stream, no hash: the server refuses the write")
    broker.enqueue(followed_by())
    with working(broker, queues={"default"}):
        log.holds("first")
        settler = broker.workplace.settler
        tries = _count_tries(settler)
        eventually(lambda: len(tries) >= 2, what="another try")
        assert sum(pending(client).values()) == 1
        client.delete(keys.stream("next"), keys.delayed_messages("next"))
        eventually(lambda: empty(client))
    assert client.xlen(keys.stream("next")) + client.zcard(keys.delayed("next")) >= 1
    with working(broker):
        log.holds("follow")
    assert log.lines.count("first") == 1


def _count_tries(settler: Any) -> list[str]:
    tries: list[str] = []
    store = settler._store  # noqa: SLF001

    def counted(*outgoing: Any) -> None:
        tries.append("try")
        store(*outgoing)

    settler._store = counted  # noqa: SLF001
    return tries


def test_what_is_stored_is_not_stored_again_when_the_next_cannot_be(
    broker: StreamsBroker, client: redis.Redis, log: Log
) -> None:
    declare(broker, log)
    broker.declare_queue("stored")
    client.set(keys.stream("next"), "no stream: the server refuses the write")
    stored = message("follow", queue="stored").asdict()
    broker.enqueue(message("first", pipe_target=stored, on_success="follow"))
    with working(broker, queues={"default"}):
        log.holds("first")
        tries = _count_tries(broker.workplace.settler)
        eventually(lambda: len(tries) >= 4, what="more tries")
        assert client.xlen(keys.stream("stored")) == 1
        client.delete(keys.stream("next"))
        eventually(lambda: empty(client))
    assert client.xlen(keys.stream("stored")) == 1


def test_a_kill_after_what_follows_is_stored_leaves_both(valkey: Valkey, client: redis.Redis) -> None:
    client.set("die before settling", "1")
    follow = message("note", "follow")
    client.xadd(keys.stream("default"), {"m": message("note", "first", pipe_target=follow.asdict()).encode()})
    with Process(valkey) as process:
        eventually(lambda: process.ended)
    stored = [Message.decode(fields[b"m"]).args for _, fields in client.xrange(keys.stream("default"))]
    assert ("first",) in stored
    assert ("follow", None) in stored
