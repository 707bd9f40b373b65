"""Dramatiq's own behaviour through this broker: retries, callbacks, dead letters."""

from __future__ import annotations

import time
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.errors import RateLimitExceeded, Retry

from tests.queues import Log, empty, letters, working
from tests.servers import eventually
from workers import keys
from workers.queue.broker import StreamsBroker


def failing(log: Log, times: int, error: BaseException) -> Any:
    def fail() -> None:
        log.add("ran")
        if len(log.lines) <= times:
            raise error

    return fail


def run_until_settled(broker: StreamsBroker, client: redis.Redis) -> list[dict[str, Any]]:
    with working(broker):
        eventually(lambda: empty(client))
    return letters(client)


def test_a_failed_message_runs_again_until_it_succeeds(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    dramatiq.actor(failing(log, 2, RuntimeError("no")), broker=broker, max_retries=5).send()
    assert run_until_settled(broker, client) == []
    assert log.lines == ["ran"] * 3


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_after_max_retries_it_is_a_dead_letter_with_every_attempts_error(
    broker: StreamsBroker, client: redis.Redis, log: Log, max_retries: int
) -> None:
    dramatiq.actor(failing(log, 99, RuntimeError("no")), broker=broker, max_retries=max_retries).send()
    (letter,) = run_until_settled(broker, client)
    assert log.lines == ["ran"] * (max_retries + 1)
    assert [attempt["number"] for attempt in letter["attempts"]] == list(range(1, max_retries + 2))
    assert {(a["type"], a["message"]) for a in letter["attempts"]} == {("RuntimeError", "no")}
    assert "RuntimeError: no" in letter["attempts"][-1]["traceback"]


def test_a_messages_own_option_overrides_the_actors(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    dramatiq.actor(failing(log, 99, RuntimeError("no")), broker=broker, max_retries=5).send_with_options(max_retries=1)
    assert len(run_until_settled(broker, client)) == 1
    assert log.lines == ["ran"] * 2


@pytest.mark.parametrize("throws", [ValueError, (KeyError, ValueError)], ids=str)
def test_what_an_actor_throws_on_purpose_is_not_retried(
    broker: StreamsBroker, client: redis.Redis, log: Log, throws: Any
) -> None:
    dramatiq.actor(failing(log, 99, ValueError("no")), broker=broker, throws=throws).send()
    (letter,) = run_until_settled(broker, client)
    assert log.lines == ["ran"]
    assert letter["attempts"][-1]["type"] == "ValueError"


def test_retry_when_decides(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    asked: list[tuple[int, str]] = []

    def retry_when(retries: int, error: BaseException) -> bool:
        asked.append((retries, str(error)))
        return retries < 2

    dramatiq.actor(failing(log, 99, RuntimeError("no")), broker=broker, retry_when=retry_when).send()
    assert len(run_until_settled(broker, client)) == 1
    assert asked == [(0, "no"), (1, "no"), (2, "no")]


def test_retry_may_name_its_delay(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    ran: list[float] = []

    @dramatiq.actor(broker=broker, min_backoff=60_000)
    def work() -> None:
        ran.append(time.monotonic())
        if len(ran) == 1:
            raise Retry(delay=300)

    work.send()
    assert run_until_settled(broker, client) == []
    assert 0.3 <= ran[1] - ran[0] < 2
    assert not log.lines


def test_the_waits_between_attempts_grow(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    actor = dramatiq.actor(
        failing(log, 99, RuntimeError("no")), broker=broker, max_retries=9, min_backoff=10_000, max_backoff=40_000
    )
    for retries, low, high in ((0, 10_000, 20_000), (1, 20_000, 40_000), (5, 20_000, 40_000)):
        client.flushall()
        broker.enqueue(actor.message_with_options(retries=retries))
        with working(broker):
            eventually(lambda: client.zcard(keys.delayed("default")))
        ((_, due_ms),) = client.zrange(keys.delayed("default"), 0, -1, withscores=True)
        seconds, _ = client.time()
        assert low - 2_000 <= due_ms - seconds * 1000 <= high + 2_000


def test_a_rate_limit_exceeded_is_retried(broker: StreamsBroker, client: redis.Redis, log: Log) -> None:
    dramatiq.actor(failing(log, 1, RateLimitExceeded("slow down")), broker=broker).send()
    assert run_until_settled(broker, client) == []
    assert log.lines == ["ran", "ran"]


def test_on_retry_exhausted_is_told_of_the_message_and_its_retries(
    broker: StreamsBroker, client: redis.Redis, log: Log
) -> None:
    told: list[tuple[str, dict[str, int]]] = []

    @dramatiq.actor(broker=broker)
    def exhausted(message: dict[str, Any], retries: dict[str, int]) -> None:
        told.append((message["actor_name"], retries))

    dramatiq.actor(
        failing(log, 99, RuntimeError("no")), broker=broker, max_retries=1, on_retry_exhausted="exhausted"
    ).send()
    assert len(run_until_settled(broker, client)) == 1
    assert told == [("fail", {"retries": 1, "max_retries": 1})]


def test_callbacks_on_success_and_failure(broker: StreamsBroker, client: redis.Redis) -> None:
    called: list[Any] = []

    @dramatiq.actor(broker=broker)
    def succeeded(message: dict[str, Any], result: int) -> None:
        called.append((message["actor_name"], result))

    @dramatiq.actor(broker=broker)
    def failed(message: dict[str, Any], error: dict[str, str]) -> None:
        called.append((message["actor_name"], error))

    @dramatiq.actor(broker=broker, on_success="succeeded", on_failure="failed", max_retries=0)
    def work(number: int) -> int:
        return 10 // number

    work.send(5)
    work.send(0)
    run_until_settled(broker, client)
    error = {"type": "ZeroDivisionError", "message": "integer division or modulo by zero"}
    assert sorted(called, key=str) == sorted([("work", 2), ("work", error)], key=str)
