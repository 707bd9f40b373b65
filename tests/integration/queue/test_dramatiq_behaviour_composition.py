"""Dramatiq's own behaviour through this broker: pipelines, groups, group callbacks, results."""

from __future__ import annotations

from collections.abc import Iterator

import dramatiq
import pytest
import redis
from dramatiq import group, pipeline
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as RateLimits
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from dramatiq.results.errors import ResultFailure, ResultMissing

from tests.queues import Brokers, Log, empty, working
from tests.servers import eventually
from workers.queue.broker import StreamsBroker


@pytest.fixture
def broker(new_broker: Brokers, client: redis.Redis) -> Iterator[StreamsBroker]:
    """With results and group callbacks, both kept in the same server."""
    broker = new_broker(GroupCallbacks(RateLimits(client=client)))
    broker.add_middleware(Results(backend=RedisBackend(client=client)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dramatiq.broker.global_broker", broker)  # where Dramatiq looks for results
        yield broker


@pytest.fixture
def add(broker: StreamsBroker, log: Log) -> dramatiq.Actor[[int, int], int]:
    @dramatiq.actor(broker=broker, store_results=True, actor_name="add")
    def add(one: int, other: int) -> int:
        log.add(one + other)
        return one + other

    return add


Add = dramatiq.Actor[[int, int], int]


def test_results_are_stored(broker: StreamsBroker, add: Add) -> None:
    backend = broker.get_results_backend()
    sent = add.send(1, 2)
    with pytest.raises(ResultMissing):
        sent.get_result(backend=backend)
    with working(broker):
        assert sent.get_result(backend=backend, block=True) == 3


def test_the_error_of_a_message_that_failed_for_good_is_its_result(broker: StreamsBroker) -> None:
    @dramatiq.actor(broker=broker, store_results=True, max_retries=1)
    def fail() -> None:
        raise ValueError("no")

    sent = fail.send()
    with working(broker), pytest.raises(ResultFailure, match="ValueError: no"):
        sent.get_result(backend=broker.get_results_backend(), block=True)


def test_each_step_of_a_pipeline_is_given_the_result_of_the_one_before(broker: StreamsBroker, add: Add) -> None:
    chain = pipeline([add.message(1, 2), add.message(3), add.message(4)], broker=broker).run()
    with working(broker):
        assert chain.get_result(block=True, timeout=5000) == 10
        assert list(chain.get_results(block=True)) == [3, 6, 10]
    assert chain.completed


def test_a_step_may_ignore_the_result_before_it_and_be_delayed(
    broker: StreamsBroker, client: redis.Redis, log: Log, add: Add
) -> None:
    ignoring = add.message_with_options(args=(5, 5), pipe_ignore=True, delay=50)
    pipeline([add.message(1, 2), ignoring], broker=broker).run()
    with working(broker):
        log.holds("3", "10")
        eventually(lambda: empty(client))


def test_a_failed_step_ends_the_pipeline(broker: StreamsBroker, client: redis.Redis, log: Log, add: Add) -> None:
    @dramatiq.actor(broker=broker, max_retries=0)
    def fail() -> int:
        raise ValueError("no")

    pipeline([fail.message(), add.message(1)], broker=broker).run()
    with working(broker):
        eventually(lambda: empty(client))
    assert not log.lines


def test_a_group_runs_all_and_waits_for_all(broker: StreamsBroker, add: Add) -> None:
    many = group([add.message(number, number) for number in range(10)], broker=broker).run()
    with working(broker):
        many.wait(timeout=5000)
        assert sorted(many.get_results()) == [number * 2 for number in range(10)]
    assert many.completed
    assert many.completed_count == 10


def test_a_groups_callback_runs_once_when_all_are_through(
    broker: StreamsBroker, client: redis.Redis, log: Log, add: Add
) -> None:
    @dramatiq.actor(broker=broker)
    def complete() -> None:
        log.add(f"complete after {len(log.lines)}")

    many = group([add.message(number, number) for number in range(10)], broker=broker)
    many.add_completion_callback(complete.message())
    many.run()
    with working(broker, threads=4):
        log.holds("complete after 10")
        eventually(lambda: empty(client))
    assert len(log.lines) == 11


def test_a_group_of_pipelines(broker: StreamsBroker, add: Add) -> None:
    pipelines = [pipeline([add.message(number, 1), add.message(1)], broker=broker) for number in range(3)]
    many = group(pipelines, broker=broker).run()
    with working(broker):
        assert sorted(many.get_results(block=True, timeout=5000)) == [2, 3, 4]
