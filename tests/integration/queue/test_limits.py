"""What the broker refuses, and how it shares work."""

from __future__ import annotations

import threading
import time

import dramatiq
import pytest
import redis
from dramatiq.errors import QueueNotFound

from tests.queues import Brokers, Log, empty, letters, message, pending, working
from tests.servers import eventually
from workers import keys
from workers.queue.broker import StreamsBroker
from workers.queue.limits import MAX_MESSAGE_BYTES, MessageTooLargeError


@pytest.mark.parametrize("delay", [None, 1000])
def test_an_oversized_message_is_refused_with_its_size(
    broker: StreamsBroker, client: redis.Redis, delay: int | None
) -> None:
    broker.declare_queue("default")
    large = message("note", "x" * MAX_MESSAGE_BYTES)
    with pytest.raises(MessageTooLargeError, match=f"note has {len(large.encode())} bytes; the limit is 262144"):
        broker.enqueue(large, delay=delay)
    assert empty(client)


def test_a_message_for_an_undeclared_queue_is_refused(broker: StreamsBroker, client: redis.Redis) -> None:
    for delay in (None, 1000):
        with pytest.raises(QueueNotFound):
            broker.enqueue(message("note", queue="nowhere"), delay=delay)
    with pytest.raises(QueueNotFound):
        broker.enqueue_many([message("note", queue="nowhere")])
    with pytest.raises(QueueNotFound):
        broker.consume("nowhere")
    assert not client.keys()


def test_a_pipeline_too_large_for_the_queue_makes_a_dead_letter(broker: StreamsBroker, client: redis.Redis) -> None:
    @dramatiq.actor(broker=broker)
    def swell() -> str:
        return "x" * MAX_MESSAGE_BYTES

    @dramatiq.actor(broker=broker)
    def follow(_: str) -> None: ...

    dramatiq.pipeline([swell.message(), follow.message()], broker=broker).run()
    with working(broker):
        (letter,) = eventually(lambda: letters(client))
    assert letter["attempts"][-1]["type"] == "MessageTooLargeError"


def test_a_slow_worker_does_not_keep_work_from_a_fast_one(new_broker: Brokers, client: redis.Redis, log: Log) -> None:
    slow, fast, go = new_broker(), new_broker(), threading.Event()

    @dramatiq.actor(broker=slow, actor_name="work")
    def slowly(_: int) -> None:
        log.add("slow")
        go.wait(20)

    @dramatiq.actor(broker=fast, actor_name="work")
    def quickly(_: int) -> None:
        log.add("fast")

    with working(slow, threads=2):
        slow.enqueue(message("work", 0))
        log.holds("slow")
        slow.enqueue_many([message("work", number) for number in range(500)])
        with working(fast, threads=2):
            eventually(lambda: log.lines.count("fast") == 499)
            assert sum(pending(client).values()) == 2
            go.set()
            eventually(lambda: empty(client))


def test_the_window_follows_the_pace(broker: StreamsBroker, client: redis.Redis) -> None:
    pace = [0.0]

    @dramatiq.actor(broker=broker)
    def work(_: int) -> None:
        until = time.monotonic() + pace[0]
        eventually(lambda: time.monotonic() >= until, every=0.001)

    broker.enqueue_many([work.message(number) for number in range(3000)])
    with working(broker, threads=2):
        (lane,) = eventually(lambda: list(broker.workplace.lanes.values()))
        widest = eventually(lambda: lane._window if lane._window > 8 else 0)  # noqa: SLF001
        pace[0] = 0.1
        eventually(lambda: lane._window == 2, what="a narrow window")  # noqa: SLF001
        pace[0] = 0.0
        eventually(lambda: client.xlen(keys.stream("default")) == 0)
    assert widest <= 256
