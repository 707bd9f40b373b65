"""`AsyncLuna`: the client for asyncio. What is enqueued is sent by a thread, which a busy loop does not hold up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Self, Unpack

from workers.client.event import NewEvent
from workers.client.results import Accepted, RefusedEvent, Result
from workers.client.setup import CLOSE_S, ENQUEUE_S, FLUSH_S, FOLLOW_S, Options, assemble, made
from workers.client.wire import AsyncWire


class AsyncLuna:
    """`Luna` for asyncio: the same calls, awaited. Make one for each event loop.

    A token function is called in a thread, so it may block.
    """

    def __init__(self, url: str, token: str | Callable[[], str], **options: Unpack[Options]) -> None:
        parts = assemble(url, token, **options)
        self._calls = parts.calls
        self._outbox = parts.outbox
        self._wire = AsyncWire(parts.address, parts.credentials)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def publish(
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
        (result,) = await self.publish_many([event], correlation_id=correlation_id)
        if not isinstance(result, Accepted):
            raise result
        return result

    async def publish_many(self, events: Iterable[NewEvent], *, correlation_id: str | None = None) -> list[Result]:
        """Publish many, in order, in as few requests as the gateway's limits allow; one result for each.

        A result is Accepted, Refused or Unavailable: nothing is raised for a single event.
        """
        return await self._wire.run(self._calls.deliver([event.outgoing for event in events], correlation_id))

    async def enqueue(
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
        await self.enqueue_many([event], timeout=timeout)
        return event.id

    async def enqueue_many(self, events: Iterable[NewEvent], *, timeout: float = ENQUEUE_S) -> None:
        """Leave many to the background, all or none; with a spool in one write to disk."""
        await asyncio.to_thread(self._outbox.enqueue, [event.outgoing for event in events], timeout)

    async def flush(self, timeout: float = FLUSH_S) -> bool:
        """Wait until all that is enqueued by now is sent or refused. False when it is not after `timeout` seconds."""
        return await asyncio.to_thread(self._outbox.flush, timeout)

    async def refused(self) -> list[RefusedEvent]:
        """The enqueued events that the gateway refused, oldest first, the last thousand at most; a spool keeps them."""
        return await asyncio.to_thread(self._outbox.refused)

    async def trace(self, id: str, *, source: str | None = None) -> dict[str, Any]:
        """How far an event is, with its actors and follow-ups. Raises Refused (404: none of yours) or Unavailable."""
        return await self._wire.run(self._calls.trace(id, source))

    async def wait(self, id: str, *, source: str | None = None, timeout: float = FOLLOW_S) -> dict[str, Any]:
        """The event's trace once all of it is done or dead. Raises TimeoutError after `timeout` seconds."""
        return await self._wire.run(self._calls.wait(id, source, timeout))

    async def aclose(self, timeout: float = CLOSE_S) -> bool:
        """Flush, then close. False when events were left: a spool keeps them for the next process."""
        flushed = await asyncio.to_thread(self._outbox.close, timeout)
        await self._wire.close()
        return flushed
