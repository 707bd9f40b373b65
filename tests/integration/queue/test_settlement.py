"""Promise 3: settling is one atomic, fenced step."""

from __future__ import annotations

import logging
import threading
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Broker, Middleware
from dramatiq.broker import MessageProxy

from tests.queues import Brokers, Log, add, empty, letters, message, pending, working
from tests.servers import eventually
from workers import keys
from workers.queue.broker import StreamsBroker
from workers.queue.scripts import SETTLE


def test_done_leaves_neither_entry_nor_pending(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)

    note.send("a")
    with working(broker):
        log.holds("a")
        eventually(lambda: empty(client))
        assert sum(pending(client).values()) == 0
    assert not letters(client)


def test_counts_of_what_was_settled_are_kept_for_two_minutes_on_a_queue_that_never_rests(
    broker: StreamsBroker, client: redis.Redis, log: Log
) -> None:
    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)

    now = client.time()[0] // 10
    client.hset(keys.settled("default"), mapping={str(now - age): 1 for age in (*range(5, 30), -1000)})
    note.send("a")
    with working(broker):
        eventually(lambda: empty(client))
    kept = [int(tick) for tick in client.hkeys(keys.settled("default"))]
    assert now - 13 <= min(kept) <= now - 5
    assert max(kept) <= now + 1


@pytest.mark.parametrize("fate", ["done", "again", "dead"])
def test_a_late_owner_changes_nothing(broker: StreamsBroker, client: redis.Redis, log: Log, fate: str) -> None:
    go = threading.Event()

    @dramatiq.actor(broker=broker, max_retries=0 if fate == "dead" else 1)
    def late() -> None:
        log.add("begun")
        go.wait(20)
        if fate != "done":
            raise RuntimeError(fate)

    late.send()
    with working(broker, threads=1):
        log.holds("begun")
        ((entry_id, _),) = client.xrange(keys.stream("default"))
        client.xclaim(keys.stream("default"), "workers", "thief", 0, [entry_id])
        go.set()
        late.send()
        eventually(lambda: log.lines.count("begun") == 2)  # the thread is through with the first
    assert pending(client)["thief"] == 1
    assert client.xrange(keys.stream("default"), entry_id, entry_id)
    assert client.zcard(keys.delayed("default")) <= 1  # the second's at most
    assert len(letters(client)) <= 1


def test_one_whose_ownership_is_known_to_be_lost_is_not_settled(
    new_broker: Brokers, client: redis.Redis, log: Log
) -> None:
    broker, go = new_broker(lease_s=0.5), threading.Event()

    @dramatiq.actor(broker=broker)
    def late() -> None:
        log.add("begun")
        go.wait(20)

    late.send()
    with working(broker, threads=1):
        log.holds("begun")
        client.set(keys.paused("default"), "so that it is not taken over")
        ((entry_id, _),) = client.xrange(keys.stream("default"))
        client.xclaim(keys.stream("default"), "workers", "thief", 0, [entry_id])
        (delivery,) = broker.running.values()
        eventually(lambda: delivery.lost, what="news of the loss")
        go.set()
        eventually(lambda: not broker.running)
    assert pending(client)["thief"] == 1


def test_one_lost_before_it_began_does_not_run_here(new_broker: Brokers, client: redis.Redis, log: Log) -> None:
    broker, go = new_broker(lease_s=0.5), threading.Event()

    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)
        go.wait(20)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dramatiq.worker.QUEUE_PREFETCH", 2)
        note.send("first")
        note.send("second")
        with working(broker, threads=1):
            log.holds("first")
            client.set(keys.paused("default"), "so that it is not taken over")
            (lane,) = broker.workplace.lanes.values()
            second = eventually(lambda: [d for d in lane._held.values() if d and d.args == ("second",)])[0]  # noqa: SLF001
            client.xclaim(keys.stream("default"), "workers", "thief", 0, [second.entry_id])
            eventually(lambda: second.lost)
            go.set()
            eventually(lambda: not lane._held)  # noqa: SLF001
    assert log.lines == ["first"]


def test_a_settlement_sent_twice_changes_nothing_the_second_time(store: redis.Redis) -> None:
    stream = keys.stream("q")
    store.xgroup_create(stream, "workers", "0", mkstream=True)
    entry_id = add(store, b"x", "q")
    store.xreadgroup("workers", "me", {stream: ">"})
    names = [stream, keys.delayed("q"), keys.delayed_messages("q"), keys.settled("q")]
    for delay in (0, 60_000):
        call = ["me", 60, entry_id, delay, b"again", 0]
        assert SETTLE.run(store, names, call) == [1]
        assert SETTLE.run(store, names, call) == [0]
        assert store.xlen(stream) + store.zcard(keys.delayed("q")) == 1
        ((_, [(again, _)]),) = store.xreadgroup("workers", "me", {stream: ">"}) or [(None, [(b"0-0", None)])]
        entry_id = again.decode()


def test_a_dead_letter_is_written_only_by_the_owner_and_once(
    broker: StreamsBroker, client: redis.Redis, log: Log
) -> None:
    @dramatiq.actor(broker=broker, max_retries=0)
    def fail() -> None:
        log.add("run")
        raise RuntimeError("no")

    fail.send()
    with working(broker):
        eventually(lambda: letters(client))
        eventually(lambda: empty(client))
    assert client.hgetall(keys.dead_counts("default"))[b"reason|failed"] == b"1"
    assert len(letters(client)) == 1


class Confirmations(Middleware):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def after_ack(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        self.seen.append(f"ack {message.actor_name}")

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        self.seen.append(f"nack {message.actor_name} {message._exception!r}")  # noqa: SLF001


def test_after_ack_and_after_nack_follow_a_confirmed_settlement_only(
    new_broker: Brokers, client: redis.Redis, log: Log
) -> None:
    confirmations = Confirmations()
    broker = new_broker(confirmations)

    @dramatiq.actor(broker=broker, max_retries=0)
    def work(fate: str) -> None:
        log.add(fate)
        if fate == "stolen":
            ((entry_id, _),) = client.xrange(keys.stream("default"))
            client.xclaim(keys.stream("default"), "workers", "thief", 0, [entry_id])
        if fate == "failed":
            raise RuntimeError("no")

    with working(broker, threads=1):
        for fate in ("done", "failed"):
            work.send(fate)
            eventually(lambda: empty(client))
        eventually(lambda: confirmations.seen == ["ack work", "nack work RuntimeError('no')"])
        work.send("stolen")
        log.holds("stolen")
    assert len(confirmations.seen) == 2


UNWRITABLE: dict[str, Any] = {"a lone surrogate": "\ud800", "a number over 64 bits": 2**70}


@pytest.mark.parametrize("argument", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_what_a_letter_cannot_hold_is_kept_as_bytes(
    broker: StreamsBroker, client: redis.Redis, argument: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="dramatiq")  # it logs the argument, which not every report can hold

    @dramatiq.actor(broker=broker, max_retries=1)
    def fail(value: Any) -> None:
        raise RuntimeError(f"no: {value}")

    fail.send(argument)
    with working(broker):
        (letter,) = eventually(lambda: letters(client), within=5)
        eventually(lambda: empty(client))
    assert letter["actor"] == "fail"
    assert letter["raw"]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("not even that")


def test_an_error_that_cannot_be_printed_is_an_error_like_any_other(broker: StreamsBroker, client: redis.Redis) -> None:
    @dramatiq.actor(broker=broker, max_retries=1)
    def fail() -> None:
        raise UnprintableError

    fail.send()
    with working(broker, threads=1):
        (letter,) = eventually(lambda: letters(client), within=5)
    assert [attempt["type"] for attempt in letter["attempts"]] == ["UnprintableError"] * 2


def test_an_argument_called_event_need_not_be_an_envelope(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    @dramatiq.actor(broker=broker, max_retries=0)
    def on(event: dict[str, str]) -> None:
        log.add(event["name"])
        raise RuntimeError(event["name"])

    on.send(event={"name": "a"})
    with working(broker):
        eventually(lambda: letters(client), within=3)
        eventually(lambda: empty(client))
    assert log.lines == ["a"]


def test_one_settlement_that_cannot_be_written_leaves_its_neighbours_settled(
    broker: StreamsBroker, client: redis.Redis, log: Log
) -> None:
    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)

    go = threading.Event()

    class Spoil(Middleware):
        def after_process_message(
            self,
            broker: Broker,
            message: MessageProxy,
            *,
            result: Any = None,  # noqa: ARG002
            exception: BaseException | None = None,  # noqa: ARG002
        ) -> None:
            if message.args == ("spoilt",):
                message.options["object"] = object()
                broker.enqueue(message, delay=60_000)  # type: ignore[arg-type]  # a proxy stands for its message
            go.wait(20)

    broker.add_middleware(Spoil())
    for line in ("a", "spoilt", "b"):
        broker.enqueue(message("note", line))
    with working(broker, threads=3):
        log.holds("a", "spoilt", "b")
        settle = broker.workplace.settler.settle
        waiting: list[Any] = []
        broker.workplace.settler.settle = waiting.append  # type: ignore[method-assign]
        go.set()
        eventually(lambda: len(waiting) == 3)
        broker.workplace.settler._waiting.extend(waiting[:-1])  # noqa: SLF001  all three are settled in one call
        settle(waiting[-1])
        eventually(lambda: client.xlen(keys.stream("default")) <= 1, within=3)
