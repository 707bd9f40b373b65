"""Luna: all layers of a request in one step. `script` calls take.lua itself, `limiter` is what the gateway has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from redis import Redis

from workers.connection import connect, connect_async
from workers.keys import limit
from workers.rates import Rate
from workers.security.limits import Bucket, Limiter, Policy
from workers.security.limits.take import TAKE, Call, Request

Take = Callable[[int], Awaitable[bool]]

POLICIES = [Policy(name, Rate(1_000_000, 60)) for name in ("ip", "user", "key", "endpoint")]
BUCKETS = [[Bucket(policy, limit(f"{policy.name}:{caller}")) for policy in POLICIES] for caller in range(100)]


def _all_pass(client: Redis, requests: list[Request]) -> bool:
    call = Call(requests)
    return not any(any(verdict.refused) for verdict in call.read(TAKE.run(client, call.names, call.args)))


@asynccontextmanager
async def script(port: int) -> AsyncIterator[Take]:
    with connect(f"redis://127.0.0.1:{port}/0") as client:

        async def take(caller: int) -> bool:
            return _all_pass(client, [(BUCKETS[caller], 1)])

        yield take


@asynccontextmanager
async def grouped(port: int, callers: int) -> AsyncIterator[Take]:
    requests = [(buckets, 1) for buckets in BUCKETS[:callers]] * (len(BUCKETS) // callers)
    with connect(f"redis://127.0.0.1:{port}/0") as client:

        async def take(_: int) -> bool:
            return _all_pass(client, requests)

        yield take


@asynccontextmanager
async def limiter(port: int) -> AsyncIterator[Take]:
    client = connect_async(f"redis://127.0.0.1:{port}/0")
    limits = Limiter(client, timeout_s=10)

    async def take(caller: int) -> bool:
        return (await limits.take(BUCKETS[caller])).allowed

    yield take
    await client.aclose()


WAYS = {
    "script": (script, 1),
    "grouped, 100 callers": (partial(grouped, callers=100), 100),
    "grouped, 20 callers": (partial(grouped, callers=20), 100),
    "limiter": (limiter, 1),
}
