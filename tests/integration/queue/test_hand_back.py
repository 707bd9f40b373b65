"""Promises 4 and 11: what was read and not begun is not kept from others, nor run while the queue is paused."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import dramatiq
import pytest
import redis

from tests.queues import Brokers, Log, working
from tests.servers import eventually
from workers import keys
from workers.queue import inspection, lane
from workers.queue.broker import StreamsBroker

NOTES = 5


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Lets the long actor end; opened at the latest when the test ends."""
    gate = threading.Event()
    yield gate
    gate.set()


def declare(broker: StreamsBroker, log: Log, gate: threading.Event, name: str) -> None:
    @dramatiq.actor(broker=broker)
    def quick() -> None: ...

    @dramatiq.actor(broker=broker)
    def long() -> None:
        log.add("long")
        gate.wait(60)

    @dramatiq.actor(broker=broker)
    def note(number: int) -> None:
        log.add(f"{number} by {name}")


def behind_a_long_run(broker: StreamsBroker, log: Log) -> None:
    """Many quick messages widen the window; then a long one begins, and others wait behind it in this process."""
    broker.enqueue_many([broker.actors["quick"].message() for _ in range(500)])
    broker.join("default", timeout=20_000)
    broker.actors["long"].send()
    log.holds("long")
    for number in range(NOTES):
        broker.actors["note"].send(number)


def test_what_waits_behind_a_long_run_is_handed_back_to_a_worker_with_time(
    new_broker: Brokers, log: Log, gate: threading.Event
) -> None:
    one, other = new_broker(lease_s=30), new_broker(lease_s=30)
    declare(one, log, gate, "one")
    declare(other, log, gate, "other")
    with working(one, threads=1):
        behind_a_long_run(one, log)
        eventually(lambda: one.workplace.lanes["default"]._waiting > 1, within=5)  # noqa: SLF001
        with working(other, threads=1):
            log.holds(*(f"{number} by other" for number in range(NOTES)))
        gate.set()


def test_what_was_read_and_not_begun_does_not_run_while_the_queue_is_paused(
    broker: StreamsBroker, client: redis.Redis, log: Log, gate: threading.Event
) -> None:
    declare(broker, log, gate, "one")
    with working(broker, threads=1):
        behind_a_long_run(broker, log)
        inspection.pause(client, "default", "test")
        eventually(lambda: client.xpending(keys.stream("default"), "workers")["pending"] >= 1)
        eventually(lambda: broker.workplace.lanes["default"].paused)
        gate.set()
        eventually(lambda: not broker.running)
        assert log.lines == ["long"]
        inspection.resume(client, "default")
        log.holds(*(f"{number} by one" for number in range(NOTES)))


def test_what_comes_after_an_idle_time_is_run_and_not_handed_back(
    broker: StreamsBroker, log: Log, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "STALLED_S", 0.05)
    declare(broker, log, gate, "one")
    handed_back: list[int] = []
    with working(broker, threads=2):
        eventually(lambda: "default" in broker.workplace.lanes)
        monkeypatch.setattr(broker.workplace.lanes["default"], "_hand_back", lambda: handed_back.append(1))
        for number in range(10):
            idle_until = time.monotonic() + 0.15
            eventually(lambda until=idle_until: time.monotonic() > until)
            broker.actors["note"].send(number)
            log.holds(f"{number} by one")
    assert handed_back == []
