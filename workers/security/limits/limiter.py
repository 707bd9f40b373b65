"""The limiter of a gateway process: all layers of a request in one atomic step, all requests of a moment in one call.

Redis decides. What it refused is refused from memory as long as that holds, and while it is away or too slow each
process counts for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import redis.asyncio
import structlog
from redis import RedisError

from workers.security.limits.decision import Decision
from workers.security.limits.gcra import SECOND_US
from workers.security.limits.local import LocalLimiter
from workers.security.limits.policies import Bucket
from workers.security.limits.refusals import Refusals
from workers.security.limits.take import TAKE, Call

TIMEOUT_S = 0.25  # a gateway that answers in a millisecond does not wait longer for a number
PAUSE_S = 1.0
"""How long a server that failed is left alone, until one request tries it again."""
MOST_AT_ONCE = 500

log = structlog.get_logger(__name__)


class _Request(NamedTuple):
    buckets: Sequence[Bucket]
    cost: int
    decided: asyncio.Future[Decision]


def _clock_us() -> int:
    return time.monotonic_ns() // 1000


class Limiter:
    """For asyncio, one for each process. Requests that arrive while a call is under way share the next one."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        timeout_s: float = TIMEOUT_S,
        pause_s: float = PAUSE_S,
        clock_us: Callable[[], int] = _clock_us,
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._pause_us = round(pause_s * SECOND_US)
        self._clock_us = clock_us
        self._refusals = Refusals(clock_us)
        self._local = LocalLimiter(clock_us)
        self._away_until: int | None = None
        self._waiting: list[_Request] = []
        self._decider: asyncio.Task[None] | None = None

    def known(self, buckets: Sequence[Bucket], cost: int = 1) -> Decision | None:
        """The refusal that is certain without asking; None where the server must be asked. No I/O."""
        if cost > 1 and any(cost > bucket.policy.rate.quota for bucket in buckets):
            return Decision.impossible_for(buckets, cost)
        return self._refusals.known(buckets, cost)

    async def take(self, buckets: Sequence[Bucket], cost: int = 1) -> Decision:
        """Draw `cost`, from 1 to 1,000, on all these buckets, or on none. Raises nothing, whatever Redis does."""
        if not buckets:
            return Decision()
        if refusal := self.known(buckets, cost):
            return refusal
        if self._left_alone():
            return self._local.take(buckets, cost)
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(buckets, cost, decided))
        if self._decider is None:
            self._decider = asyncio.create_task(self._decide())
        return await decided

    def _left_alone(self) -> bool:
        """Whether the server failed of late. Once the pause is over the first to ask tries it, for all."""
        if self._away_until is None:
            return False
        now = self._clock_us()
        if now < self._away_until:
            return True
        self._away_until = now + self._pause_us
        return False

    async def _decide(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            try:
                await self._ask(group)
            except Exception as error:  # noqa: BLE001 the task's edge: nobody else would see it, and callers wait
                self._fall_back(group, error)
            else:
                self._found()
        self._decider = None

    async def _ask(self, group: Sequence[_Request]) -> None:
        call = Call((request.buckets, request.cost) for request in group)
        asked = self._clock_us()
        async with asyncio.timeout(self._timeout_s):
            answer = await TAKE.run_async(self._client, call.names, call.args)
        for request, verdict in zip(group, call.read(answer), strict=True):
            for bucket, debt, violated in zip(request.buckets, *verdict, strict=True):
                if violated:
                    self._refusals.note(bucket, debt, asked)
            _settle(request, Decision.of(request.buckets, *verdict, request.cost))

    def _fall_back(self, group: Sequence[_Request], error: Exception) -> None:
        """Decide here for all that wait, and for those who come until the server is tried again."""
        if not isinstance(error, RedisError | TimeoutError):
            log.error("limits.failed", exc_info=error)
        if self._away_until is None:
            log.warning("limits.local", error=str(error) or type(error).__name__)
        self._away_until = self._clock_us() + self._pause_us
        waiting, self._waiting = [*group, *self._waiting], []
        for request in waiting:
            if not request.decided.done():
                _settle(request, self._local.take(request.buckets, request.cost))

    def _found(self) -> None:
        if self._away_until is not None:
            self._away_until = None
            log.info("limits.shared")


def _settle(request: _Request, decision: Decision) -> None:
    if not request.decided.done():  # else the caller went away; what was drawn stays drawn
        request.decided.set_result(decision)
