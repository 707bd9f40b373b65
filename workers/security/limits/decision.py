"""What a limiter says of a request, and how HTTP says it (draft-ietf-httpapi-ratelimit-headers-10, RFC 9651)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple, Self

from workers.security.limits import gcra
from workers.security.limits.gcra import Debt
from workers.security.limits.policies import Bucket, Policy


class Standing(NamedTuple):
    """Where a caller stands with one policy.

    `seconds` is until the request passes where it was violated, else until the bucket is full.
    """

    policy: Policy
    remaining: int
    seconds: int
    violated: bool

    @classmethod
    def of(cls, policy: Policy, debt: Debt, violated: bool, cost: int) -> Self:
        """That of one who owes `debt`. A violated policy has nothing left, however little was asked for."""
        if violated:
            return cls(policy, 0, max(1, gcra.whole_seconds(gcra.wait_us(debt, policy.rate, cost))), violated=True)
        return cls(policy, gcra.remaining(debt, policy.rate), gcra.whole_seconds(debt.us + (debt.part > 0)), False)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request may pass. `standings` are those that are known: all, or only the violated ones."""

    policies: tuple[Policy, ...] = ()
    standings: tuple[Standing, ...] = ()
    violated: tuple[str, ...] = ()
    """the names of the policies that refuse; none: it may pass"""
    impossible: bool = False
    """it costs more than a violated policy's whole quota: no waiting helps"""

    @classmethod
    def impossible_for(cls, buckets: Sequence[Bucket], cost: int) -> Self:
        """The refusal of what costs more than the quota of one of these."""
        policies = tuple(bucket.policy for bucket in buckets)
        violated = tuple(policy.name for policy in policies if cost > policy.rate.quota)
        return cls(policies, violated=violated, impossible=True)

    @classmethod
    def of(cls, buckets: Sequence[Bucket], debts: Iterable[Debt], refused: Sequence[bool], cost: int) -> Self:
        """The decision on who asked for `cost` and owes these `debts`; those that `refused` had no room for it."""
        policies = tuple([bucket.policy for bucket in buckets])
        standings = tuple(map(Standing.of, policies, debts, refused, repeat(cost)))
        violated = tuple([policy.name for policy, no in zip(policies, refused, strict=True) if no])
        return cls(policies, standings, violated)

    @classmethod
    def refusal(cls, buckets: Sequence[Bucket], standings: Sequence[Standing]) -> Self:
        """The refusal by these policies alone; of the other buckets nothing is known."""
        violated = tuple(standing.policy.name for standing in standings)
        return cls(tuple(bucket.policy for bucket in buckets), tuple(standings), violated)

    @property
    def allowed(self) -> bool:
        """Whether every layer lets it pass."""
        return not self.violated

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which it passes, if nobody else draws on the same buckets; 0 if allowed or impossible."""
        return max((standing.seconds for standing in self.standings if standing.violated), default=0)

    @property
    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy`, `RateLimit`, and `Retry-After` for a refusal that does not last; none without a limit."""
        found = {"RateLimit-Policy": _policy_field(self.policies)} if self.policies else {}
        if self.standings:
            found["RateLimit"] = ", ".join([f'"{p.name}";r={r};t={t}' for p, r, t, _ in self.standings])
        if seconds := self.violated and self.retry_after_s:
            found["Retry-After"] = str(seconds)
        return found

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The same for ASGI."""
        return [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]


@lru_cache(1000)
def _policy_field(policies: tuple[Policy, ...]) -> str:
    return ", ".join(f'"{name}";q={rate.quota};w={rate.window_s}' for name, rate in policies)
