"""A Dramatiq broker over Redis Streams: what is accepted is stored, and leaves only by being settled.

Actors, middleware, the worker and its command line are Dramatiq's own. What differs is told in docs/queue.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import redis
from dramatiq import Message, Middleware
from dramatiq.errors import ConnectionClosed, QueueJoinTimeout, QueueNotFound
from redis import Redis

from workers.queue.consumer import StreamsConsumer
from workers.queue.delivery import Delivery
from workers.queue.hooks import HookedBroker
from workers.queue.store import MessageStore, encoded
from workers.queue.workplace import Lifecycle, Workplace

LEASE_S = 15.0


class StreamsBroker(HookedBroker):
    """The broker. `client` is connected on first use; `lease_s` is how long a killed worker's messages stay its own."""

    def __init__(self, client: Redis, middleware: list[Middleware] | None = None, *, lease_s: float = LEASE_S) -> None:
        super().__init__(middleware)
        self.client = client
        self.queues: set[str] = set()
        self.workplace = Workplace(client, lease_s, self.running, self._store_follow_up, self.confirmed)
        self._store = MessageStore(client)
        self.add_middleware(Lifecycle(self.workplace))

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue; idempotent. Delayed messages live in Redis, so there is no delay queue to declare."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """The names of all queues declared so far."""
        return self.queues.copy()

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Store a message, to be run at once or after `delay` ms.

        What hooks enqueue while a message is processed is stored before that message is settled; the message itself,
        enqueued by a hook, is settled as one to be run again. Raises QueueNotFound, MessageTooLargeError, and
        ConnectionClosed when Redis does not confirm.
        """
        current = self.processed
        if current is None:
            self._enqueue_now([(message, delay)])
        else:
            self._enqueue_with(current, message, delay)
        return message

    def enqueue_many(self, messages: Sequence[Message[Any]]) -> None:
        """Store many messages in as few round trips as can be. Raises like `enqueue`."""
        self._enqueue_now([(message, None) for message in messages])

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 1000) -> StreamsConsumer:
        """A consumer of one queue; `timeout` in ms.

        Dramatiq's `dramatiq_queue_prefetch` is obeyed where it is set; otherwise the window follows the pace, between
        `prefetch` / 2, which is one entry for each thread, and 256.
        """
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        lane = self.workplace.lane(queue_name, prefetch)
        return StreamsConsumer(lane, self.workplace.settler, self.actors, self.reject, timeout)

    def flush(self, queue_name: str) -> None:
        """Drop what is ready or delayed on a queue. Dead letters stay."""
        self._store.drop(queue_name)

    def flush_all(self) -> None:
        """Drop what is ready or delayed on all declared queues."""
        for queue_name in self.queues:
            self.flush(queue_name)

    def join(self, queue_name: str, *, interval: int = 20, timeout: int | None = None) -> None:
        """Wait until a queue is empty, delayed messages included. For tests; `interval` and `timeout` in ms.

        Raises QueueJoinTimeout.
        """
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        deadline = None if timeout is None else time.monotonic() + timeout / 1000
        while self._store.holds(queue_name):
            if deadline is not None and time.monotonic() >= deadline:
                raise QueueJoinTimeout(queue_name)
            time.sleep(interval / 1000)

    def close(self) -> None:
        """Settle what waits, and hold nothing any more."""
        self.workplace.settle()

    def _enqueue_now(self, messages: Sequence[tuple[Message[Any], int | None]]) -> None:
        for message, delay in messages:
            self._announce(message, delay)
        outgoing = [encoded(message, delay) for message, delay in messages]
        try:
            self._store.add(outgoing)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error
        for message, delay in messages:
            self.emit_after("enqueue", message, delay)

    def _enqueue_with(self, current: Delivery, message: Message[Any], delay: int | None) -> None:
        """Dramatiq swallows what a hook raises, so what can never be stored fails the message that asked for it."""
        try:
            self._announce(message, delay)
            if cast("object", message) is not current:
                current.outbox.append(encoded(message, delay))  # `after_enqueue` follows once it is stored
                return
            current.retry_delay_ms = max(0, int(delay or 0))
        except Exception as error:
            current.fail()
            current.fail_with(error)
            raise
        self.emit_after("enqueue", message, delay)

    def _announce(self, message: Message[Any], delay: int | None) -> None:
        """Hooks may add to a message before it is encoded."""
        if message.queue_name not in self.queues:
            raise QueueNotFound(message.queue_name)
        self.emit_before("enqueue", message, delay)

    def _store_follow_up(self, message: Message[Any], delay: int | None, body: bytes) -> None:
        self._store.add_follow_up(message, delay, body)
        self.emit_after("enqueue", message, delay)
