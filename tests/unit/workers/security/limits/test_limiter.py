from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.builders import asynchronous
from workers.rates import Rate
from workers.security.limits import Bucket, Decision, Limiter, Policy
from workers.security.limits.limiter import MOST_AT_ONCE

SECOND = 1_000_000


def bucket(name: str, rate: str, whose: str = "ada") -> Bucket:
    return Bucket(Policy(name, Rate.parse(rate)), f"luna:{{limits}}:{name}:{whose}")


USER, IP, ENDPOINT = bucket("user", "5/1h"), bucket("ip", "100/1h"), bucket("POST /v1/events", "3/1h")


class Clock:
    def __init__(self) -> None:
        self.us = 5_000 * SECOND

    def __call__(self) -> int:
        return self.us


class Counting:
    """A client that counts its calls, and holds them back while its gate is shut."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._evalsha = client.evalsha
        client.evalsha = self._counted  # type: ignore[method-assign]  # in the third party's way, not in ours

    async def _counted(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        await self.gate.wait()
        return await self._evalsha(*args, **options)


def limiting(store: redis.Redis, act: Callable[[Limiter, Clock, Counting], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with asynchronous(store) as client:
            counting, clock = Counting(client), Clock()
            return await act(Limiter(client, timeout_s=5, clock_us=clock), clock, counting)

    return asyncio.run(run())


def taking(store: redis.Redis, *requests: tuple[list[Bucket], int]) -> list[Decision]:
    async def act(limiter: Limiter, *_: Any) -> list[Decision]:
        return await asyncio.gather(*(limiter.take(buckets, cost) for buckets, cost in requests))

    result: list[Decision] = limiting(store, act)
    return result


def left(decision: Decision) -> dict[str, int]:
    return {standing.policy.name: standing.remaining for standing in decision.standings}


def elapse(store: redis.Redis, us: int) -> None:
    """What time does: every bucket is full again so much sooner."""
    for key in store.keys("luna:{limits}:*"):
        when, colon, part = store.get(key).decode().partition(":")  # type: ignore[union-attr]
        store.set(key, f"{int(when) - us}{colon}{part}")


def test_the_quota_passes_at_once_and_no_more(store: redis.Redis) -> None:
    decisions = taking(store, *[([USER], 1)] * 9)
    assert [decision.allowed for decision in decisions] == [True] * 5 + [False] * 4
    assert decisions[-1].violated == ("user",)


def test_then_they_come_back_evenly(store: redis.Redis) -> None:
    taking(store, *[([USER], 1)] * 5)
    elapse(store, 3600 * SECOND // 5 + SECOND)
    assert [decision.allowed for decision in taking(store, *[([USER], 1)] * 3)] == [True, False, False]
    elapse(store, 3600 * SECOND)
    assert [decision.allowed for decision in taking(store, *[([USER], 1)] * 6)] == [True] * 5 + [False]


def test_all_layers_are_drawn_on_and_their_standings_told(store: redis.Redis) -> None:
    (decision,) = taking(store, ([IP, USER, ENDPOINT], 1))
    assert left(decision) == {"ip": 99, "user": 4, "POST /v1/events": 2}
    assert decision.headers["RateLimit-Policy"] == '"ip";q=100;w=3600, "user";q=5;w=3600, "POST /v1/events";q=3;w=3600'


def test_a_refusal_by_one_layer_takes_nothing_from_the_others(store: redis.Redis) -> None:
    decisions = taking(store, *[([IP, USER, ENDPOINT], 1)] * 8)
    assert [decision.allowed for decision in decisions] == [True] * 3 + [False] * 5
    (after,) = taking(store, ([IP, USER], 1))
    assert left(after) == {"ip": 96, "user": 1}


def test_a_refusal_names_every_violated_layer_and_the_longest_wait(store: redis.Redis) -> None:
    short = bucket("short", "3/3s")
    *_, refused = taking(store, *[([IP, short, ENDPOINT], 1)] * 4)
    assert refused.violated == ("short", "POST /v1/events")
    assert 1100 <= refused.retry_after_s <= 1200
    assert left(refused) == {"ip": 97, "short": 0, "POST /v1/events": 0}


def test_a_refused_request_passes_after_retry_after_and_not_a_minute_before(store: redis.Redis) -> None:
    *_, refused = taking(store, *[([USER], 1)] * 6)
    elapse(store, (refused.retry_after_s - 60) * SECOND)
    assert not taking(store, ([USER], 1))[0].allowed
    elapse(store, 60 * SECOND)
    assert taking(store, ([USER], 1))[0].allowed


def test_a_cost_is_taken_as_a_whole_and_a_smaller_one_may_still_pass(store: redis.Redis) -> None:
    decisions = taking(store, ([USER], 3), ([USER], 3), ([USER], 2), ([USER], 1))
    assert [decision.allowed for decision in decisions] == [True, False, True, False]


def test_more_than_the_quota_is_impossible_and_redis_is_not_asked(store: redis.Redis) -> None:
    async def act(limiter: Limiter, _: Clock, counting: Counting) -> None:
        decision = await limiter.take([IP, USER], 6)
        assert (decision.allowed, decision.impossible, decision.violated) == (False, True, ("user",))
        assert limiter.known([IP, USER], 6) == decision
        assert counting.calls == 0

    limiting(store, act)


def test_without_a_layer_everything_passes_and_redis_is_not_asked(store: redis.Redis) -> None:
    async def act(limiter: Limiter, _: Clock, counting: Counting) -> None:
        assert await limiter.take([]) == Decision()
        assert counting.calls == 0

    limiting(store, act)


@pytest.mark.parametrize("quota", [1, 3, 7, 999, 1009])
@pytest.mark.parametrize("window", ["1s", "30d"])
def test_any_quota_passes_exactly_however_its_window_divides(store: redis.Redis, quota: int, window: str) -> None:
    odd = bucket("odd", f"{quota}/{window}")
    decisions = taking(store, *[([odd], 1)] * (quota + 1))  # 1009 are three calls: in 1 s one comes back each ms
    assert sum(decision.allowed for decision in decisions[:quota]) == quota
    if window == "30d":
        assert not decisions[quota].allowed


def test_callers_of_the_same_moment_share_one_call(store: redis.Redis) -> None:
    async def act(limiter: Limiter, _: Clock, counting: Counting) -> None:
        buckets = [bucket("user", "5/1h", whose=str(number)) for number in range(200)]
        decisions = await asyncio.gather(*(limiter.take([IP, own]) for own in buckets))
        assert sum(decision.allowed for decision in decisions) == 100
        assert counting.calls == 1

    limiting(store, act)


def test_the_largest_group_with_the_most_layers_fits_into_one_call(store: redis.Redis) -> None:
    async def act(limiter: Limiter, _: Clock, counting: Counting) -> None:
        layers = [
            [bucket(f"layer-{layer}", "7/1h", whose=str(who)) for layer in range(6)] for who in range(MOST_AT_ONCE)
        ]
        decisions = await asyncio.gather(*(limiter.take(buckets) for buckets in layers))
        assert all(decision.allowed for decision in decisions)
        assert counting.calls == 1

    limiting(store, act)


def test_those_who_come_while_a_call_is_under_way_share_the_next_one(store: redis.Redis) -> None:
    async def act(limiter: Limiter, _: Clock, counting: Counting) -> None:
        counting.gate.clear()
        waiting = []
        for _turn in range(20):
            waiting.append(asyncio.create_task(limiter.take([IP])))
            await asyncio.sleep(0)
        counting.gate.set()
        assert all(decision.allowed for decision in await asyncio.gather(*waiting))
        assert counting.calls == 2

    limiting(store, act)


def test_who_is_known_to_be_over_the_limit_is_refused_without_asking(store: redis.Redis) -> None:
    async def act(limiter: Limiter, clock: Clock, counting: Counting) -> None:
        assert limiter.known([IP, USER]) is None
        await asyncio.gather(*(limiter.take([IP, USER]) for _ in range(6)))
        asked = counting.calls
        first = limiter.known([IP, USER])
        assert first is not None
        assert first.violated == ("user",)
        assert await limiter.take([IP, USER]) == first
        assert first.headers["RateLimit"] == f'"user";r=0;t={first.retry_after_s}'
        assert first.headers["RateLimit-Policy"] == '"ip";q=100;w=3600, "user";q=5;w=3600'
        clock.us += 100 * SECOND
        later = limiter.known([IP, USER])
        assert later is not None
        assert later.retry_after_s == first.retry_after_s - 100
        assert counting.calls == asked

    limiting(store, act)


def test_a_known_refusal_ends_when_the_request_would_pass_and_the_server_is_asked_again(store: redis.Redis) -> None:
    async def act(limiter: Limiter, clock: Clock, _: Counting) -> None:
        await asyncio.gather(*(limiter.take([USER]) for _ in range(6)))
        refusal = limiter.known([USER])
        assert refusal is not None
        clock.us += refusal.retry_after_s * SECOND
        elapse(store, refusal.retry_after_s * SECOND)
        assert limiter.known([USER]) is None
        assert limiter.known([USER], 2) is not None
        assert (await limiter.take([USER])).allowed

    limiting(store, act)


def test_only_those_who_were_refused_are_known(store: redis.Redis) -> None:
    async def act(limiter: Limiter, *_: Any) -> None:
        other = bucket("user", "5/1h", whose="bob")
        await asyncio.gather(*(limiter.take([IP, USER]) for _ in range(6)))
        assert limiter.known([IP]) is None
        assert limiter.known([IP, other]) is None
        assert (await limiter.take([IP, other])).allowed

    limiting(store, act)


def test_a_caller_who_goes_away_harms_nobody(store: redis.Redis) -> None:
    async def act(limiter: Limiter, *_: Any) -> None:
        gone, stays = (asyncio.create_task(limiter.take([USER])) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await stays).allowed
        assert (await limiter.take([USER])).allowed

    limiting(store, act)


def test_keys_expire_soon_after_their_bucket_is_full(store: redis.Redis) -> None:
    minute = bucket("minute", "60/1m")
    taking(store, ([IP, minute], 3))
    assert 3_000 < store.pttl(minute.key) <= 13_000
    assert 108_000 < store.pttl(IP.key) <= 118_000


def test_a_server_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_window(store: redis.Redis) -> None:
    taking(store, ([USER], 1))
    elapse(store, -365 * 86400 * SECOND)
    (refused,) = taking(store, ([USER], 1))
    assert refused.retry_after_s == 720


def test_what_is_counted_is_written_to_no_disk_and_no_replica(valkey: Any) -> None:
    with valkey.client() as client:
        client.set("there-is", "a file")
        before = client.info("persistence")["aof_current_size"]
        taking(client, *[([IP, USER, ENDPOINT], 1)] * 3)
        assert client.exists(USER.key)
        assert client.info("persistence")["aof_current_size"] == before > 0
