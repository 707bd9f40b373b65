"""A look at something outside that can neither hold up who asks nor be asked too often: health is made of these."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple

import structlog

LONGEST_S = 1.0
"""How long whoever asks waits."""
FRESH_S = 1.0
"""How long an answer is good for."""

Status = Literal["ok", "degraded", "down"]

log = structlog.get_logger(__name__)


class Finding(NamedTuple):
    """How something is, in a word and in a sentence."""

    status: Status
    detail: str


class Seen(NamedTuple):
    """A finding, and how long it took."""

    finding: Finding
    latency_s: float


class Probe:
    """Runs `check` in a thread, at most one at a time; all who ask meanwhile share its finding. One event loop each.

    While a check hangs its thread is the only one, and every answer is `late`: whoever asks then does not wait at all.
    """

    def __init__(
        self, name: str, check: Callable[[], Finding], late: Finding, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._check, self._late, self._clock = name, check, late, clock
        self._last: Seen | None = None
        self._running: asyncio.Future[Seen] | None = None
        self._at = 0.0
        """When the last finding was made; while a check runs, when it began."""

    async def look(self) -> Seen:
        """How it is, within LONGEST_S; never older than FRESH_S, unless it is late."""
        if self._running is None:
            if self._last is not None and self._clock() - self._at < FRESH_S:
                return self._last
            self._running = self._start()
        running, waited = self._running, self._clock() - self._at
        await asyncio.wait({running}, timeout=max(0.0, LONGEST_S - waited))
        return running.result() if running.done() else Seen(self._late, self._clock() - self._at)

    def _start(self) -> asyncio.Future[Seen]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Seen] = loop.create_future()
        self._at = self._clock()

        def looking() -> None:
            seen = Seen(self._found(), self._clock() - self._at)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._end, future, seen)

        threading.Thread(target=looking, name=f"probe-{self._name}", daemon=True).start()
        return future

    def _found(self) -> Finding:
        try:
            return self._check()
        except Exception:  # a thread's edge
            log.exception("check.failed", check=self._name)
            return Finding(self._late.status, "it cannot be checked; the reason is logged")

    def _end(self, future: asyncio.Future[Seen], seen: Seen) -> None:
        self._last, self._running, self._at = seen, None, self._clock()
        future.set_result(seen)
