"""Promise 9: a message for an actor that this worker does not know is parked, and dead only after an hour."""

from __future__ import annotations

import time

import dramatiq
import pytest
import redis

from tests.queues import Brokers, Log, add, empty, letters, message, working
from tests.servers import eventually
from workers import keys
from workers.queue import consumer
from workers.queue.broker import StreamsBroker


def test_it_is_parked_while_others_run_and_runs_once_a_newer_worker_knows_it(
    new_broker: Brokers, client: redis.Redis, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "PARK_MS", 100)
    old, new = new_broker(), new_broker()

    @dramatiq.actor(broker=old, actor_name="known")
    def known(line: str) -> None:
        log.add(line)

    @dramatiq.actor(broker=new, actor_name="newer")
    def newer(line: str) -> None:
        log.add(line)

    add(client, message("newer", "a").encode())
    with working(old, threads=1):
        known.send("b")
        log.holds("b")
        eventually(lambda: _parked(client))
    assert not letters(client)
    assert "a" not in log.lines
    with working(new):
        log.holds("a")
        eventually(lambda: empty(client))


def _parked(client: redis.Redis) -> bool:
    bodies = client.hvals(keys.delayed_messages("default"))
    return any("unknown_since" in dramatiq.Message.decode(body).options for body in bodies)


@pytest.mark.parametrize(("age_s", "dies"), [(3590, False), (3601, True)])
def test_it_is_dead_only_after_an_hour(
    broker: StreamsBroker, client: redis.Redis, log: Log, age_s: int, dies: bool
) -> None:
    @dramatiq.actor(broker=broker)
    def known(line: str) -> None:
        log.add(line)

    add(client, message("unknown", "a", unknown_since=time.time() - age_s).encode())
    with working(broker, threads=1):
        known.send("b")
        log.holds("b")
        eventually(lambda: client.xlen(keys.stream("default")) == 0)
    assert [letter["reason"] for letter in letters(client)] == (["unknown actor"] if dies else [])
    assert client.zcard(keys.delayed("default")) == (0 if dies else 1)
