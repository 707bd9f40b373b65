"""take.lua and the local limiter against GCRA as the textbook has it, in fractions: the same decisions, to the unit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import fakeredis
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers import Valkey
from workers.rates import Rate
from workers.security.limits import Bucket, Policy
from workers.security.limits.local import LocalLimiter
from workers.security.limits.take import TAKE, Call

RATES = [Rate(1, 1), Rate(7, 60), Rate(3, 2_592_000), Rate(10_000_000, 1), Rate(600, 60), Rate(10_000_000, 2_592_000)]
BUCKETS = [Bucket(Policy(str(number), rate), f"luna:{{limits}}:{number}") for number, rate in enumerate(RATES)]

requests = st.tuples(
    st.sampled_from([1, 1, 1, 2, 5, 600, 1000]), st.lists(st.sampled_from(BUCKETS), min_size=1, max_size=4, unique=True)
)
moments = st.tuples(
    st.sampled_from([0, 1, 999, 10**6, 8_571_428, 8_571_429, 60 * 10**6, 86_400 * 10**6]),
    st.lists(requests, min_size=1, max_size=12),
)


class Model:
    """When each bucket is full again: its theoretical arrival time (ITU-T I.371), as a fraction of µs."""

    def __init__(self) -> None:
        self.full_at: dict[str, Fraction] = {}

    def owed(self, bucket: Bucket, now: int) -> Fraction:
        return max(self.full_at.get(bucket.key, Fraction(0)) - now, Fraction(0))

    def violated(self, now: int, cost: int, buckets: list[Bucket]) -> list[bool]:
        after = {}
        for bucket in buckets:
            quota, window_s = bucket.policy.rate
            after[bucket] = self.owed(bucket, now) + Fraction(cost * window_s * 10**6, quota)
        violated = [after[bucket] > bucket.policy.rate.window_s * 10**6 for bucket in buckets]
        if not any(violated):
            self.full_at |= {bucket.key: now + after[bucket] for bucket in buckets}
        return violated


class Scripted:
    """take.lua on a server whose clock stands still until it is told: it is replaced in the source, nothing else."""

    def __init__(self, client: redis.Redis) -> None:
        client.flushall()
        self._client = client
        self._source = TAKE.source.replace("call('TIME')", "{ARGV[2], ARGV[3]}")
        assert self._source.count("ARGV[2]") == 1

    def decide(self, now: int, group: list[tuple[int, list[Bucket]]]) -> tuple[list[list[bool]], dict[str, Fraction]]:
        call = Call([(buckets, cost) for cost, buckets in group])
        args = [*call.args, *divmod(now, 10**6)]
        verdicts = list(call.read(self._client.eval(self._source, len(call.names), *call.names, *args)))
        debts = {
            bucket.key: debt.us + Fraction(debt.part, bucket.policy.rate.quota)
            for (_, buckets), verdict in zip(group, verdicts, strict=True)
            for bucket, debt in zip(buckets, verdict.debts, strict=True)
        }
        return [verdict.refused for verdict in verdicts], debts


NOW = 1_900_000_000_000_000  # in the year 2030, later than the server's clock: nothing expires meanwhile


def agree(client: redis.Redis, story: list[tuple[int, list[tuple[int, list[Bucket]]]]]) -> None:
    model, scripted, now = Model(), Scripted(client), NOW
    for pause, group in story:
        now += pause
        expected = [model.violated(now, cost, buckets) for cost, buckets in group]
        violated, debts = scripted.decide(now, group)
        assert violated == expected
        assert debts == {key: model.owed(bucket, now) for bucket in BUCKETS if (key := bucket.key) in debts}


stories = st.lists(moments, max_size=15)
slow = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(story=stories)
@settings(slow, max_examples=200)
def test_the_script_decides_as_the_model_on_the_real_server(valkey: Valkey, story: list[Any]) -> None:
    with valkey.client() as client:
        agree(client, story)


@given(story=stories)
@settings(slow, max_examples=30)
def test_the_script_decides_as_the_model_on_the_fake(story: list[Any]) -> None:
    agree(fakeredis.FakeRedis(), story)


@given(story=stories)
def test_the_local_limiter_decides_as_the_model(story: list[Any]) -> None:
    model, now = Model(), NOW
    local = LocalLimiter(lambda: now)
    for pause, group in story:
        now += pause
        for cost, buckets in group:
            violated = model.violated(now, cost, buckets)
            decision = local.take(buckets, cost)
            assert [standing.violated for standing in decision.standings] == violated
            for standing, bucket in zip(decision.standings, buckets, strict=True):
                left = (1 - model.owed(bucket, now) / (bucket.policy.rate.window_s * 10**6)) * bucket.policy.rate.quota
                assert standing.remaining == (0 if standing.violated else int(left))
