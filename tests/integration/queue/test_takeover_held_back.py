"""Promise 4: no takeover within one lease of the server's start, of a reconnection, or of a standstill."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import redis

from tests.queues import add
from tests.servers import Valkey, eventually
from workers import keys
from workers.connection import connect
from workers.queue.lane import Lane

LEASE_S = 1.5


def owned_by_another(client: redis.Redis) -> str:
    client.xgroup_create(keys.stream("default"), "workers", "0", mkstream=True)
    entry_id = add(client, b"x")
    client.xreadgroup("workers", "owner", {keys.stream("default"): ">"})
    return entry_id


def age(client: redis.Redis, entry_id: str) -> None:
    client.xclaim(keys.stream("default"), "workers", "owner", 0, [entry_id], idle=60_000, justid=True)


def read_until_taken(lane: Lane) -> float:
    eventually(lambda: lane.read(0.05), every=0, what="the takeover")
    return time.monotonic()


def ready(client: redis.Redis) -> Lane:
    """A lane that may take over, and has done so before."""
    lane = Lane(client, "default", "lane", int(LEASE_S * 1000))
    lane.open(8, 8)
    age(client, owned_by_another(client))
    lane._young_server_s = lambda: 0.0  # type: ignore[method-assign]  # noqa: SLF001 of the old server's start
    read_until_taken(lane)
    return lane


def test_a_server_that_started_just_now(own_valkey: Valkey) -> None:
    started = time.monotonic()
    with connect(own_valkey.url) as client:
        age(client, owned_by_another(client))
        lane = Lane(client, "default", "lane", 4000)
        lane.open(8, 8)
        assert read_until_taken(lane) - started > 2  # the server tells its age in whole seconds


@pytest.mark.parametrize("outage", ["killed", "frozen", "this process frozen"])
def test_after_a_time_in_which_owners_could_not_renew(own_valkey: Valkey, outage: str) -> None:
    with connect(own_valkey.url) as client:
        lane = ready(client)
        entry_id = add(client, b"y")
        client.xreadgroup("workers", "owner", {keys.stream("default"): ">"})
        server = client.info("server")["process_id"]
        if outage == "killed":
            own_valkey.stop(kill=True)
            assert lane.read(0.05) == []
            own_valkey.start()
        elif outage == "frozen":
            os.kill(server, signal.SIGSTOP)
            threading.Timer(2, os.kill, [server, signal.SIGCONT]).start()
            lane.read(0.05)
        else:
            resume_at = time.monotonic() + 2
            eventually(lambda: time.monotonic() > resume_at)
        back = time.monotonic()
        age(client, entry_id)
        taken = read_until_taken(lane) - back
        assert LEASE_S - 0.1 < taken < LEASE_S + 1.5
