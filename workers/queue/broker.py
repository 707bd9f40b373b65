"""A Dramatiq broker over Redis Streams: what is accepted is stored, and leaves only by being settled.

Actors, middleware, the worker and its command line are Dramatiq's own. What differs is told in docs/queue.md.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, PriorityQueue
from secrets import token_hex
from typing import Any, NoReturn, cast

import dramatiq.worker
import redis
import structlog
from dramatiq import Broker, Message, Middleware, Worker
from dramatiq.broker import MessageProxy
from dramatiq.common import iter_queue
from dramatiq.errors import ConnectionClosed, QueueJoinTimeout, QueueNotFound
from dramatiq.middleware import MiddlewareError, SkipMessage
from dramatiq.middleware.threading import Interrupt
from dramatiq.worker import ConsumerThread
from redis import Redis

from workers import keys
from workers.queue.consumer import StreamsConsumer
from workers.queue.delivery import Delivery, Outgoing
from workers.queue.encoding import encode
from workers.queue.keeper import Keeper
from workers.queue.lane import WIDEST, Lane
from workers.queue.limits import MAX_MESSAGE_BYTES, MessageTooLargeError
from workers.queue.scripts import DELAY, STORE
from workers.queue.settler import Settler

LEASE_S = 15.0
SETTLE_TIMEOUT_S = 10.0
PIPELINED = 1_000

log = structlog.get_logger(__name__)


class StreamsBroker(Broker):
    """The broker. `client` is connected on first use; `lease_s` is how long a killed worker's messages stay its own."""

    def __init__(self, client: Redis, middleware: list[Middleware] | None = None, *, lease_s: float = LEASE_S) -> None:
        self._hooks: dict[str, list[Callable[..., None]]] = {}
        super().__init__(middleware)
        self.client = client
        self.queues: set[str] = set()
        self.consumer = f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"
        self._lease_s = lease_s
        self._lanes: dict[str, Lane] = {}
        self._running: dict[int, Delivery] = {}
        self._processing = threading.local()
        self._settler = Settler(client, self.consumer, self._store_follow_up, self._confirmed)
        self._keeper: Keeper | None = None
        self.add_middleware(_Lifecycle())

    # Dramatiq's interface

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
        current: Delivery | None = getattr(self._processing, "delivery", None)
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
        lane = self._lanes.get(queue_name)
        if lane is None:
            lane = self._lanes[queue_name] = Lane(self.client, queue_name, self.consumer, int(self._lease_s * 1000))
        fixed = dramatiq.worker.QUEUE_PREFETCH
        lane.open(fixed or max(1, prefetch // 2), fixed or WIDEST)
        return StreamsConsumer(lane, self._settler, self.actors, self._reject, timeout)

    def flush(self, queue_name: str) -> None:
        """Drop what is ready or delayed on a queue. Dead letters stay."""
        self.client.xtrim(keys.stream(queue_name), maxlen=0, approximate=False)
        self.client.delete(keys.delayed(queue_name), keys.delayed_messages(queue_name))

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
        while self._holds(queue_name):
            if deadline is not None and time.monotonic() >= deadline:
                raise QueueJoinTimeout(queue_name)
            time.sleep(interval / 1000)

    def _holds(self, queue_name: str) -> bool:
        pipeline = self.client.pipeline()  # one moment for both: messages move between them
        pipeline.xlen(keys.stream(queue_name))
        pipeline.zcard(keys.delayed(queue_name))
        return any(pipeline.execute())

    def close(self) -> None:
        """Settle what waits, and hold nothing any more."""
        if not self._settler.close(SETTLE_TIMEOUT_S):
            log.warning("broker.closed_unsettled")

    # Hooks: only those that a middleware has, in Dramatiq's order

    def add_middleware(self, middleware: Middleware, **where: Any) -> None:
        """See Broker."""
        super().add_middleware(middleware, **where)
        self._hooks.clear()

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """See Broker. While a message is processed, what its hooks enqueue belongs to it."""
        if signal == "process_message":
            self._begin(args[0])
        if signal == "ack":
            self._forsake_interrupted(args[0])
        name = f"before_{signal}"
        for hook in self._hooks_of(name):
            try:
                hook(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:
                log.critical("hook.failed", hook=name, exc_info=True)
        if signal == "process_message":
            self._processing.delivery = None  # what the actor enqueues is stored at once, and fails in the actor

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """See Broker. `after_ack` and `after_nack` are held back until the settlement is confirmed."""
        if signal in {"ack", "nack"}:
            self._processing.delivery = None
            return
        if signal in {"process_message", "skip_message"}:
            self._end(args[0], kwargs.get("exception"))
        self._emit_after(signal, *args, **kwargs)
        if signal in {"process_message", "skip_message"}:
            args[0].concluded = True
        if signal == "process_message" and kwargs.get("exception") is not None:
            args[0].decide()

    def _emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        name = f"after_{signal}"
        for hook in reversed(self._hooks_of(name)):
            try:
                hook(self, *args, **kwargs)
            except Exception:
                log.critical("hook.failed", hook=name, exc_info=True)
                if signal == "process_message":
                    args[0].hook_failed = True
            except Interrupt:
                if signal != "process_message":
                    raise
                log.warning("hook.interrupted", hook=name)
                args[0].lost = True  # a time limit that fired too late: settle nothing, it comes again

    def _hooks_of(self, name: str) -> list[Callable[..., None]]:
        found = self._hooks.get(name)
        if found is None:
            plain = getattr(Middleware, name)
            hooks = (getattr(middleware, name) for middleware in self.middleware)
            found = self._hooks[name] = [hook for hook in hooks if getattr(hook, "__func__", None) is not plain]
        return found

    # The life of a delivery

    def _begin(self, delivery: Delivery) -> None:
        self._processing.delivery = delivery
        delivery.begin()
        if (delivery.again or delivery.lost) and not self._may_run(delivery):
            self._processing.delivery = None
            raise SkipMessage("another worker has this message by now")
        self._running[threading.get_ident()] = delivery

    def _may_run(self, delivery: Delivery) -> bool:
        try:
            delivery.lost = not delivery.lane.begin(delivery)
        except redis.RedisError as error:
            log.warning("message.not_begun", message_id=delivery.message_id, error=str(error))
            delivery.lost = True  # not begun, and its lease not renewed: it comes again
        return not delivery.lost

    def _end(self, delivery: Delivery, error: BaseException | None) -> None:
        self._running.pop(threading.get_ident(), None)
        self._processing.delivery = delivery
        if not delivery.lost:
            delivery.end(error)

    def _forsake_interrupted(self, delivery: Delivery) -> None:
        """An interrupt that hits Dramatiq's own code, after the actor, would make a failed message a done one."""
        if delivery.started_at and not delivery.concluded:
            self._running.pop(threading.get_ident(), None)
            delivery.lost = True  # settle nothing, it comes again

    def _reject(self, delivery: Delivery) -> None:
        self._processing.delivery = delivery
        try:
            self.emit_before("nack", delivery)
        except MiddlewareError:
            log.exception("message.rejected_all_the_same", message_id=delivery.message_id)
        finally:
            self._processing.delivery = None

    def _confirmed(self, delivery: Delivery) -> None:
        self._emit_after("nack" if delivery.failed else "ack", delivery)

    # Storing messages

    def _enqueue_now(self, messages: Sequence[tuple[Message[Any], int | None]]) -> None:
        for message, delay in messages:
            self._announce(message, delay)
        encoded = [(message, delay, _encoded(message)) for message, delay in messages]
        try:
            self._store(encoded)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error

    def _enqueue_with(self, current: Delivery, message: Message[Any], delay: int | None) -> None:
        """Dramatiq swallows what a hook raises, so what can never be stored fails the message that asked for it."""
        try:
            self._announce(message, delay)
            wait = None if delay is None else max(0, int(delay))
            if cast("object", message) is not current:
                current.outbox.append((message, wait, _encoded(message)))  # `after_enqueue` once it is stored
                return
            current.retry_delay_ms = wait or 0
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

    def _store(self, encoded: Sequence[Outgoing]) -> None:
        """Write messages, in one pipeline where there are many. Raises redis.RedisError."""
        ready = [(message, body) for message, delay, body in encoded if delay is None]
        if len(ready) == 1:
            self.client.execute_command("XADD", keys.stream(ready[0][0].queue_name), "*", "m", ready[0][1])
        for first in range(0, len(ready) if len(ready) > 1 else 0, PIPELINED):
            pipeline = self.client.pipeline(transaction=False)
            for message, body in ready[first : first + PIPELINED]:
                pipeline.execute_command("XADD", keys.stream(message.queue_name), "*", "m", body)
            pipeline.execute()
        for message, delay, body in encoded:
            if delay is not None:
                self._put_aside(message, int(delay), body)
        for message, delay, _ in encoded:
            self._emit_after("enqueue", message, delay)

    def _store_follow_up(self, message: Message[Any], delay: int | None, body: bytes) -> None:
        """Write what a hook enqueued, also on a full server, so that it drains. Raises redis.RedisError."""
        if delay is None:
            STORE.run(self.client, [keys.stream(message.queue_name)], [body])
        else:
            self._put_aside(message, delay, body)
        self._emit_after("enqueue", message, delay)

    def _put_aside(self, message: Message[Any], delay: int, body: bytes) -> None:
        names = [keys.delayed(message.queue_name), keys.delayed_messages(message.queue_name)]
        DELAY.run(self.client, names, [token_hex(12), delay, body])

    # The life of a worker

    def _boot(self) -> None:
        lanes = self._lanes
        self._keeper = Keeper(self.client, self.consumer, self._lease_s, lambda: list(lanes.values()), self._running)
        self._keeper.start()

    def _shut(self, worker: Worker) -> None:
        """Read no more, and hand back at once what is prefetched and not begun."""
        for lane in self._lanes.values():
            lane.close()
        waiting: dict[str, list[MessageProxy]] = {}
        for item in iter_queue(worker.work_queue):
            waiting.setdefault(item.message.queue_name, []).append(item.message)
            worker.work_queue.task_done()
        for queue, messages in waiting.items():
            self._lanes[queue].release([message.entry_id for message in messages if isinstance(message, Delivery)])

    def _leave(self) -> None:
        if not self._settler.close(SETTLE_TIMEOUT_S):
            log.warning("worker.left_unsettled")  # their leases end, and others run them again
        if self._keeper is not None:
            self._keeper.stop()
        for lane in self._lanes.values():
            try:
                lane.leave()
            except redis.RedisError as error:
                log.warning("consumer.not_withdrawn", queue=lane.queue, error=str(error))


def _encoded(message: Message[Any]) -> bytes:
    body = encode(message)
    if len(body) > MAX_MESSAGE_BYTES:
        raise MessageTooLargeError(
            f"the message for {message.actor_name} has {len(body)} bytes; the limit is {MAX_MESSAGE_BYTES}"
        )
    return body


class _NoDelays(PriorityQueue[Any]):
    """Stands in for the delay queue that Dramatiq's consumer thread looks into after every message."""

    def get_nowait(self) -> NoReturn:
        raise Empty


class _Lifecycle(Middleware):
    """Tells the broker of its worker's boot and shutdown."""

    def after_consumer_thread_boot(self, broker: Broker, thread: ConsumerThread) -> None:  # noqa: ARG002 Dramatiq's signature
        thread.delay_queue = _NoDelays()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 Dramatiq's signature
        if isinstance(broker, StreamsBroker):
            broker._boot()  # noqa: SLF001 one component, split for Dramatiq's sake

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        if isinstance(broker, StreamsBroker):
            broker._shut(worker)  # noqa: SLF001

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 Dramatiq's signature
        if isinstance(broker, StreamsBroker):
            broker._leave()  # noqa: SLF001
