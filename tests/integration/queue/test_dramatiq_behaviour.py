"""Dramatiq's own behaviour through this broker: actors, messages, priorities, hooks."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Broker, Message, Middleware
from dramatiq.broker import MessageProxy
from dramatiq.errors import ActorNotFound, QueueJoinTimeout, QueueNotFound
from dramatiq.middleware import CurrentMessage, SkipMessage

from tests.queues import Brokers, Log, empty, letters, message, working
from tests.servers import eventually
from workers import keys
from workers.queue.broker import StreamsBroker


def test_actors_and_queues_are_declared(broker: StreamsBroker) -> None:
    @dramatiq.actor(broker=broker, queue_name="mail", actor_name="mail.send")
    def send() -> None: ...

    assert broker.get_declared_actors() == {"mail.send"}
    assert broker.get_declared_queues() == {"mail"}
    assert broker.get_declared_delay_queues() == set()
    assert broker.get_actor("mail.send") is send
    with pytest.raises(ActorNotFound):
        broker.get_actor("other")


def test_messages_keep_their_arguments_and_options(broker: StreamsBroker, log: Log) -> None:
    @dramatiq.actor(broker=broker)
    def work(*args: Any, **kwargs: Any) -> None:
        current: Any = CurrentMessage.get_current_message()
        log.add([args, kwargs, current.options["colour"]])

    sent = work.send_with_options(args=(1, "ü", None, [2.5]), kwargs={"k": {"a": True}}, colour="blue")
    assert isinstance(sent, Message)
    with working(broker):
        log.holds([(1, "ü", None, [2.5]), {"k": {"a": True}}, "blue"])


@pytest.mark.parametrize("delay", [100, timedelta(milliseconds=100)], ids=str)
def test_messages_can_be_delayed(broker: StreamsBroker, client: redis.Redis, log: Log, delay: int | timedelta) -> None:
    @dramatiq.actor(broker=broker)
    def work() -> None:
        log.add("ran")

    work.send_with_options(delay=delay)
    assert client.xlen(keys.stream("default")) == 0
    with working(broker):
        log.holds("ran", within=3)


def test_many_messages_are_stored_at_once_in_their_order(broker: StreamsBroker, log: Log) -> None:
    @dramatiq.actor(broker=broker)
    def work(number: int) -> None:
        log.add(number)

    broker.enqueue_many([work.message(number) for number in range(2500)])
    with working(broker, threads=1):
        eventually(lambda: len(log.lines) == 2500)
    assert log.lines == [str(number) for number in range(2500)]


def test_among_prefetched_messages_the_lower_priority_number_runs_first(
    broker: StreamsBroker, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dramatiq.worker.QUEUE_PREFETCH", 10)
    go = threading.Event()

    @dramatiq.actor(broker=broker)
    def first() -> None:
        go.wait(20)

    @dramatiq.actor(broker=broker, priority=100)
    def low() -> None:
        log.add("low")

    @dramatiq.actor(broker=broker, priority=0)
    def high() -> None:
        log.add("high")

    with working(broker, threads=1) as worker:
        first.send()
        low.send()
        high.send()
        eventually(lambda: worker.work_queue.qsize() == 2)
        go.set()
        log.holds("low", "high")
    assert log.lines == ["high", "low"]


class Hooks(Middleware):
    """Writes down its hooks; in `failing` ones it fails."""

    def __init__(self, name: str, seen: list[str], failing: bool = False) -> None:
        self.name, self.seen, self.failing = name, seen, failing

    def _note(self, hook: str) -> None:
        self.seen.append(f"{self.name}.{hook}")
        if self.failing:
            raise RuntimeError(hook)

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:  # noqa: ARG002
        self._note("before_enqueue")

    def after_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:  # noqa: ARG002
        self._note("after_enqueue")

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        self._note("before_process_message")

    def after_process_message(self, broker: Broker, message: MessageProxy, **_: Any) -> None:  # type: ignore[override]  # noqa: ARG002  # a spy takes what comes
        self._note("after_process_message")

    def before_ack(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        self._note("before_ack")

    def after_ack(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        self._note("after_ack")


@pytest.mark.parametrize("failing", [False, True], ids=["working hooks", "failing hooks"])
def test_before_hooks_run_in_order_after_hooks_in_reverse_and_none_stops_another(
    new_broker: Brokers, client: redis.Redis, log: Log, failing: bool
) -> None:
    seen: list[str] = []
    broker = new_broker(Hooks("a", seen, failing), Hooks("b", seen))

    @dramatiq.actor(broker=broker)
    def work() -> None:
        log.add("ran")

    work.send()
    with working(broker):
        log.holds("ran")
        eventually(lambda: empty(client) and len(seen) >= 12)
    pairs = [("before", "enqueue"), ("after", "enqueue"), ("before", "process_message")]
    pairs += [("after", "process_message"), ("before", "ack"), ("after", "ack")]
    expected = [[f"{name}.{when}_{what}" for name in ("ab" if when == "before" else "ba")] for when, what in pairs]
    assert seen == [hook for both in expected for hook in both]


def test_a_hook_may_skip_a_message(new_broker: Brokers, client: redis.Redis, log: Log) -> None:
    class Skip(Middleware):
        def before_process_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
            if message.args == ("skipped",):
                raise SkipMessage

        def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
            log.add(f"after skip of {message.args[0]}")

    broker = new_broker(Skip())

    @dramatiq.actor(broker=broker)
    def work(line: str) -> None:
        log.add(line)

    work.send("skipped")
    work.send("run")
    with working(broker):
        log.holds("run", "after skip of skipped")
        eventually(lambda: empty(client))
    assert "skipped" not in log.lines
    assert not letters(client)


def test_join_waits_for_delayed_messages_too_and_has_a_time_limit(broker: StreamsBroker, log: Log) -> None:
    @dramatiq.actor(broker=broker)
    def work() -> None:
        log.add("ran")

    work.send_with_options(delay=200)
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=50)
    with working(broker) as worker:
        broker.join("default", timeout=5000)
        worker.join()
    assert log.lines == ["ran"]
    with pytest.raises(QueueNotFound):
        broker.join("nowhere")


def test_flush_drops_what_is_ready_and_delayed(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    @dramatiq.actor(broker=broker)
    def work(line: str) -> None:
        log.add(line)

    broker.declare_queue("other")
    for flush in (lambda: broker.flush("default"), broker.flush_all):
        work.send("dropped")
        work.send_with_options(args=("dropped",), delay=1)
        flush()
        assert empty(client)
    with working(broker):
        work.send("kept")
        log.holds("kept")
    assert log.lines == ["kept"]


def test_an_actors_own_queue_is_served_when_it_is_declared_while_the_worker_runs(
    broker: StreamsBroker, log: Log
) -> None:
    with working(broker):

        @dramatiq.actor(broker=broker, queue_name="late")
        def work() -> None:
            log.add("ran")

        work.send()
        log.holds("ran")


def test_a_worker_may_be_kept_to_some_queues(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    for queue in ("one", "two"):
        dramatiq.actor(lambda queue=queue: log.add(queue), broker=broker, actor_name=queue, queue_name=queue)
        broker.enqueue(message(queue, queue=queue))
    with working(broker, queues={"one"}):
        log.holds("one")
    assert client.xlen(keys.stream("two")) == 1
