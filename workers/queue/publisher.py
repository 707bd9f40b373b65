"""Publishing: an event is stored once per (caller, source, id, actor), and confirmed only when it is stored.

`Publisher` serves actors and the scheduler; `AsyncPublisher` serves the gateway and writes all events that arrive
in the same moment in one call (group commit).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

import orjson
import redis.asyncio
import structlog
from dramatiq import Message
from dramatiq.middleware import CurrentMessage
from redis import Redis, RedisError

from workers import keys
from workers.errors import UnavailableError
from workers.event import Event, Route, digest, timestamp
from workers.queue import ledger
from workers.queue.delivery import Delivery
from workers.queue.encoding import encode
from workers.queue.limits import MAX_MESSAGE_BYTES, MessageTooLargeError
from workers.queue.scripts import PUBLISH
from workers.queue.server import Watch
from workers.script import Argument

ONCE_WINDOW_S = 24 * 3600
LONGEST_QUEUE = 1_000_000
"""Beyond this many entries a queue takes no events from outside; follow-ups it takes still."""

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 500

Routes = Mapping[str, Sequence[Route]]


class Outcome(IntEnum):
    """What the store said of one message."""

    CONFLICT = -1
    """the same (caller, source, id) was published before with another body"""
    DUPLICATE = 0
    """it was published before; nothing was stored"""
    STORED = 1
    FULL = -2
    """the queue holds as much as it may; nothing was stored"""


class _Item(NamedTuple):
    """One message for one queue: what publish.lua wants to know of it."""

    queue: str
    keys: list[str]
    args: list[Argument]
    elsewhere: list[str]
    """once-keys under which the same (caller, source, id) would have been stored as an event of another type"""


def fingerprint(event: Event) -> str:
    """The digest of type, subject and data: what must be equal for two posts to be the same event."""
    body = orjson.dumps([event.type, event.subject, event.data], option=orjson.OPT_SORT_KEYS)
    return digest(body.decode())


def _item(event: Event, route: Route, body: str, now: str, others: Iterable[Route] = ()) -> _Item:
    message: Message[None] = Message(
        queue_name=route.queue, actor_name=route.actor, args=(), kwargs={"event": event.to_dict()}, options={}
    )
    encoded = encode(message)
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise MessageTooLargeError(
            f"the event {event.type} has {len(encoded)} bytes as a message; the limit is {MAX_MESSAGE_BYTES}"
        )
    record = ledger.accepted(event, now)
    return _Item(
        route.queue,
        [keys.seen(route.queue, event.identity, route.actor), ledger.key(route.queue, event.id)],
        [body, encoded, ledger.field_name(event, route.actor, "event"), record],
        [keys.seen(other.queue, event.identity, other.actor) for other in others if other != route],
    )


def _call(queue: str, items: Sequence[_Item], limit: int) -> tuple[list[str], list[Argument]]:
    """The keys and arguments of publish.lua for these messages of one queue."""
    names = [keys.stream(queue), keys.ledgers(queue)]
    args: list[Argument] = [ONCE_WINDOW_S, ledger.RETENTION_S, limit]
    for item in items:
        names += item.keys
        args += item.args
    return names, args


def _by_queue(items: Iterable[_Item]) -> dict[str, list[_Item]]:
    grouped: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        grouped[item.queue].append(item)
    return grouped


class Publisher:
    """Stores events from synchronous code; thread-safe."""

    def __init__(self, client: Redis, routes: Routes) -> None:
        self._client = client
        self._routes = routes

    def publish(self, *events: Event) -> None:
        """Store the events on all their routes, one call for each queue; what was stored before stays as it is.

        Raises UnavailableError when the store does not confirm; publishing again is then safe. Raises
        MessageTooLargeError.
        """
        now = timestamp(datetime.now(UTC))
        items = [_item(event, route, fingerprint(event), now) for event in events for route in self._routes[event.type]]
        try:
            for queue, group in _by_queue(items).items():
                for first in range(0, len(group), MOST_AT_ONCE):
                    PUBLISH.run(self._client, *_call(queue, group[first : first + MOST_AT_ONCE], limit=0))
        except RedisError as error:
            raise _unavailable(error) from error

    def publish_follow_ups(self, parent: Event, actor: str, follow_ups: Sequence[Event]) -> None:
        """Store what `actor` derived from `parent`, and the link between them. Raises like `publish`."""
        if not follow_ups:
            return
        self.publish(*follow_ups)
        children = [{"id": child.id, "source": child.source, "type": child.type} for child in follow_ups]
        current = CurrentMessage.get_current_message()
        if isinstance(current, Delivery):
            current.follow_ups = children  # the link is written with its settlement
            return
        (queue,) = {route.queue for route in self._routes[parent.type] if route.actor == actor}
        try:
            ledger.write(self._client, queue, parent, actor, {"follow_ups": children})
        except RedisError as error:
            raise _unavailable(error) from error


Group = list[tuple[_Item, "asyncio.Future[Outcome]"]]


class AsyncPublisher:
    """Stores events from asyncio code: what arrives while a call is under way shares the next one."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        routes: Routes,
        *,
        watch: Watch | None = None,
        outside: Iterable[str] = (),
    ) -> None:
        """`watch` tells what the server must confirm and whether it is full; `outside` are the types callers may post.

        The same (caller, source, id) may be used for one of them only. Each queue is a slot of its own, so that is not
        one atomic step: of two such posts in the same moment both may be stored, as two events.
        """
        self._client = client
        self._routes = routes
        self._watch = watch
        self._others = {route for type_ in outside for route in routes[type_]}
        self._waiting: list[tuple[_Item, asyncio.Future[Outcome]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def publish(self, event: Event, body: str, *, fresh: bool = False) -> Outcome:
        """Store an event that has exactly one route. `body` is its `fingerprint` as the caller sent it.

        `fresh` says that its id was made for it, so that it cannot have been used before. Raises UnavailableError when
        the store does not confirm; publishing again is then safe. Raises MessageTooLargeError.
        """
        if self._watch is not None and self._watch.full:
            raise UnavailableError("Redis", "it is nearly full, and takes no new events")
        (route,) = self._routes[event.type]
        stored: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        now = timestamp(datetime.now(UTC))
        self._waiting.append((_item(event, route, body, now, () if fresh else self._others), stored))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            by_queue: dict[str, Group] = defaultdict(list)
            for item, stored in await self._refuse_reused(group):
                by_queue[item.queue].append((item, stored))
            await asyncio.gather(*(self._write_queue(queue, waiting) for queue, waiting in by_queue.items()))
        self._writer = None

    async def _refuse_reused(self, group: Group) -> Group:
        """Answer those whose id was used for an event of another type; the rest."""
        asked = [(item, stored) for item, stored in group if item.elsewhere]
        if not asked:
            return group
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for item, _ in asked:
                    for name in item.elsewhere:
                        pipeline.exists(name)
                answers = iter(await pipeline.execute())
        except Exception as error:  # noqa: BLE001 the task's edge: see _write_queue
            _fail(group, error)
            return []
        for item, stored in asked:
            used = [next(answers) for _ in item.elsewhere]
            if any(used) and not stored.done():
                stored.set_result(Outcome.CONFLICT)
        return [(item, stored) for item, stored in group if not stored.done() or stored.cancelled()]

    async def _write_queue(self, queue: str, group: Group) -> None:
        try:
            names, args = _call(queue, [item for item, _ in group], LONGEST_QUEUE)
            confirmation = await self._watch.confirmation() if self._watch else None
            answers = await PUBLISH.run_async(self._client, names, args, then=confirmation)
        except Exception as error:  # noqa: BLE001 the task's edge: nobody else would see it, and callers wait
            _fail(group, error)
            return
        for (_, stored), answer in zip(group, answers, strict=True):
            if not stored.done():  # else the caller went away; the event is stored all the same
                stored.set_result(Outcome(answer))


def _fail(group: Group, error: Exception) -> None:
    if not isinstance(error, RedisError):
        log.error("publisher.failed", exc_info=error)
    for _, stored in group:
        if not stored.done():
            stored.set_exception(_unavailable(error))


def _unavailable(error: Exception) -> UnavailableError:
    return UnavailableError("Redis", str(error))
