"""Small real objects that many tests need, each built in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dramatiq
import fakeredis
import redis
import redis.asyncio
from dramatiq import Worker

from actors.events import CONTRACTS
from actors.routes import QUEUES, ROUTES
from tests.servers import eventually
from workers import keys
from workers.cache import TaggedCache
from workers.connection import connect
from workers.database import Database
from workers.errors import PermanentError
from workers.event import Event, Route
from workers.handlers import Handlers
from workers.queue.broker import StreamsBroker
from workers.queue.consumer import StreamsConsumer
from workers.queue.delivery import Delivery
from workers.queue.encoding import decode
from workers.queue.graveyard import Graveyard
from workers.queue.lane import Lane
from workers.queue.publisher import Publisher
from workers.queue.retries import Retries

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


def an_event(type_: str = "user.signed_up", data: dict[str, Any] | None = None, **attributes: Any) -> Event:
    """An event of a shop; every call makes another one unless it is given an id."""
    return Event(
        **{"id": str(uuid4()), "source": "/shop", "type": type_, "data": data or {}, "caller": "shop", **attributes}
    )


def waiting(store: redis.Redis, queue: str) -> list[Event]:
    """The events that wait on a queue, in any order: the one place where tests know how a queue is stored."""
    stored: Any = store.xrange(keys.stream(queue))
    return [Event.from_dict(decode(fields[b"m"]).kwargs["event"]) for _, fields in stored]


def delivered(event: Event, *, actor: str, queue: str, attempt: int = 1) -> Delivery:
    """The message that brings an event to an actor for the given time."""
    options = {"retries": attempt - 1} if attempt > 1 else {}
    kwargs = {"event": event.to_dict()}
    message = dramatiq.Message[Any](queue_name=queue, actor_name=actor, args=(), kwargs=kwargs, options=options)
    return Delivery(message, Lane(connect(NOBODY_LISTENS), queue, "worker", 1_000), "1-0", 1, again=False)


class Told:
    """The lives of events, told to a store the way a worker does, one step at a time."""

    def __init__(self, store: redis.Redis, routes: Mapping[str, tuple[Route, ...]]) -> None:
        self.broker = StreamsBroker(store, middleware=[Retries(min_backoff=1, max_backoff=1)])
        self._consumers: dict[str, StreamsConsumer] = {}
        self._held: dict[tuple[str, str], Delivery] = {}
        for actor, queue in {route for known in routes.values() for route in known}:
            dramatiq.actor(_nothing, actor_name=actor, queue_name=queue, broker=self.broker, throws=PermanentError)

    def begin(self, event: Event, route: Route) -> None:
        """A run begins."""
        while (event.identity, route.actor) not in self._held:
            if route.queue not in self._consumers:
                self._consumers[route.queue] = self.broker.consume(route.queue, prefetch=100, timeout=20)
            consumer = self._consumers[route.queue]
            delivery = eventually(consumer.__next__, within=5, what=f"a message on {route.queue}")
            assert delivery.event is not None
            self._held[delivery.event.identity, delivery.actor_name] = delivery
        self.broker.emit_before("process_message", self._held[event.identity, route.actor])

    def end(self, event: Event, route: Route, error: Exception | None = None) -> None:
        """The run that was begun has ended, and is settled."""
        consumer, delivery = self._consumers[route.queue], self._held.pop((event.identity, route.actor))
        self.broker.emit_after("process_message", delivery, exception=error)
        (consumer.nack if delivery.failed else consumer.ack)(delivery)
        self.broker.close()

    def attempt(self, event: Event, route: Route, error: Exception | None = None) -> None:
        """A whole attempt."""
        self.begin(event, route)
        self.end(event, route, error)

    @contextmanager
    def alive(self, *queues: str) -> Iterator[Worker]:
        """A worker of these queues that says it lives, and takes nothing."""
        worker = Worker(self.broker, queues=set(queues))
        for queue in queues:
            self.broker.consume(queue)
        self.broker.emit_after("worker_boot", worker)
        try:
            yield worker
        finally:
            self.broker.emit_before("worker_shutdown", worker)
            self.broker.emit_after("worker_shutdown", worker)


def buried(store: redis.Redis, message: dramatiq.Message[Any], error: Exception) -> None:
    """Store a message that is no event, and let it die."""
    broker = StreamsBroker(store, middleware=[])
    dramatiq.actor(_nothing, actor_name=message.actor_name, queue_name=message.queue_name, broker=broker)
    broker.enqueue(message)
    consumer = broker.consume(message.queue_name, timeout=20)
    delivery = eventually(consumer.__next__)
    delivery.fail()
    delivery.fail_with(error)
    consumer.nack(delivery)
    broker.close()


def _nothing(**_: Any) -> None: ...


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
        graveyard=Graveyard(store, QUEUES),
        **resources,
    )
