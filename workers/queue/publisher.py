"""Publishing: an event is stored once per (caller, source, id, actor), and confirmed only when it is stored.

`Publisher` serves actors and the scheduler; `AsyncPublisher` serves the gateway and writes all events that arrive
in the same moment in one pipeline (group commit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from importlib.resources import files
from typing import NamedTuple
from uuid import uuid4

import orjson
import redis.asyncio
import structlog
from dramatiq import Message
from redis import Redis, RedisError
from redis.client import Pipeline

from workers import keys
from workers.errors import UnavailableError
from workers.event import Event, Route, digest, timestamp
from workers.queue import ledger

ONCE_WINDOW_S = 24 * 3600
SCRIPT = files("workers.queue").joinpath("publish.lua").read_text()

log = structlog.get_logger(__name__)

Routes = Mapping[str, Sequence[Route]]


class Outcome(IntEnum):
    """What the store said of one message."""

    CONFLICT = -1
    """the same (caller, source, id) was published before with another body"""
    DUPLICATE = 0
    """it was published before; nothing was stored"""
    STORED = 1


class _Call(NamedTuple):
    keys: list[str]
    args: list[str | bytes | int]


def fingerprint(event: Event) -> str:
    """The digest of type, subject and data: what must be equal for two posts to be the same event."""
    body = orjson.dumps([event.type, event.subject, event.data], option=orjson.OPT_SORT_KEYS)
    return digest(body.decode())


def _call(event: Event, route: Route, body: str) -> _Call:
    message_id = str(uuid4())
    message = Message[None](
        queue_name=route.queue,
        actor_name=route.actor,
        args=(),
        kwargs={"event": event.to_dict()},
        options={"redis_message_id": message_id},
        message_id=message_id,
    )
    now = timestamp(datetime.now(UTC))
    return _Call(
        [
            keys.seen(route.queue, event.identity, route.actor),
            ledger.key(route.queue, event.id),
            keys.dramatiq_queue(route.queue),
            keys.dramatiq_messages(route.queue),
        ],
        [
            body,
            ONCE_WINDOW_S,
            message_id,
            message.encode(),
            ledger.field_name(event, route.actor, "event"),
            ledger.accepted(event, now),
            ledger.RETENTION_S,
        ],
    )


class Publisher:
    """Stores events from synchronous code; thread-safe."""

    def __init__(self, client: Redis, routes: Routes) -> None:
        self._client = client
        self._routes = routes
        self._script = client.register_script(SCRIPT)

    def publish(self, *events: Event) -> None:
        """Store the events on all their routes in one pipeline; what was stored before stays as it is.

        Raises UnavailableError when the store does not confirm; publishing again is then safe.
        """
        pipeline = self._client.pipeline(transaction=False)
        self._add(pipeline, events)
        self._execute(pipeline)

    def publish_follow_ups(self, parent: Event, actor: str, follow_ups: Sequence[Event]) -> None:
        """Store what `actor` derived from `parent`, and the link between them. Raises like `publish`."""
        if not follow_ups:
            return
        pipeline = self._client.pipeline(transaction=False)
        self._add(pipeline, follow_ups)
        children = [{"id": child.id, "source": child.source, "type": child.type} for child in follow_ups]
        (queue,) = {route.queue for route in self._routes[parent.type] if route.actor == actor}
        ledger.write(pipeline, queue, parent, actor, {"follow_ups": children})
        self._execute(pipeline)

    def _add(self, pipeline: Pipeline, events: Sequence[Event]) -> None:
        for event in events:
            for route in self._routes[event.type]:
                call = _call(event, route, fingerprint(event))
                self._script(keys=call.keys, args=call.args, client=pipeline)

    def _execute(self, pipeline: Pipeline) -> None:
        try:
            pipeline.execute()
        except RedisError as error:
            raise _unavailable(error) from error


class AsyncPublisher:
    """Stores events from asyncio code: what arrives while a pipeline is under way shares the next one."""

    def __init__(self, client: redis.asyncio.Redis, routes: Routes) -> None:
        self._client = client
        self._routes = routes
        self._script = client.register_script(SCRIPT)
        self._waiting: list[tuple[_Call, asyncio.Future[Outcome]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def publish(self, event: Event, body: str) -> Outcome:
        """Store an event that has exactly one route. `body` is its `fingerprint` as the caller sent it.

        Raises UnavailableError when the store does not confirm; publishing again is then safe.
        """
        (route,) = self._routes[event.type]
        stored: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((_call(event, route, body), stored))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                await self._write_group(group)
            except Exception as error:
                if not isinstance(error, RedisError):
                    log.exception("publisher.failed")  # the task's edge: nobody else would see it, and callers wait
                self._fail(group, error)
        self._writer = None

    async def _write_group(self, group: list[tuple[_Call, asyncio.Future[Outcome]]]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for call, _ in group:
                await self._script(keys=call.keys, args=call.args, client=pipeline)
            answers = await pipeline.execute(raise_on_error=False)
        for (_, stored), answer in zip(group, answers, strict=True):
            if stored.cancelled():
                continue  # the caller went away; the event is stored all the same
            if isinstance(answer, Exception):
                stored.set_exception(_unavailable(answer))
            else:
                stored.set_result(Outcome(answer))

    def _fail(self, group: list[tuple[_Call, asyncio.Future[Outcome]]], error: Exception) -> None:
        for _, stored in group:
            if not stored.done():
                stored.set_exception(_unavailable(error))


def _unavailable(error: Exception) -> UnavailableError:
    return UnavailableError("Redis", str(error))
