"""Promise 3 while Redis is away: a settlement that cannot reach it is tried again until it can, and never dropped."""

from __future__ import annotations

import threading
from functools import partial

import dramatiq
import pytest
from dramatiq import Broker, Middleware
from dramatiq.broker import MessageProxy
from dramatiq.errors import ConnectionClosed

from tests.queues import Brokers, empty, letters, pending, working
from tests.servers import Valkey, eventually


class Acks(Middleware):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def after_ack(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        self.seen.append("ack")

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        self.seen.append("nack")


@pytest.mark.parametrize("fate", ["done", "again", "dead"])
def test_what_ended_while_redis_was_away_is_settled_when_it_is_back(
    own_valkey: Valkey, own_broker: Brokers, fate: str
) -> None:
    acks, go, runs = Acks(), threading.Event(), []
    broker = own_broker(acks, lease_s=5)

    @dramatiq.actor(broker=broker, max_retries=1 if fate == "again" else 0)
    def work() -> None:
        runs.append("run")
        go.wait(20)
        if fate == "dead" or (fate == "again" and len(runs) == 1):
            raise RuntimeError(fate)

    work.send()
    with working(broker, threads=1), own_valkey.client() as client:
        eventually(lambda: runs)
        own_valkey.stop(kill=True)
        go.set()
        eventually(lambda: broker.workplace.settler._waiting, what="a settlement that waits")  # noqa: SLF001
        assert not acks.seen
        own_valkey.start()
        eventually(lambda: empty(client) and acks.seen)
        assert acks.seen == {"done": ["ack"], "again": ["ack", "ack"], "dead": ["nack"]}[fate]
        assert len(runs) == (2 if fate == "again" else 1)
        assert len(letters(client)) == (1 if fate == "dead" else 0)


def test_a_worker_goes_on_through_restarts_of_redis(own_valkey: Valkey, own_broker: Brokers) -> None:
    broker, done = own_broker(lease_s=1), set()

    @dramatiq.actor(broker=broker)
    def work(number: int) -> None:
        done.add(number)

    with working(broker, threads=4), own_valkey.client() as client:
        for restart in range(3):
            broker.enqueue_many([work.message(restart * 300 + number) for number in range(300)])
            eventually(partial(_more_than, done, restart * 300 + 10))
            own_valkey.stop(kill=True)
            own_valkey.start()
        eventually(lambda: done == set(range(900)))
        eventually(lambda: empty(client))
        eventually(lambda: sum(pending(client).values()) == 0)


def test_a_message_that_redis_did_not_confirm_is_refused_to_the_sender(own_valkey: Valkey, own_broker: Brokers) -> None:
    broker = own_broker()

    @dramatiq.actor(broker=broker)
    def work() -> None: ...

    own_valkey.stop(kill=True)
    with pytest.raises(ConnectionClosed):
        work.send()
    with pytest.raises(ConnectionClosed):
        work.send_with_options(delay=1000)


def _more_than(done: set[int], number: int) -> bool:
    return len(done) > number
