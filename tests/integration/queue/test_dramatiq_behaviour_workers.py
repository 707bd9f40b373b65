"""Dramatiq's own behaviour through this broker: limits, shutdown, pausing, several workers, asyncio."""

from __future__ import annotations

import asyncio
import threading
import time

import dramatiq
import pytest
import redis
from dramatiq.middleware import AsyncIO, Shutdown, TimeLimitExceeded
from dramatiq.worker import Worker

from tests.queues import Brokers, Log, empty, letters, message, pending, working
from tests.servers import eventually
from workers import keys
from workers.queue.broker import StreamsBroker


def spin(seconds: float) -> None:
    """Run in short steps: an interrupt is raised between two of them."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until, within=seconds + 1, every=0.005)


def test_a_time_limit_interrupts_an_actor_and_the_message_is_retried(
    broker: StreamsBroker, client: redis.Redis, log: Log
) -> None:
    @dramatiq.actor(broker=broker, time_limit=100, max_retries=1)
    def slow() -> None:
        try:
            spin(10)
        except TimeLimitExceeded:
            log.add("interrupted")
            raise

    broker.emit_after("process_boot")
    slow.send()
    with working(broker, threads=1):
        (letter,) = eventually(lambda: letters(client))
        eventually(lambda: empty(client))
    assert log.lines == ["interrupted"] * 2
    assert letter["attempts"][-1]["type"] == "TimeLimitExceeded"


def test_a_message_over_its_age_limit_does_not_run(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    @dramatiq.actor(broker=broker, max_age=50)
    def work() -> None:
        log.add("ran")

    sent = work.send()
    eventually(lambda: time.time() * 1000 > sent.message_timestamp + 60)
    with working(broker):
        (letter,) = eventually(lambda: letters(client))
    assert letter["reason"] == "expired"
    assert not log.lines


def test_a_shutdown_is_told_to_actors_that_ask_and_their_messages_run_again(
    broker: StreamsBroker, client: redis.Redis, log: Log
) -> None:
    @dramatiq.actor(broker=broker, notify_shutdown=True, max_retries=3)
    def long() -> None:
        try:  # around all of it: the main thread may see the line before this one goes on
            log.add("begin")
            if len(log.lines) == 1:
                spin(10)
        except Shutdown:
            log.add("told")
            raise

    broker.emit_after("process_boot")
    long.send()
    with working(broker):
        log.holds("begin")
    assert log.lines == ["begin", "told"]
    assert client.zcard(keys.delayed("default")) + client.xlen(keys.stream("default")) == 1
    with working(broker):
        eventually(lambda: empty(client))
    assert log.lines == ["begin", "told", "begin"]


def test_a_paused_worker_takes_nothing_and_goes_on_when_resumed(
    broker: StreamsBroker, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.05)

    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)

    with working(broker) as worker:
        note.send("before")
        log.holds("before")
        worker.pause()
        note.send("while paused")
        over = time.monotonic() + 0.7
        eventually(lambda: time.monotonic() > over)
        assert log.lines == ["before"]
        worker.resume()
        log.holds("while paused")


def test_several_workers_in_turn_on_one_broker(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)

    for number in range(4):
        with working(broker):
            note.send(f"now {number}")
            note.send_with_options(args=(f"delayed {number}",), delay=20)
            log.holds(f"now {number}", f"delayed {number}")
        assert empty(client)
        assert broker.workplace.consumer not in pending(client)
        assert not client.exists(keys.worker(broker.workplace.consumer))


def test_worker_join_waits_for_what_was_read(broker: StreamsBroker, log: Log) -> None:
    @dramatiq.actor(broker=broker)
    def note() -> None:
        spin(0.2)
        log.add("ran")

    note.send()
    with working(broker) as worker:
        broker.join("default", timeout=5000)
        worker.join()
    assert log.lines == ["ran"]


def test_async_actors(new_broker: Brokers, client: redis.Redis, log: Log) -> None:
    broker = new_broker(AsyncIO())
    both, arrived = threading.Event(), []

    @dramatiq.actor(broker=broker, max_retries=1)
    async def work(line: str) -> None:
        arrived.append(line)
        if len(arrived) == 2:
            both.set()
        await asyncio.to_thread(both.wait, 20)
        if line == "b" and arrived.count("b") == 1:
            raise RuntimeError(line)
        log.add(line)

    work.send("a")
    work.send("b")
    with working(broker, threads=2):
        log.holds("a", "b")
        eventually(lambda: empty(client))
    assert sorted(arrived) == ["a", "b", "b"]


def test_stopping_with_a_time_limit_leaves_what_still_runs_under_its_lease(
    new_broker: Brokers, client: redis.Redis, log: Log
) -> None:
    go, broker = threading.Event(), new_broker(lease_s=1)

    @dramatiq.actor(broker=broker)
    def hold() -> None:
        log.add("begin")
        go.wait(20)

    broker.enqueue(message("hold"))
    worker = Worker(broker, worker_threads=1, worker_timeout=50)
    worker.start()
    log.holds("begin")
    worker.stop(timeout=100)
    assert pending(client)[broker.workplace.consumer] == 1
    go.set()
    other = new_broker(lease_s=1)
    dramatiq.actor(lambda: log.add("again"), broker=other, actor_name="hold")
    with working(other):
        eventually(lambda: empty(client))
