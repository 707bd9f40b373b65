"""Publishing: an event is stored once per (caller, source, id, actor), and confirmed only when it is stored.

`Publisher` serves actors and the scheduler; `AsyncPublisher` serves the gateway and writes all events that arrive
in the same moment in one call (group commit).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from enum import IntEnum
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
import redis.asyncio
import structlog
from dramatiq.middleware import CurrentMessage
from redis import Redis, RedisError

from workers import keys
from workers.errors import UnavailableError
from workers.event import Event, Route, now
from workers.queue import ledger
from workers.queue.delivery import Delivery
from workers.queue.encoding import encode_new
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


OUTCOMES = {int(outcome): outcome for outcome in Outcome}  # an enumeration takes its time to find its member


class Posting(NamedTuple):
    """An event to be stored. `sent` is the `fingerprint` of what its caller sent.

    `fresh` says that its id was made for it, so that it cannot have been used before.
    """

    event: Event
    sent: str
    fresh: bool = False


class _Item(NamedTuple):
    """One message for one queue: what publish.lua wants to know of it."""

    queue: str
    keys: tuple[str, str]
    args: tuple[Argument, ...]
    elsewhere: tuple[tuple[str, str], ...]
    """queues and once-keys where the same (caller, source, id) would be, were it an event of another type"""


def fingerprint(event: Event) -> str:
    """The digest of type, subject and data: what must be equal for two posts to be the same event."""
    return fingerprint_of(event.type, event.subject, event.data)


def fingerprint_of(type_: str, subject: str | None, data: dict[str, Any]) -> str:
    """The `fingerprint` of an event with these parts."""
    return blake2b(orjson.dumps([type_, subject, data], option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def _item(event: Event, route: Route, sent: str, now: str, others: Iterable[Route] = ()) -> _Item:
    encoded = encode_new(route.queue, route.actor, {"event": event.to_dict()})
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise MessageTooLargeError(
            f"the event {event.type} has {len(encoded)} bytes as a message; the limit is {MAX_MESSAGE_BYTES}"
        )
    identity = event.identity
    return _Item(
        route.queue,
        (keys.seen(route.queue, identity, route.actor), ledger.key(route.queue, event.id)),
        (sent, encoded, ledger.field_name(identity, route.actor, "event"), ledger.accepted(event, now)),
        tuple((other.queue, keys.seen(other.queue, identity, other.actor)) for other in others if other != route),
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
        moment = now()
        items = [
            _item(event, route, fingerprint(event), moment) for event in events for route in self._routes[event.type]
        ]
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


class _Call:
    """One call of `publish_all`: its answers as they come, and the moment when all of them are there."""

    def __init__(self, size: int) -> None:
        self.done: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._answers: dict[int, Answer] = {}
        self._size = size
        if not size:
            self.done.set_result([])

    def answer(self, place: int, answer: Answer) -> None:
        """Note what became of the event at this place; the first answer counts."""
        self._answers.setdefault(place, answer)
        if len(self._answers) == self._size and not self.done.done():  # else the caller went away
            self.done.set_result([self._answers[place] for place in range(self._size)])


Answer = Outcome | UnavailableError | MessageTooLargeError
Group = list[tuple[_Item, _Call, int]]


class AsyncPublisher:
    """Stores events from asyncio code: what arrives while a call is under way shares the next one."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        routes: Routes,
        *,
        watch: Watch | None = None,
        outside: Iterable[str] = (),
        longest: int = LONGEST_QUEUE,
    ) -> None:
        """`watch` tells what the server must confirm and whether it is full; `outside` are the types callers may post.

        The same (caller, source, id) may be used for one of them only. Each queue is a slot of its own, so that is not
        one atomic step: of two such posts in the same moment both may be stored, as two events. A queue of `longest`
        entries takes none.
        """
        self._routes = routes
        self._watch = watch
        self._others = {route for type_ in outside for route in routes[type_]}
        queues = {route.queue for entries in routes.values() for route in entries}
        self._lanes = {queue: _Lane(client, queue, watch, longest) for queue in queues}

    async def publish(self, event: Event, sent: str, *, fresh: bool = False) -> Outcome:
        """Store an event that has exactly one route; see `Posting`.

        Raises UnavailableError when the store does not confirm; publishing again is then safe. Raises
        MessageTooLargeError.
        """
        (answer,) = await self.publish_all([Posting(event, sent, fresh)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def publish_all(self, postings: Sequence[Posting]) -> list[Answer]:
        """Store events that have exactly one route each; for each its outcome, or what `publish` would raise."""
        return await self.put_all(postings)

    def put_all(self, postings: Sequence[Posting]) -> Awaitable[list[Answer]]:
        """The same, begun at once; what is to be awaited."""
        call, moment = _Call(len(postings)), now()
        for place, posting in enumerate(postings):
            self._put(posting, call, place, moment)
        return call.done

    def _put(self, posting: Posting, call: _Call, place: int, now: str) -> None:
        if self._watch is not None and self._watch.full:
            call.answer(place, UnavailableError("Redis", "it is nearly full, and takes no new events"))
            return
        (route,) = self._routes[posting.event.type]
        others = () if posting.fresh else self._others
        try:
            item = _item(posting.event, route, posting.sent, now, others)
        except MessageTooLargeError as error:
            call.answer(place, error)
        else:
            self._lanes[route.queue].put((item, call, place))


class _Lane:
    """The events that wait to be stored on one queue, with one call under way; queues do not wait for each other."""

    def __init__(self, client: redis.asyncio.Redis, queue: str, watch: Watch | None, longest: int) -> None:
        self._client, self._queue, self._watch, self._longest = client, queue, watch, longest
        self._clustered = isinstance(client, redis.asyncio.RedisCluster)
        self._waiting: Group = []
        self._writer: asyncio.Task[None] | None = None

    def put(self, entry: tuple[_Item, _Call, int]) -> None:
        """Have it stored with the next call, and its `_Call` told."""
        self._waiting.append(entry)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            try:
                await self._store(await self._refuse_reused(group))
            except Exception as error:  # noqa: BLE001 the task's edge: nobody else would see it, and callers wait
                _fail(group, error)
        self._writer = None

    async def _store(self, group: Group) -> None:
        if not group:
            return
        names, args = _call(self._queue, [item for item, _, _ in group], self._longest)
        confirmation = await self._watch.confirmation() if self._watch else None
        outcomes = await PUBLISH.run_async(self._client, names, args, then=confirmation)
        for (_, call, place), outcome in zip(group, outcomes, strict=True):
            call.answer(place, OUTCOMES[outcome])

    async def _refuse_reused(self, group: Group) -> Group:
        """Answer those whose id was used for an event of another type; the rest."""
        asked = [entry for entry in group if entry[0].elsewhere]
        if not asked or not await self._used(asked):
            return group
        rest = []  # rare: somebody used an id twice, so each is asked about by itself
        for item, call, place in group:
            if item.elsewhere and await self._used([(item, call, place)]):
                call.answer(place, Outcome.CONFLICT)
            else:
                rest.append((item, call, place))
        return rest

    async def _used(self, group: Group) -> bool:
        """Whether any of these was stored as an event of another type; on a Cluster each queue is asked by itself."""
        names: dict[str, list[str]] = defaultdict(list)
        for item, _, _ in group:
            for queue, name in item.elsewhere:
                names[queue if self._clustered else ""].append(name)
        return any(await asyncio.gather(*(self._client.exists(*elsewhere) for elsewhere in names.values())))


def _fail(group: Group, error: Exception) -> None:
    if not isinstance(error, RedisError):
        log.error("publisher.failed", exc_info=error)
    for _, call, place in group:
        call.answer(place, _unavailable(error))


def _unavailable(error: Exception) -> UnavailableError:
    return UnavailableError("Redis", str(error))
