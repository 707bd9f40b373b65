"""Promise 4: a killed worker's messages are back in bounded time, and a living one's stay its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import dramatiq
import pytest
import redis

from tests.queues import Brokers, Log, Process, add, empty, message, pending, working
from tests.servers import Valkey, eventually
from workers import keys
from workers.queue.lane import Lane
from workers.queue.scripts import SWEEP


def test_an_actor_that_runs_much_longer_than_the_lease_is_not_taken_over_nor_are_those_prefetched(
    new_broker: Brokers, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dramatiq.worker.QUEUE_PREFETCH", 3)
    one, other = new_broker(lease_s=0.6), new_broker(lease_s=0.6)
    for broker, name in ((one, "one"), (other, "other")):
        dramatiq.actor(_runs_long(log, name), broker=broker, actor_name="long")
    for _ in range(3):
        one.enqueue(message("long"))
    with working(one, threads=1):
        log.holds("begin one")
        (lane,) = one.workplace.lanes.values()
        eventually(lambda: len(lane._held) == 3)  # noqa: SLF001
        with working(other, threads=1):
            eventually(lambda: log.lines.count("end one") == 3)
    assert log.lines == ["begin one", "end one"] * 3


def _runs_long(log: Log, name: str) -> Callable[[], None]:
    def long() -> None:
        log.add(f"begin {name}")
        until = time.monotonic() + 1.5
        eventually(lambda: time.monotonic() > until)
        log.add(f"end {name}")

    return long


@pytest.mark.parametrize("number", range(3))
def test_after_a_kill_another_worker_takes_over_within_the_lease_and_a_second(
    valkey: Valkey, client: redis.Redis, log: Log, number: int
) -> None:
    with Process(valkey, threads=2, lease_s=2) as victim:
        for name in ("a", "b"):
            add(client, message("hold", f"{name}{number}").encode())
        log.holds(f"begin a{number}", f"begin b{number}")
        with Process(valkey, threads=2, lease_s=2):
            eventually(lambda: len(pending(client)) == 2)
            victim.kill()
            killed = time.monotonic()
            eventually(lambda: len(log.lines) == 4, every=0.01, within=2 + 1 + 0.5, what="the takeover")
            assert time.monotonic() - killed < 2 + 1 + 0.3  # the machine's own delays
            client.set("go", "1")
            eventually(lambda: empty(client))


def test_a_busy_worker_takes_over_before_it_reads_what_came_later(
    new_broker: Brokers, client: redis.Redis, log: Log
) -> None:
    broker = new_broker(lease_s=1)

    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        time.sleep(0.02)
        log.add(line)

    client.xgroup_create(keys.stream("default"), "workers", "0", mkstream=True)
    abandoned = [f"abandoned {number}" for number in range(3)]
    for line in abandoned:
        note.send(line)
    client.xreadgroup("workers", "dead", {keys.stream("default"): ">"})
    for number in range(400):  # 8 s of work
        note.send(f"later {number}")
    with working(broker, threads=1):
        log.holds(*abandoned)
        eventually(lambda: empty(client))
    assert max(log.lines.index(line) for line in abandoned) < 200  # lease and a second are 100 of them


def test_entries_of_a_reply_lost_in_transit_are_not_kept_alive(
    new_broker: Brokers, client: redis.Redis, log: Log
) -> None:
    broker = new_broker(lease_s=1)

    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)

    with working(broker):
        note.send("first")
        log.holds("first")
        # as the server sees it, this worker asked for an entry and was sent it
        client.set(keys.paused("default"), "so that it does not read")
        (lane,) = broker.workplace.lanes.values()
        eventually(lambda: lane.paused)
        note.send("lost")
        client.xreadgroup("workers", broker.workplace.consumer, {keys.stream("default"): ">"})
        client.delete(keys.paused("default"))
        log.holds("lost", within=3)
        eventually(lambda: empty(client))


def test_a_consumer_is_deleted_only_when_nothing_is_pending_on_it(store: redis.Redis) -> None:
    stream = keys.stream("q")
    store.xgroup_create(stream, "workers", "0", mkstream=True)
    for name in ("leaving", "holding"):
        add(store, b"x", "q")
        store.xreadgroup("workers", name, {stream: ">"}, count=1)
    ((entry_id, _), _) = store.xrange(stream)
    assert SWEEP.run(store, [stream], ["leaving", 0]) == 0
    store.xack(stream, "workers", entry_id)
    assert SWEEP.run(store, [stream], ["leaving", 3_600_000]) == 1
    assert set(pending(store, "q")) == {"holding"}


@pytest.mark.parametrize("loss", ["group destroyed", "scripts flushed", "stream deleted", "everything flushed"])
def test_what_is_sent_after_a_loss_on_the_server_arrives(
    new_broker: Brokers, client: redis.Redis, log: Log, loss: str
) -> None:
    broker = new_broker(lease_s=1)

    @dramatiq.actor(broker=broker, max_retries=1)
    def note(line: str) -> None:
        log.add(line)
        if line == "again" and log.lines.count("again") == 1:
            raise RuntimeError(line)

    with working(broker):
        note.send("before")
        log.holds("before")
        eventually(lambda: empty(client))
        if loss == "group destroyed":
            client.xgroup_destroy(keys.stream("default"), "workers")
        elif loss == "scripts flushed":
            client.script_flush()
        elif loss == "stream deleted":
            client.delete(keys.stream("default"))
        else:
            client.flushall()
        note.send("after")
        note.send("again")
        note.send_with_options(args=("delayed",), delay=10)
        log.holds("after", "again", "delayed", within=5)
        eventually(lambda: empty(client), within=5)


def test_a_lost_group_is_created_again_at_0_so_that_what_was_delivered_is_delivered_again(
    new_broker: Brokers, client: redis.Redis, log: Log
) -> None:
    broker, go = new_broker(lease_s=1), threading.Event()

    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)
        go.wait(20)

    with working(broker, threads=1):
        note.send("running")
        log.holds("running")
        note.send("waiting")
        client.xgroup_destroy(keys.stream("default"), "workers")
        go.set()
        log.holds("waiting", within=5)
        eventually(lambda: empty(client), within=5)


def test_a_lane_renews_no_entry_that_another_consumer_took(client: redis.Redis) -> None:
    lane = Lane(client, "default", "lane", 60_000)
    lane.open(8, 8)
    lane.read(0.01)
    entry_id = add(client, b"x")
    eventually(lambda: lane.read(0.05), every=0)
    client.xclaim(keys.stream("default"), "workers", "other", 0, [entry_id])
    lane.renew()
    assert pending(client) == {"lane": 0, "other": 1}
