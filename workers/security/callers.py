"""Who is calling, however it was proved."""

from __future__ import annotations

from dataclasses import dataclass

from workers.errors import LunaError
from workers.rates import Rate

SCOPES = frozenset({"events:write", "events:read", "users:read", "users:write", "ops:read", "ops:write", "admin"})
MAX_SUBJECT_CHARS = 255  # OpenID Connect Core 1.0, 2


class InvalidCredentialError(LunaError):
    """The token or key is not one of ours, or no longer valid.

    The reason is for our logs, never for the caller, and never repeats the credential.
    """


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


def is_subject(value: object) -> bool:
    """Whether this can name a caller: printable text, not empty, not too long."""
    return isinstance(value, str) and 0 < len(value) <= MAX_SUBJECT_CHARS and value.isprintable()
