"""The `limits` library's moving window: it has no call for several layers, so each is asked, in turn or together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import limits.aio.storage
import limits.aio.strategies
import limits.storage
import limits.strategies
from limits import RateLimitItemPerMinute

Take = Callable[[int], Awaitable[bool]]

LAYERS = [RateLimitItemPerMinute(1_000_000, namespace=name) for name in ("ip", "user", "key", "endpoint")]


@asynccontextmanager
async def synchronous(port: int) -> AsyncIterator[Take]:
    storage = limits.storage.RedisStorage(f"redis://127.0.0.1:{port}/0")
    window = limits.strategies.MovingWindowRateLimiter(storage)

    async def take(caller: int) -> bool:
        return all(window.hit(layer, str(caller)) for layer in LAYERS)

    yield take


@asynccontextmanager
async def asynchronous(port: int, implementation: Any, *, together: bool) -> AsyncIterator[Take]:
    url = f"async+redis://127.0.0.1:{port}/0"
    storage = limits.aio.storage.RedisStorage(url, implementation=implementation, max_connections=512)
    window = limits.aio.strategies.MovingWindowRateLimiter(storage)

    async def take(caller: int) -> bool:
        if together:
            return all(await asyncio.gather(*(window.hit(layer, str(caller)) for layer in LAYERS)))
        return all([await window.hit(layer, str(caller)) for layer in LAYERS])

    yield take


WAYS = {
    "synchronous": (synchronous, 1),
    "redis-py": (partial(asynchronous, implementation="redispy", together=False), 1),
    "redis-py, layers together": (partial(asynchronous, implementation="redispy", together=True), 1),
    "coredis": (partial(asynchronous, implementation="coredis", together=False), 1),
    "coredis, layers together": (partial(asynchronous, implementation="coredis", together=True), 1),
}
