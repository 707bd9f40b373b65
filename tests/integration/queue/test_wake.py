"""Promise 7: a worker wakes on arrival, because it blocks on the stream; nothing polls."""

from __future__ import annotations

import threading
import time

import dramatiq
import redis

from tests.queues import working
from tests.servers import eventually
from workers.queue.broker import StreamsBroker


def reads(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_xreadgroup", {}).get("calls", 0))


def blocked(client: redis.Redis) -> int:
    return int(client.info("clients")["blocked_clients"])


def test_an_idle_worker_blocks_on_its_queue(broker: StreamsBroker, client: redis.Redis) -> None:
    @dramatiq.actor(broker=broker)
    def nothing() -> None: ...

    with working(broker, timeout_ms=1000):
        eventually(lambda: blocked(client) == 1)
        client.config_resetstat()
        until = time.monotonic() + 2
        seen = []
        eventually(lambda: seen.append(blocked(client)) or time.monotonic() > until)
        assert sum(seen) > 0.8 * len(seen)
        assert reads(client) < 20  # each ends twice a second, for a look at delayed and abandoned messages


def test_a_message_for_an_idle_worker_is_picked_up_at_once(broker: StreamsBroker, client: redis.Redis) -> None:
    arrived, took = threading.Event(), []

    @dramatiq.actor(broker=broker)
    def note() -> None:
        arrived.set()

    with working(broker):
        for _ in range(20):
            eventually(lambda: blocked(client) == 1)
            arrived.clear()
            sent = time.monotonic()
            note.send()
            assert arrived.wait(5)
            took.append(time.monotonic() - sent)
    assert sorted(took)[10] < 0.05
