from __future__ import annotations

import asyncio

import redis

from tests.builders import asynchronous
from workers import keys
from workers.event import Route
from workers.queue.backlog import Backlog

ROUTES = {"user.signed_up": (Route("users.create", "users"),), "email.requested": (Route("email.deliver", "email"),)}
LONG_AGO = "1000-0"


def behind(store: redis.Redis, longest_wait_s: float = 60) -> set[str]:
    async def look() -> set[str]:
        async with asynchronous(store) as client:
            backlog = Backlog(client, ROUTES, longest_wait_s)
            await backlog.look()
            return {type_ for type_ in ROUTES if backlog.behind(type_)}

    return asyncio.run(look())


def test_a_queue_that_was_never_used_is_not_behind(store: redis.Redis) -> None:
    assert behind(store) == set()


def test_a_message_that_waits_too_long_closes_its_own_queue(store: redis.Redis) -> None:
    store.xadd(keys.stream("users"), {"m": b"{}"}, id=LONG_AGO)
    store.xadd(keys.stream("email"), {"m": b"{}"})
    assert behind(store) == {"user.signed_up"}


def test_what_a_worker_has_taken_does_not_wait_any_more(store: redis.Redis) -> None:
    store.xadd(keys.stream("users"), {"m": b"{}"}, id=LONG_AGO)
    store.xgroup_create(keys.stream("users"), "workers", id="0")
    assert behind(store) == {"user.signed_up"}
    store.xreadgroup("workers", "somebody", {keys.stream("users"): ">"})
    assert behind(store) == set()
