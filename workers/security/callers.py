"""Who is calling, however it was proved."""

from __future__ import annotations

from dataclasses import dataclass

from workers.rates import Rate

SCOPES = frozenset({"events:write", "events:read", "users:read", "users:write", "ops:read", "ops:write", "admin"})


@dataclass(frozen=True, slots=True)
class Caller:
    """The subject of a token or API key and what it may do. `admin` may do everything.

    `key` is the id of the API key that was shown, None for a token; `rate` is that key's own limit, if it has one.
    """

    subject: str
    scopes: frozenset[str]
    key: str | None = None
    rate: Rate | None = None

    def may(self, scope: str) -> bool:
        """Whether the caller holds the scope."""
        return scope in self.scopes or "admin" in self.scopes
