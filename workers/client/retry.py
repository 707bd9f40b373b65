"""When to try again: as the gateway asks (Retry-After), else exponential backoff with full jitter, until a deadline.

tenacity and stamina were considered. Either would run `Luna` and `AsyncLuna` by two objects of its own, with this wait
and this stop written against its state, and neither knows a call of which a part is settled (the 503s inside a 207).
What is left for a library is a loop, and what a service imports should bring few dependencies with it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from workers.client.results import Reply

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 5.0
LONGEST_ASKED_S = 3600.0
MAX_DIGITS = 9

CONNECTION_LOST = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""As a rule the gateway closed a connection that was kept alive; a new one may work at once."""


class Attempts:
    """The tries of one call: how long each may take, how long to wait before the next. `now` is a monotonic clock."""

    def __init__(
        self, deadline_s: float, *, now: Callable[[], float], uniform: Callable[[float, float], float]
    ) -> None:
        self._ends = now() + deadline_s
        self._now = now
        self._uniform = uniform
        self._failed = 0

    @property
    def left_s(self) -> float:
        """How long this call may go on."""
        return self._ends - self._now()

    def pause(self, reply: Reply) -> float | None:
        """Seconds until the next try after this reply, or None when that would be past the deadline."""
        seconds = self._seconds(reply)
        self._failed += 1
        return seconds if seconds < self.left_s else None

    def _seconds(self, reply: Reply) -> float:
        if self._failed == 0 and isinstance(reply, CONNECTION_LOST):
            return 0.0
        asked = retry_after(reply)
        if asked:
            return asked + self._uniform(0, asked / 4)  # never earlier than asked, and not all at once
        return backoff(self._failed, self._uniform)


def backoff(failed: int, uniform: Callable[[float, float], float], longest: float = LONGEST_BACKOFF_S) -> float:
    """Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015) after `failed` tries before this one."""
    return uniform(0, min(longest, FIRST_BACKOFF_S * 2.0 ** min(failed, 30)))


def retry_after(reply: Reply) -> float | None:
    """The seconds that an answer asks to wait: Retry-After (RFC 9110, 10.2.3) as seconds or as a date."""
    if not isinstance(reply, httpx.Response):
        return None
    value = reply.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(LONGEST_ASKED_S, float(value[:MAX_DIGITS]))
    until = _date(value)
    if until is None:
        return None
    now = _date(reply.headers.get("Date", "")) or datetime.now(UTC)  # the server's own clock, if it tells
    return min(LONGEST_ASKED_S, max(0.0, (until - now).total_seconds()))


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)
