"""LUNA_RATE_LIMITS as policies, and the buckets of a request: one for each layer that applies to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, Self

from workers import keys, rates
from workers.event import digest
from workers.rates import Rate
from workers.security.callers import Caller

MOST_REMEMBERED = 10_000  # callers whose keys are not made anew for each request


class Policy(NamedTuple):
    """A rate under the name that callers see: `ip`, `user`, `key`, `failed` or `POST /v1/events`."""

    name: str
    rate: Rate


class Bucket(NamedTuple):
    """What one policy counts for one caller or address; its Redis key names neither.

    The key is of the rate too: a policy that changes begins with full buckets.
    """

    policy: Policy
    key: str


class Limits:
    """The layers that are on."""

    def __init__(self, layers: Mapping[str, Rate]) -> None:
        self._policies = {name: Policy(name.removeprefix(rates.ENDPOINT), rate) for name, rate in layers.items()}
        self._known = lru_cache(MOST_REMEMBERED)(self._buckets)
        self._failed = lru_cache(MOST_REMEMBERED)(self._failures)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The layers of a setting such as `ip=6000/1m, user=600/1m`; none for `off`. Raises ValueError."""
        return cls(rates.layers(text))

    def buckets(self, *, address: str, caller: Caller | None, endpoint: str) -> tuple[Bucket, ...]:
        """Those a request draws on. `endpoint` is the method and the route as it is written: `GET /v1/events/{id}`.

        Tokens draw on `user`, API keys on `key`, at their own rate if they have one; the endpoint's is the caller's,
        or the address's where nobody is known.
        """
        if not self._policies:
            return ()
        endpoint = rates.ENDPOINT + endpoint
        if endpoint not in self._policies:
            endpoint = ""
        if caller is None:
            return self._known(address, None, None, None, endpoint)
        return self._known(address, caller.subject, caller.key, caller.rate, endpoint)

    def failed(self, address: str) -> Bucket | None:
        """The one that a refused credential draws on, if that layer is on."""
        return self._failed(address)

    def _buckets(
        self, address: str, subject: str | None, key: str | None, own: Rate | None, endpoint: str
    ) -> tuple[Bucket, ...]:
        if key is not None:
            layer, who = "key", key
        elif subject is not None:
            layer, who = "user", subject
        else:
            layer, who = "ip", address
        drawn = [(self._policies.get("ip"), "ip", address)]
        if layer != "ip":
            drawn.append((Policy(layer, own) if own else self._policies.get(layer), layer, who))
        drawn.append((self._policies.get(endpoint), layer, who))
        return tuple(_bucket(policy, kind, whose) for policy, kind, whose in drawn if policy)

    def _failures(self, address: str) -> Bucket | None:
        policy = self._policies.get("failed")
        return _bucket(policy, "ip", address) if policy else None


def _bucket(policy: Policy, kind: str, whose: str) -> Bucket:
    return Bucket(policy, keys.limit(digest(policy.name, str(policy.rate), kind, whose)))
