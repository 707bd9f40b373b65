"""Promises 1 and 3 on a Cluster: every shard counts, and one that is away is waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed, QueueJoinTimeout

from tests.builders import an_event
from tests.cluster import Cluster
from tests.queues import Brokers, working
from tests.servers import eventually
from workers import keys
from workers.connection import connect, connect_async
from workers.errors import UnavailableError
from workers.event import Route
from workers.queue.broker import StreamsBroker
from workers.queue.publisher import AsyncPublisher, Publisher, fingerprint
from workers.queue.server import Watch, confirm, examine, refuse_eviction, verdict

ROUTES = {"user.signed_up": (Route("users.create", "users"),)}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as started:
        yield started


def empties(broker: StreamsBroker) -> bool:
    try:
        broker.join("default", timeout=100)
    except (redis.RedisError, QueueJoinTimeout):
        return False
    return True


def test_the_weakest_shard_is_what_a_cluster_promises(cluster: Cluster) -> None:
    client = connect(cluster.url)
    assert verdict(examine(client), "fsync")[0]
    for node in cluster.nodes:
        with node.client() as shard:
            shard.config_set("appendfsync", "everysec")
            shard.config_set("maxmemory", 1)
            facts = examine(client)
            assert (verdict(facts, "fsync")[0], confirm(facts, "fsync"), facts.full) == (False, None, True)
            shard.config_set("appendfsync", "always")
            shard.config_set("maxmemory", 0)
            shard.config_set("maxmemory-policy", "allkeys-lru")
            with pytest.raises(Exception, match="allkeys-lru"):
                refuse_eviction(examine(client))
            shard.config_set("maxmemory-policy", "noeviction")
    client.close()


def test_what_ended_while_a_whole_cluster_was_away_is_settled_once_when_it_is_back(cluster: Cluster) -> None:
    brokers, go, runs = Brokers(cluster.url), threading.Event(), []
    broker = brokers(lease_s=30)

    @dramatiq.actor(broker=broker)
    def work() -> None:
        runs.append("run")
        go.wait(20)

    work.send()
    with working(broker):
        eventually(lambda: runs)
        for node in cluster.nodes:
            node.stop(kill=True)
        go.set()
        eventually(lambda: broker.workplace.settler._waiting, what="a settlement that waits")  # noqa: SLF001
        with pytest.raises(ConnectionClosed):
            work.send()
        for node in cluster.nodes:
            node.start()
        eventually(lambda: empties(broker))
    assert runs == ["run"]
    brokers.close()


def test_whoever_publishes_to_a_cluster_that_is_away_is_told_so(cluster: Cluster) -> None:
    publisher = Publisher(connect(cluster.url), ROUTES)
    for node in cluster.nodes:
        node.stop(kill=True)

    async def post() -> None:
        client, event = connect_async(cluster.url), an_event()
        watching = asyncio.create_task((watch := Watch(client, "fsync")).run())
        with pytest.raises(UnavailableError):
            await AsyncPublisher(client, ROUTES, watch=watch).publish(event, fingerprint(event))
        assert not watching.done()
        watching.cancel()
        await client.aclose()

    asyncio.run(post())
    with pytest.raises(UnavailableError):
        publisher.publish(an_event())
    with pytest.raises(UnavailableError):
        connect(cluster.url)


def test_while_one_shard_hangs_the_leases_of_the_others_are_renewed(cluster: Cluster) -> None:
    brokers, go, runs = Brokers(cluster.url), threading.Event(), []
    broker = brokers(lease_s=2)
    shards = {broker.client.get_node_from_key(keys.stream(queue)).port: queue for queue in "abcdefghijkl"}  # type: ignore[attr-defined]
    hanging, other = cluster.nodes[0], cluster.nodes[1]
    broker.declare_queue(shards[hanging.port])

    @dramatiq.actor(broker=broker, queue_name=shards[other.port])
    def work() -> None:
        runs.append("run")
        go.wait(20)

    work.send()
    with working(broker), other.client() as client:
        eventually(lambda: runs)
        with hanging.hanging(), pytest.raises(AssertionError, match="an expired lease"):
            eventually(
                lambda: client.xpending_range(keys.stream(work.queue_name), "workers", "-", "+", 1, idle=2_000),
                within=8,
                what="an expired lease",
            )
        go.set()
    brokers.close()
