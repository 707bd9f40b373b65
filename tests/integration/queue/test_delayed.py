"""Promise 6: delayed messages live in Redis, and a far one never blocks a near one."""

from __future__ import annotations

import time
from pathlib import Path

import dramatiq
import pytest
import redis

from tests.queues import Brokers, Log, Process, empty, message, working
from tests.servers import Valkey, eventually
from workers import keys
from workers.queue.broker import StreamsBroker

MANY = 100_000
DAY_MS = 24 * 3600 * 1000


def store_many(client: redis.Redis, due_ms: int) -> None:
    body = message("note", "far").encode()
    for first in range(0, MANY, 10_000):
        names = [f"far{number}" for number in range(first, first + 10_000)]
        pipeline = client.pipeline(transaction=False)
        pipeline.hset(keys.delayed_messages("default"), mapping=dict.fromkeys(names, body))
        pipeline.zadd(keys.delayed("default"), dict.fromkeys(names, due_ms))
        pipeline.execute()


def memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_a_hundred_thousand_cost_a_worker_no_memory_and_do_not_keep_a_near_one_back(
    valkey: Valkey, client: redis.Redis, log: Log, broker: StreamsBroker
) -> None:
    broker.declare_queue("default")
    with Process(valkey) as process:
        broker.enqueue(message("note", "warm"))
        log.holds("warm")
        before = memory_kib(process.pid)
        store_many(client, int(time.time() * 1000) + DAY_MS)
        broker.enqueue(message("note", "near"), delay=1)
        sent = time.monotonic()
        log.holds("near")
        assert time.monotonic() - sent < 1.3
        broker.enqueue(message("note", "far one"), delay=DAY_MS)
        broker.enqueue(message("note", "nearer"), delay=300)
        log.holds("nearer", within=2)
        assert memory_kib(process.pid) - before < 8 * 1024
    assert client.zcard(keys.delayed("default")) == MANY + 1
    assert client.hlen(keys.delayed_messages("default")) == MANY + 1


def test_they_run_in_the_order_in_which_they_are_due_and_never_before(broker: StreamsBroker, log: Log) -> None:
    ran: dict[str, float] = {}

    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        ran[line] = time.monotonic()
        log.add(line)

    sent = time.monotonic()
    for line, delay in (("c", 900), ("a", 300), ("b", 600)):
        note.send_with_options(args=(line,), delay=delay)
    with working(broker):
        log.holds("a", "b", "c")
    assert log.lines == ["a", "b", "c"]
    assert all(ran[line] - sent >= wait for line, wait in (("a", 0.29), ("b", 0.59), ("c", 0.89)))


def test_the_servers_clock_counts_not_the_workers(
    new_broker: Brokers, client: redis.Redis, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = new_broker()

    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)

    ahead = time.time() + 3600
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: ahead)
        note.send_with_options(args=("now",), delay=50)
    ((_, due_ms),) = client.zrange(keys.delayed("default"), 0, -1, withscores=True)
    seconds, micros = client.time()
    assert due_ms - (seconds * 1000 + micros / 1000) < 60
    with working(broker):
        log.holds("now", within=2)
        eventually(lambda: empty(client))
