"""One queue as one worker process sees it: what it reads, what it holds under lease, how much it may hold.

A lane outlives the consumers that Dramatiq opens and closes on it (pause, resume), because leases must be renewed as
long as the process holds a message.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

import redis
import structlog
from redis import Redis

from workers import keys
from workers.queue.delivery import Delivery
from workers.queue.scripts import BEGIN, RELEASE, RENEW, SWEEP, TEND
from workers.script import Argument

GROUP = "workers"
TEND_S = 0.5
"""How often, at least, delayed messages are moved and abandoned ones looked for: what takeover adds to the lease."""
PROMOTE = 500
AHEAD_S = 0.1
"""How much work may wait in this process, so that an idle worker elsewhere is not starved by more than this."""
STALLED_S = 1.0
"""When no run has ended for so long, what waits behind them is handed back: the pace was another one."""
WIDEST = 256
FIRST_PAUSE_S, LONGEST_PAUSE_S, CLOSING_PAUSE_S = 0.05, 1.0, 0.05
FORGOTTEN_MS = 3600 * 1000
"""A consumer that holds nothing and did not read for this long belongs to a process that is gone."""

log = structlog.get_logger(__name__)

Entry = tuple[str, bytes, int, bool]
"""Entry id, encoded message, deliveries, whether it may have been delivered before."""


class Lane:
    """Reads entries of one queue, and keeps the leases of those that are held. Every method is thread-safe."""

    def __init__(
        self,
        client: Redis,
        queue: str,
        consumer: str,
        lease_ms: int,
        hand_back: Callable[[], None] = lambda: None,
    ) -> None:
        """`hand_back` releases what this lane has read and no thread has begun."""
        self.queue = queue
        self.consumer = consumer
        self.closing = False
        self._client = client
        self._lease_ms = lease_ms
        self._hand_back = hand_back
        self._held: dict[str, Delivery | None] = {}
        self._room = threading.Condition()
        self._waiting = 0  # entries that wait or run here, and are not settled
        self._narrowest = self._window = self._widest = 1
        self._finished = 0
        self._measured_at = self._moved_at = time.monotonic()
        self._tend_at = 0.0
        self._more = False  # whether the last look had no room for all that it may have found
        self._take_over_at: float | None = None
        self._heard_ms = 0  # the server's clock when it last answered
        self._silence_ms = max(lease_ms // 3, int(TEND_S * 2000))  # how long it may say nothing: owners renew as often
        self._pause_s = 0.0
        self.paused = False

    def open(self, narrowest: int, widest: int) -> None:
        """Read from now on, with a window between these numbers of entries."""
        self.closing = False
        self._narrowest, self._window, self._widest = narrowest, narrowest, max(narrowest, widest)

    def read(self, timeout_s: float) -> list[Entry]:
        """The next entries, as many as the window has room for; empty when there are none within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        try:
            if self._take_over_at is None:
                self._take_over_at = time.monotonic() + self._young_server_s()
            room = self._wait_for_room(deadline)
            if self._waiting and time.monotonic() - self._moved_at > STALLED_S:
                self._hand_back()  # its threads are busy for long: others may have time
                self._moved_at = time.monotonic()
            entries = self._tend(room) if self._must_tend(room) else []
            if not entries and room and not self.paused and not self.closing:
                entries = self._read_new(room, min(deadline, self._tend_at) - time.monotonic())
            elif not entries:
                self._rest(min(deadline, self._tend_at) - time.monotonic())
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                self._back_off(error)
                return []
            self._create_group()
            return []
        except redis.RedisError as error:
            self._back_off(error)
            return []
        if self._pause_s:
            self._pause_s = 0.0
            log.info("queue.reachable", queue=self.queue)
        self._take_in(entries)
        return entries

    def _take_in(self, entries: list[Entry]) -> None:
        """They wait here from now on, under lease."""
        with self._room:
            if not self._waiting:
                self._moved_at = time.monotonic()  # nothing waited: what comes now has not waited long
            self._waiting += len(entries)
        for entry in entries:
            self._held[entry[0]] = None

    def hold(self, delivery: Delivery) -> None:
        """This entry has become a delivery."""
        self._held[delivery.entry_id] = delivery

    def finished(self) -> None:
        """One entry waits or runs here no more; its lease is kept until it is settled."""
        with self._room:
            self._waiting -= 1
            self._finished += 1
            self._moved_at = time.monotonic()
            if self._window - self._waiting >= self._worth_reading():
                self._room.notify()

    def settled(self, entry_id: str) -> None:
        """The entry is settled, or another worker's: its lease is not renewed any more."""
        self._held.pop(entry_id, None)

    def begin(self, delivery: Delivery) -> bool:
        """Record the start of a message that was delivered before; False when it is another worker's by now.

        Raises redis.RedisError.
        """
        args: list[Argument] = [self.consumer, delivery.entry_id, delivery.runs_begun]
        return bool(BEGIN.run(self._client, [keys.stream(self.queue)], args))

    def renew(self) -> None:
        """Renew the lease of all that is held. Raises redis.RedisError."""
        held = list(self._held)
        if not held:
            return
        for entry_id in RENEW.run(self._client, [keys.stream(self.queue)], [self.consumer, *held]):
            delivery = self._held.pop(entry_id.decode(), None)
            if delivery is not None and not delivery.settling:
                delivery.lost = True
                log.warning("lease.lost", queue=self.queue, message_id=delivery.message_id)

    def release(self, entry_ids: Iterable[str]) -> None:
        """Hand back entries that were not begun, so that others take them at once; out of reach, the lease ends."""
        ids = list(entry_ids)
        if not ids:
            return
        try:
            RELEASE.run(self._client, [keys.stream(self.queue)], [self.consumer, *ids])
        except redis.RedisError as error:
            log.warning("release.failed", queue=self.queue, entries=len(ids), error=str(error))
        for entry_id in ids:
            self.settled(entry_id)
        with self._room:
            self._waiting -= len(ids)

    def leave(self) -> None:
        """Take this consumer, if it holds nothing, and forgotten ones out of the group. Raises redis.RedisError."""
        SWEEP.run(self._client, [keys.stream(self.queue)], [self.consumer if self.closing else "", FORGOTTEN_MS])

    def _wait_for_room(self, deadline: float) -> int:
        """How many entries may be read; 0 when there is no room by the deadline."""
        with self._room:
            self._resize()
            until = min(deadline, max(self._tend_at, time.monotonic()))
            while self._window - self._waiting < self._worth_reading() and not self.closing:
                left = until - time.monotonic()
                if left <= 0 or not self._room.wait(left):
                    return 0
            return 0 if self.closing else self._window - self._waiting

    def _worth_reading(self) -> int:
        return 1 if self._window <= 2 * self._narrowest else self._window // 4

    def _resize(self) -> None:
        """Let the window follow the pace: as many as are finished in AHEAD_S."""
        elapsed = time.monotonic() - self._measured_at
        if elapsed < AHEAD_S / 2 or (not self._finished and elapsed < 1):
            return
        pace = int(self._finished / elapsed * AHEAD_S)
        self._window = min(self._widest, max(self._narrowest, pace))
        self._finished, self._measured_at = 0, time.monotonic()

    def _read_new(self, room: int, block_s: float) -> list[Entry]:
        answer: Any = self._client.execute_command(
            "XREADGROUP",
            *("GROUP", GROUP, self.consumer, "COUNT", room, "BLOCK", max(1, int(block_s * 1000))),
            *("STREAMS", keys.stream(self.queue), ">"),
        )
        # the value of the only field: an entry that somebody else wrote must not lose those that came with it
        return [(entry_id.decode(), next(iter(fields.values())), 1, False) for entry_id, fields in _flat(answer)]

    def _must_tend(self, room: int) -> bool:
        """A busy lane has no room when it is time to look: it looks again before newer entries fill what room comes."""
        return time.monotonic() >= self._tend_at or (self._more and room > 0)

    def _tend(self, room: int) -> list[Entry]:
        q, now = self.queue, time.monotonic()
        names = [keys.stream(q), keys.delayed(q), keys.delayed_messages(q), keys.paused(q)]
        until = self._heard_ms + self._silence_ms
        may = self._take_over_at is not None and now >= self._take_over_at
        paused, wait, heard, taken = TEND.run(
            self._client, names, [self.consumer, self._lease_ms, room, until if may else 0, PROMOTE]
        )
        if self._heard_ms and heard > until:
            self._take_over_at = time.monotonic() + self._lease_ms / 1000
        self._heard_ms = heard
        self._more = len(taken) // 3 >= room
        if paused and not self.paused:
            self._hand_back()
        self.paused = bool(paused)
        self._tend_at = time.monotonic() + (TEND_S if wait < 0 else min(TEND_S, wait / 1000))
        entries = [
            (entry_id.decode(), payload, int(deliveries), True)
            for entry_id, payload, deliveries in zip(taken[0::3], taken[1::3], taken[2::3], strict=True)
        ]
        return [entry for entry in entries if entry[0] not in self._held]  # our own, renewed too late, is still ours

    def _young_server_s(self) -> float:
        """No takeover within one lease of the server's start: owners that live have not had time to say so."""
        lease_s = self._lease_ms / 1000
        try:
            uptime = float(self._client.info("server")["uptime_in_seconds"])
        except redis.ResponseError:  # forbidden: then nobody can tell how young it is
            return lease_s
        return max(0.0, lease_s - uptime)

    def _create_group(self) -> None:
        """At 0: a group that was lost had delivered what is still in the stream."""
        try:
            self._client.xgroup_create(keys.stream(self.queue), GROUP, id="0", mkstream=True)
        except redis.RedisError as error:
            if not str(error).startswith("BUSYGROUP"):
                self._back_off(error)

    def _back_off(self, error: redis.RedisError) -> None:
        """Redis is away: wait, and after the reconnection take nothing over for one lease."""
        if not self._pause_s:
            log.warning("queue.unreachable", queue=self.queue, error=str(error))
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2 or FIRST_PAUSE_S)
        self._take_over_at = time.monotonic() + self._pause_s + self._lease_ms / 1000
        self._rest(self._pause_s)

    def _rest(self, seconds: float) -> None:
        with self._room:
            if seconds > 0:  # Dramatiq goes on asking until the last actor has ended
                self._room.wait(min(seconds, CLOSING_PAUSE_S) if self.closing else seconds)

    def close(self) -> None:
        """Read no more."""
        with self._room:
            self.closing = True
            self._room.notify_all()


def _flat(answer: Any) -> Iterable[tuple[bytes, dict[bytes, bytes]]]:
    """The entries in an answer of XREADGROUP for one stream: a list of streams in RESP2, a map in RESP3."""
    if not answer:
        return []
    if isinstance(answer, dict):
        (chunks,) = answer.values()
        return [pair for chunk in chunks for pair in chunk]
    ((_, entries),) = answer
    return cast("list[tuple[bytes, dict[bytes, bytes]]]", entries)
