"""The thread that sends what was enqueued: in order, in batches, for as long as it takes."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeGuard

from workers.client.calls import Calls
from workers.client.errors import BufferFullError, ClientError, Refused, Unavailable
from workers.client.event import Outgoing
from workers.client.results import TOO_MANY, Accepted, RefusedEvent, Result
from workers.client.retry import backoff
from workers.client.store import Queued, RefusedRow, Store
from workers.client.wire import Wire

LONGEST_PAUSE_S = 30.0
LAST_CALL_S = 1.0
"""How long `close` waits for a request under way."""
ROOM_POLL_S = 0.05

log = logging.getLogger("luna.client")


class Sender:
    """Sends from a store over a wire of its own, from `start` until `close`; any thread may enqueue."""

    def __init__(
        self,
        store: Store,
        calls: Calls,
        wire: Wire,
        *,
        linger_s: float,
        on_refused: Callable[[RefusedEvent], None] | None,
    ) -> None:
        self._store = store
        self._calls = calls
        self._wire = wire
        self._linger_s = linger_s
        self._on_refused = on_refused
        self._news = threading.Event()
        self._hurry = threading.Event()
        self._stop = threading.Event()
        self._settled = threading.Condition()
        self._gate = threading.Lock()
        self._closing = False
        self._failures = 0
        self._most = calls.most
        self._thread = threading.Thread(target=self._run, name="luna-client", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def enqueue(self, events: Sequence[Outgoing], timeout_s: float) -> None:
        """Keep these events, and send them later. Raises BufferFullError when there is no room within `timeout_s`."""
        ends = time.monotonic() + timeout_s
        while not self._put(events):
            self._hurry.set()
            left = ends - time.monotonic()
            if left <= 0:
                raise BufferFullError("no room: events come faster than they can be sent, or the spool's disk is full")
            with self._settled:
                self._settled.wait(min(left, ROOM_POLL_S))

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that is enqueued by now is sent or refused. False when it is not after `timeout_s`."""
        ends, last = time.monotonic() + timeout_s, self._store.last()
        self._hurry.set()
        self._news.set()
        while self._store.holds(last):
            left = ends - time.monotonic()
            if left <= 0 or not self._thread.is_alive():
                return False
            with self._settled:
                self._settled.wait(min(left, ROOM_POLL_S))
        return True

    def close(self, timeout_s: float) -> bool:
        """Flush, then stop. What a spool still holds is sent by the next process; what memory holds is lost."""
        with self._gate:
            self._closing = True
        try:
            flushed = self.flush(timeout_s)
        finally:
            self._stop.set()
            self._news.set()
            self._hurry.set()
        if not flushed:
            kept = "stay in the spool" if self._store.poll_s is not None else "are lost"
            log.error("closed before %d events were sent; they %s", self._store.waiting(), kept)
        self._thread.join(LAST_CALL_S)
        return flushed

    def refused(self) -> list[RefusedRow]:
        """What was refused."""
        return self._store.refused()

    def forked(self) -> None:
        """In a child process, where the thread is not."""
        self._store.forked()

    def _put(self, events: Sequence[Outgoing]) -> bool:
        with self._gate:  # so that nothing comes in behind the back of `close`
            if self._closing:
                raise ClientError("the client is closed")
            kept = self._store.put(events)
        if kept:
            self._news.set()
        return kept

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._step()
                except Exception:  # the thread must go on, whatever a disk or a token function does
                    log.exception("sending failed; it is tried again")
                    self._stop.wait(self._backoff())
        finally:
            self._store.close()
            self._wire.close()

    def _step(self) -> None:
        self._news.clear()
        if not self._store.may_send():
            self._stop.wait(self._store.poll_s)
            return
        batch = self._store.oldest(self._most)
        if not batch:
            self._hurry.clear()
            self._news.wait(self._store.poll_s)
            return
        if len(batch) < self._most and self._linger_s and not self._hurry.wait(self._linger_s):
            batch = self._store.oldest(self._most)
        self._send(batch)

    def _send(self, batch: list[Queued]) -> None:
        results = self._wire.run(self._calls.deliver([queued.event for queued in batch], patient=False))
        told = list(zip(batch, results, strict=True))
        refused = [(each, result) for each, result in told if isinstance(result, Refused) and result.about_event]
        sent = [each.number for each, result in told if isinstance(result, Accepted)]
        for each, error in refused:
            self._report(each, error)  # first: a crash in between tells twice rather than never
        if sent or refused:
            self._store.settle(sent, refused)
            with self._settled:
                self._settled.notify_all()
        held = [result for result in results if _barred(result)]
        self._hold(held[0], len(batch)) if held else self._resume()

    def _report(self, queued: Queued, error: Refused) -> None:
        log.warning("event %s was refused: %s", queued.event.id, error.status)
        if self._on_refused is None:
            return
        try:
            self._on_refused(RefusedEvent(json.loads(queued.event.body), error))
        except Exception:  # it is the service's, and must not stop the events behind
            log.exception("on_refused failed")

    def _hold(self, result: Refused | Unavailable, tried: int) -> None:
        """Wait before the same events are sent again: what bars them is not their fault."""
        if self._failures == 0:
            level = logging.ERROR if isinstance(result, Refused) else logging.WARNING
            reason = str(result) if isinstance(result, Refused) else result.reason
            log.log(level, "events wait (%d): %s", self._store.waiting(), reason)
        backoff_s, asked = self._backoff(), 0.0
        if isinstance(result, Unavailable):
            asked = result.retry_after or 0.0
            if result.status == TOO_MANY:
                self._most = max(1, tried // 2)  # a batch of n costs n: it may be more than is ever allowed
        self._stop.wait(asked + min(backoff_s, asked / 4) if asked else backoff_s)

    def _resume(self) -> None:
        if self._failures:
            log.info("events are sent again")
        self._failures = 0
        self._most = min(self._calls.most, self._most * 2)

    def _backoff(self) -> float:
        self._failures += 1
        return backoff(self._failures, random.uniform, LONGEST_PAUSE_S)


def _barred(result: Result) -> TypeGuard[Refused | Unavailable]:
    """Whether the event is neither sent nor refused for what it is."""
    return isinstance(result, Unavailable) or (isinstance(result, Refused) and not result.about_event)
