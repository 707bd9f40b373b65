"""Small real objects that many tests need, each built in one line."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import dramatiq
import fakeredis
import redis
import redis.asyncio
from dramatiq.broker import MessageProxy

from actors.events import CONTRACTS
from actors.routes import ROUTES
from workers import keys
from workers.cache import TaggedCache
from workers.database import Database
from workers.event import Event
from workers.handlers import Handlers
from workers.queue.publisher import Publisher

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


def an_event(type_: str = "user.signed_up", data: dict[str, Any] | None = None, **attributes: Any) -> Event:
    """An event of a shop; every call makes another one unless it is given an id."""
    return Event(
        **{"id": str(uuid4()), "source": "/shop", "type": type_, "data": data or {}, "caller": "shop", **attributes}
    )


def waiting(store: redis.Redis, queue: str) -> list[Event]:
    """The events that wait on a queue, in any order: the one place where tests know how a queue is stored."""
    stored: Any = store.hvals(keys.dramatiq_messages(queue))
    return [Event.from_dict(dramatiq.Message[Any].decode(message).kwargs["event"]) for message in stored]


def delivered(event: Event, *, actor: str, queue: str, attempt: int = 1) -> MessageProxy:
    """The message that brings an event to an actor for the given time."""
    message = dramatiq.Message[Any](
        queue_name=queue,
        actor_name=actor,
        args=(),
        kwargs={"event": event.to_dict()},
        options={"retries": attempt - 1} if attempt > 1 else {},
    )
    return MessageProxy(message)


def asynchronous(store: redis.Redis) -> redis.asyncio.Redis:
    """An asyncio client of the same server."""
    options = store.connection_pool.connection_kwargs
    if isinstance(store, fakeredis.FakeRedis):
        return fakeredis.FakeAsyncRedis(host=options["host"], port=options["port"])
    return redis.asyncio.Redis(host=options["host"], port=options["port"], password=options["password"])


def business(database: Database, store: redis.Redis, **resources: Any) -> Handlers:
    """What runs the actors in a worker, on a test's own database and store."""
    return Handlers(
        contracts=CONTRACTS,
        database=database,
        publisher=Publisher(store, ROUTES),
        cache=TaggedCache(store),
        **resources,
    )
