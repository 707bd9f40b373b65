"""`Luna`: the client that blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Self, Unpack

from workers.client.event import NewEvent
from workers.client.results import Accepted, RefusedEvent, Result
from workers.client.setup import CLOSE_S, ENQUEUE_S, FLUSH_S, FOLLOW_S, Options, assemble, made
from workers.client.wire import Wire


class Luna:
    """Publishes events. Thread-safe, and may be used on both sides of a fork; make one for each process or service.

    `token` is a JWT or an API key, or a function that returns one: it is asked first on first use, then whenever the
    gateway answers 401. The `options` are those of `Options`.
    """

    def __init__(self, url: str, token: str | Callable[[], str], **options: Unpack[Options]) -> None:
        parts = assemble(url, token, **options)
        self._calls = parts.calls
        self._outbox = parts.outbox
        self._wire = Wire(parts.address, parts.credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def publish(
        self,
        type: str,
        data: Mapping[str, Any],
        *,
        id: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        time: datetime | None = None,
        correlation_id: str | None = None,
    ) -> Accepted:
        """Publish one event; it is stored when this returns. Every try goes under one id, made here if none is given.

        Raises InvalidEventError (nothing was sent), Refused (no use in trying again) or Unavailable (safe to repeat
        under its `id`).
        """
        event = made(type, data, id=id, source=source, subject=subject, time=time)
        (result,) = self.publish_many([event], correlation_id=correlation_id)
        if not isinstance(result, Accepted):
            raise result
        return result

    def publish_many(self, events: Iterable[NewEvent], *, correlation_id: str | None = None) -> list[Result]:
        """Publish many, in order, in as few requests as the gateway's limits allow; one result for each.

        A result is Accepted, Refused or Unavailable: nothing is raised for a single event.
        """
        return self._wire.run(self._calls.deliver([event.outgoing for event in events], correlation_id))

    def enqueue(
        self,
        type: str,
        data: Mapping[str, Any],
        *,
        id: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        time: datetime | None = None,
        timeout: float = ENQUEUE_S,
    ) -> str:
        """Leave one event to the background; its id. With a spool it is on disk when this returns.

        Waits up to `timeout` seconds for room, then raises BufferFullError. Raises InvalidEventError at once.
        """
        event = made(type, data, id=id, source=source, subject=subject, time=time)
        self.enqueue_many([event], timeout=timeout)
        return event.id

    def enqueue_many(self, events: Iterable[NewEvent], *, timeout: float = ENQUEUE_S) -> None:
        """Leave many to the background, all or none; with a spool in one write to disk."""
        self._outbox.enqueue([event.outgoing for event in events], timeout)

    def flush(self, timeout: float = FLUSH_S) -> bool:
        """Wait until all that is enqueued by now is sent or refused. False when it is not after `timeout` seconds."""
        return self._outbox.flush(timeout)

    def refused(self) -> list[RefusedEvent]:
        """The enqueued events that the gateway refused, oldest first, the last thousand at most; a spool keeps them."""
        return self._outbox.refused()

    def trace(self, id: str, *, source: str | None = None) -> dict[str, Any]:
        """How far an event is, with its actors and follow-ups. Raises Refused (404: none of yours) or Unavailable."""
        return self._wire.run(self._calls.trace(id, source))

    def wait(self, id: str, *, source: str | None = None, timeout: float = FOLLOW_S) -> dict[str, Any]:
        """The event's trace once all of it is done or dead. Raises TimeoutError after `timeout` seconds."""
        return self._wire.run(self._calls.wait(id, source, timeout))

    def close(self, timeout: float = CLOSE_S) -> bool:
        """Flush, then close. False when events were left: a spool keeps them for the next process."""
        flushed = self._outbox.close(timeout)
        self._wire.close()
        return flushed
