"""Where enqueued events wait to be sent: what the sender needs of it, and the kind that lies in memory.

The kind on disk is spool.py.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from workers.client import batches
from workers.client.errors import Refused
from workers.client.event import Outgoing

KEPT_REFUSED = 1000
OVERHEAD_BYTES = 512
"""What an event in memory takes beside its body."""


class Queued(NamedTuple):
    """An event with its number in the store; numbers only grow."""

    number: int
    event: Outgoing


class RefusedRow(NamedTuple):
    """A refused event, as kept."""

    event: Outgoing
    status: int
    problem: dict[str, object]


class Store(Protocol):
    """Events in order. Thread-safe; one thread alone takes and settles."""

    poll_s: float | None
    """How often to look for what other processes put in; None where there are none."""

    def put(self, events: Sequence[Outgoing]) -> bool:
        """Keep all of them; False, and none is kept, when there is no room."""

    def may_send(self) -> bool:
        """Whether it is this process that sends."""

    def oldest(self, most: int) -> list[Queued]:
        """The next batch."""

    def settle(self, sent: Sequence[int], refused: Sequence[tuple[Queued, Refused]]) -> None:
        """Forget what was sent, put aside what was refused; both or neither."""

    def holds(self, number: int) -> bool:
        """Whether anything up to this number waits."""

    def last(self) -> int:
        """The number of the newest event that waits; 0 when none does."""

    def waiting(self) -> int:
        """How many wait."""

    def refused(self) -> list[RefusedRow]:
        """What was refused, newest last, the last KEPT_REFUSED of them."""

    def close(self) -> None:
        """Give back what is held open."""

    def forked(self) -> None:
        """In a child process: let go of all that is the parent's, and touch nothing of it."""


class Memory:
    """Events in memory, up to `capacity` bytes. They die with the process."""

    poll_s: float | None = None

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._queue: deque[Queued] = deque()
        self._bytes = 0
        self._number = 0
        self._refused: deque[RefusedRow] = deque(maxlen=KEPT_REFUSED)

    def put(self, events: Sequence[Outgoing]) -> bool:
        size = sum(map(_size, events))
        with self._lock:
            if self._bytes + size > self._capacity:
                return False
            for event in events:
                self._number += 1
                self._queue.append(Queued(self._number, event))
            self._bytes += size
            return True

    def may_send(self) -> bool:
        return True

    def oldest(self, most: int) -> list[Queued]:
        with self._lock:
            return batches.first(self._queue, lambda queued: len(queued.event.body), most)

    def settle(self, sent: Sequence[int], refused: Sequence[tuple[Queued, Refused]]) -> None:
        gone = {*sent, *(queued.number for queued, _ in refused)}
        with self._lock:
            kept: list[Queued] = []
            while gone:  # they are the oldest, or nearly
                queued = self._queue.popleft()
                if queued.number in gone:
                    gone.discard(queued.number)
                    self._bytes -= _size(queued.event)
                else:
                    kept.append(queued)
            self._queue.extendleft(reversed(kept))
            self._refused.extend(RefusedRow(queued.event, error.status, error.problem) for queued, error in refused)

    def holds(self, number: int) -> bool:
        with self._lock:
            return bool(self._queue) and self._queue[0].number <= number

    def last(self) -> int:
        with self._lock:
            return self._queue[-1].number if self._queue else 0

    def waiting(self) -> int:
        with self._lock:
            return len(self._queue)

    def refused(self) -> list[RefusedRow]:
        with self._lock:
            return list(self._refused)

    def close(self) -> None: ...

    def forked(self) -> None: ...


def _size(event: Outgoing) -> int:
    return len(event.body) + OVERHEAD_BYTES
