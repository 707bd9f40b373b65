"""Promise 3: what hooks enqueue is stored before its message is settled, and no failure of a hook is taken for done."""

from __future__ import annotations

import logging
from typing import Any
from unittest.mock import Mock

import dramatiq
import pytest
import redis
from dramatiq import Broker, Message, Middleware
from dramatiq.broker import MessageProxy
from dramatiq.middleware import MiddlewareError
from dramatiq.middleware.threading import Interrupt

from tests.queues import Brokers, Log, empty, letters, message, working
from tests.servers import eventually
from workers import keys
from workers.queue.broker import StreamsBroker


class Stamp(Middleware):
    """Adds to messages, as tracing does."""

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:  # noqa: ARG002
        message.options["stamp"] = "here"


def test_what_a_hook_adds_before_enqueue_is_stored(new_broker: Brokers, client: redis.Redis) -> None:
    broker = new_broker(Stamp())
    broker.declare_queue("default")
    broker.enqueue(message("note"))
    broker.enqueue(message("note"), delay=60_000)
    broker.enqueue_many([message("note"), message("note")])
    stored = [fields[b"m"] for _, fields in client.xrange(keys.stream("default"))]
    stored += client.hvals(keys.delayed_messages("default"))
    assert [Message.decode(body).options for body in stored] == [{"stamp": "here"}] * 4


class Refuse(Middleware):
    """Does not let messages for one actor pass."""

    def __init__(self, actor: str) -> None:
        self.actor = actor

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:  # noqa: ARG002
        if message.actor_name == self.actor:
            raise MiddlewareError("not this one")


@pytest.mark.parametrize("refused", ["next", "first"], ids=["its pipeline", "its retry"])
def test_a_message_whose_hooks_cannot_enqueue_is_a_dead_letter_not_done(
    new_broker: Brokers, client: redis.Redis, refused: str
) -> None:
    broker = new_broker(Refuse(refused))

    @dramatiq.actor(broker=broker, actor_name="first")
    def first() -> None:
        if refused == "first":
            raise RuntimeError("to be retried")

    @dramatiq.actor(broker=broker, actor_name="next")
    def follow(_: None) -> None: ...

    client.xadd(keys.stream("default"), {"m": (first.message() | follow.message()).messages[0].encode()})
    with working(broker):
        (letter,) = eventually(lambda: letters(client), within=3)
    assert letter["attempts"][-1]["type"] == "MiddlewareError"


@pytest.mark.parametrize("delay", [-1, -10_000, 0.5], ids=str)
def test_a_retry_that_is_due_already_runs_again(
    broker: StreamsBroker, client: redis.Redis, log: Log, delay: float
) -> None:
    @dramatiq.actor(broker=broker)
    def twice() -> None:
        log.add("run")
        if len(log.lines) == 1:
            raise dramatiq.errors.Retry(delay=delay)  # type: ignore[arg-type]  # what callers calculate

    twice.send()
    with working(broker):
        eventually(lambda: log.lines == ["run", "run"], within=3)
        eventually(lambda: empty(client))


@pytest.mark.parametrize("delay", [float("inf"), float("nan"), "soon"], ids=str)
def test_a_retry_that_can_never_be_due_is_a_dead_letter(broker: StreamsBroker, client: redis.Redis, delay: Any) -> None:
    @dramatiq.actor(broker=broker)
    def fail() -> None:
        raise dramatiq.errors.Retry(delay=delay)

    fail.send()
    with working(broker):
        eventually(lambda: letters(client), within=3)


def test_a_pipeline_with_an_impossible_delay_does_not_stop_settlements(
    broker: StreamsBroker, client: redis.Redis, log: Log
) -> None:
    @dramatiq.actor(broker=broker)
    def note(line: str) -> None:
        log.add(line)

    bad = note.message_with_options(args=("a",), pipe_target=message("note", "b", delay="soon").asdict())
    broker.enqueue(bad)
    with working(broker):
        eventually(lambda: letters(client), within=3)
        note.send("c")
        log.holds("c", within=3)
        eventually(lambda: empty(client), within=3)


class Interrupted(Middleware):
    """Is hit by a time limit that fires too late."""

    def __init__(self) -> None:
        self.times = 0

    def after_process_message(
        self,
        broker: Broker,  # noqa: ARG002
        message: MessageProxy,  # noqa: ARG002
        *,
        result: Any = None,  # noqa: ARG002
        exception: BaseException | None = None,  # noqa: ARG002
    ) -> None:
        self.times += 1
        if self.times == 1:
            raise Interrupt


def test_an_interrupt_that_hits_a_hook_neither_ends_the_thread_nor_settles_the_message(
    new_broker: Brokers, client: redis.Redis, log: Log
) -> None:
    broker = new_broker(lease_s=0.5)
    broker.add_middleware(Interrupted())

    @dramatiq.actor(broker=broker)
    def fail_once() -> None:
        log.add("run")
        if len(log.lines) == 1:
            raise RuntimeError("to be retried")

    fail_once.send()
    with working(broker, threads=1):
        eventually(lambda: log.lines == ["run", "run"], within=5)
        eventually(lambda: empty(client))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Dramatiq's thread ends
def test_an_interrupt_between_a_failure_and_the_hooks_does_not_make_the_message_done(
    broker: StreamsBroker, client: redis.Redis, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dramatiq.actor(broker=broker)
    def fail_once() -> None:
        log.add("run")
        if len(log.lines) == 1:
            raise RuntimeError("to be retried")

    interrupt = Mock(side_effect=[Interrupt, None])
    monkeypatch.setattr(logging.getLogger("dramatiq.worker.WorkerThread"), "error", interrupt)
    fail_once.send()
    with working(broker, threads=2):
        eventually(lambda: log.lines == ["run", "run"], within=5)
        eventually(lambda: empty(client))
