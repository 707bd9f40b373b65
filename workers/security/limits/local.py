"""The limiter of one process, for the time that Redis is away: the same policies, counted here alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workers.security.limits import gcra
from workers.security.limits.decision import Decision
from workers.security.limits.gcra import NOTHING, Debt
from workers.security.limits.policies import Bucket
from workers.security.limits.recent import Recent

MOST_BUCKETS = 50_000  # about 15 MB; one that is forgotten is full


class LocalLimiter:
    """Decides from memory. A fleet of N such processes admits up to N times what the policies say."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self._paid: Recent[Debt] = Recent(MOST_BUCKETS)
        """when each bucket is full again, by our clock"""

    def take(self, buckets: Sequence[Bucket], cost: int) -> Decision:
        """Draw on all of them, or on none."""
        now = self._clock_us()
        owed = [self._owed(bucket, now) for bucket in buckets]
        refused = [gcra.wait_us(debt, bucket.policy.rate, cost) > 0 for bucket, debt in zip(buckets, owed, strict=True)]
        if not any(refused):
            owed = [gcra.grown(debt, bucket.policy.rate, cost) for bucket, debt in zip(buckets, owed, strict=True)]
            for bucket, debt in zip(buckets, owed, strict=True):
                self._paid.put(bucket.key, Debt(now + debt.us, debt.part))
        return Decision.of(buckets, owed, refused, cost)

    def _owed(self, bucket: Bucket, now: int) -> Debt:
        paid = self._paid.get(bucket.key)
        return Debt(paid.us - now, paid.part) if paid and paid.us >= now else NOTHING
