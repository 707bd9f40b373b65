"""What `enqueue` puts events into: made on first use, one for each process, flushed when the interpreter ends."""

from __future__ import annotations

import atexit
import json
import threading
from collections.abc import Callable, Sequence

from workers.client.errors import ClientError, Refused
from workers.client.event import Outgoing
from workers.client.forks import watch
from workers.client.results import RefusedEvent
from workers.client.sender import Sender

EXIT_FLUSH_S = 5.0
"""How long the end of the interpreter is held up for events that wait."""


class Outbox:
    """One sender, begun when it is needed; a forked child begins its own, with nothing of its parent's."""

    def __init__(self, make: Callable[[], Sender]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._sender: Sender | None = None
        self._closed = False
        watch(self)

    def begin(self) -> Sender:
        """The sender, running."""
        with self._lock:
            if self._closed:
                raise ClientError("the client is closed")
            if self._sender is None:
                self._sender = self._make()
                self._sender.start()
                atexit.register(self._sender.close, EXIT_FLUSH_S)
            return self._sender

    def enqueue(self, events: Sequence[Outgoing], timeout_s: float) -> None:
        """See `Luna.enqueue`."""
        self.begin().enqueue(events, timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """See `Luna.flush`."""
        sender = self._sender
        return sender is None or sender.flush(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """See `Luna.close`."""
        with self._lock:
            self._closed, sender, self._sender = True, self._sender, None
        if sender is None:
            return True
        atexit.unregister(sender.close)
        return sender.close(timeout_s)

    def refused(self) -> list[RefusedEvent]:
        """See `Luna.refused`."""
        return [
            RefusedEvent(json.loads(row.event.body), Refused(row.status, row.problem, id=row.event.id))
            for row in self.begin().refused()
        ]

    def forked(self) -> None:
        """In a child process."""
        self._lock = threading.Lock()
        if self._sender is not None:
            atexit.unregister(self._sender.close)
            self._sender.forked()
            self._sender = None
