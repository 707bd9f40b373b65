"""Refusals that still hold: what the server said a bucket owes can only have been added to, and time pays it off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from workers.security.limits import gcra
from workers.security.limits.decision import Decision, Standing
from workers.security.limits.gcra import Debt
from workers.security.limits.policies import Bucket
from workers.security.limits.recent import Recent

MOST_BUCKETS = 10_000


class _Paid(NamedTuple):
    """When a bucket is full again by our clock: the server said so between two moments, so not before and not after."""

    soonest: int
    latest: int


class Refusals:
    """The memory of one process: a caller over its limit costs Redis nothing more."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self._paid: Recent[_Paid] = Recent(MOST_BUCKETS)

    def note(self, bucket: Bucket, debt: Debt, asked_us: int) -> None:
        """The server, asked at that moment and heard now, refused for this bucket."""
        latest = self._clock_us() + debt.us + (debt.part > 0)
        self._paid.put(bucket.key, _Paid(asked_us + debt.us, latest))

    def known(self, buckets: Sequence[Bucket], cost: int) -> Decision | None:
        """The refusal of what would be refused if the server were asked."""
        if not len(self._paid):
            return None
        violated = [standing for bucket in buckets if (standing := self._violated(bucket, cost))]
        return Decision.refusal(buckets, violated) if violated else None

    def _violated(self, bucket: Bucket, cost: int) -> Standing | None:
        paid = self._paid.get(bucket.key)
        if paid is None:
            return None
        now = self._clock_us()
        if gcra.wait_us(Debt(max(0, paid.soonest - now)), bucket.policy.rate, cost) == 0:
            if paid.soonest <= now:
                self._paid.drop(bucket.key)
            return None
        return Standing.of(bucket.policy, Debt(paid.latest - now), True, cost)
