"""Dramatiq middleware of the queue: the event's status in the ledger, and the presence of a worker process."""

from __future__ import annotations

import os
import socket
import threading
import time
from datetime import UTC, datetime
from typing import Any

import dramatiq
import structlog
from dramatiq import Broker, Middleware, Worker
from dramatiq.broker import MessageProxy
from redis import Redis, RedisError

from workers import keys
from workers.event import Event, timestamp
from workers.queue import ledger

HEARTBEAT_S = 5.0
PRESENCE_S = 15  # three missed heartbeats
ERROR_CHARS = 500

log = structlog.get_logger(__name__)


def worker_id() -> str:
    """This process among all workers: host:pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def event_of(message: dramatiq.Message[Any] | MessageProxy) -> Event | None:
    """The event in a message, or None for a message that was not made by the publisher."""
    envelope = message.kwargs.get("event")
    return Event.from_dict(envelope) if isinstance(envelope, dict) else None


class EventStatus(Middleware):
    """Writes each attempt and its outcome to the ledger. Stands before `Retries`, whose verdict it reads.

    A ledger that cannot be written is logged and does not stop the work.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._started = threading.local()

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002 Dramatiq's signature
        """The attempt begins."""
        self._started.at = time.monotonic()
        self._started.number = message.options.get("retries", 0) + 1
        self._write(message, "running", {"started_at": timestamp(datetime.now(UTC)), "worker": worker_id()})

    def after_process_message(
        self,
        broker: Broker,  # noqa: ARG002 Dramatiq's signature
        message: MessageProxy,
        *,
        result: Any = None,  # noqa: ARG002 Dramatiq's signature
        exception: BaseException | None = None,
    ) -> None:
        """The attempt has ended: done, to be retried, or dead."""
        status = "done" if exception is None else "dead" if message.failed else "retrying"
        elapsed = time.monotonic() - self._started.at
        attempt: dict[str, Any] = {
            "started_at": timestamp(datetime.fromtimestamp(time.time() - elapsed, UTC)),
            "duration_ms": round(elapsed * 1000, 1),
            "worker": worker_id(),
        }
        if exception is not None:
            attempt["error"] = {"type": type(exception).__name__, "message": str(exception)[:ERROR_CHARS]}
        self._write(message, status, attempt)

    def _write(self, message: MessageProxy, status: str, attempt: dict[str, Any]) -> None:
        event = event_of(message)
        if event is None:
            return
        pipeline = self._client.pipeline(transaction=False)
        parts = {"status": status, f"attempt:{self._started.number}": attempt}
        ledger.write(pipeline, message.queue_name, event, message.actor_name, parts)
        try:
            pipeline.execute()
        except RedisError as error:
            log.warning("ledger.unwritable", error=str(error))


class Presence(Middleware):
    """Tells that this worker process lives and which queues it consumes, until it stops or dies."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._stop = threading.Event()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Consumers run: say so from now on."""
        queues = sorted(worker.consumer_whitelist or broker.get_declared_queues())
        threading.Thread(target=self._beat, args=(queues,), name="presence", daemon=True).start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 Dramatiq's signature
        """The worker takes no more messages."""
        self._stop.set()
        pipeline = self._client.pipeline(transaction=False)
        pipeline.delete(keys.worker(worker_id()))
        pipeline.zrem(keys.WORKERS, worker_id())
        try:
            pipeline.execute()
        except RedisError as error:
            log.warning("presence.unwritable", error=str(error))

    def _beat(self, queues: list[str]) -> None:
        while not self._stop.is_set():
            try:
                self._say(queues)
            except RedisError as error:
                log.warning("presence.unwritable", error=str(error))
            self._stop.wait(HEARTBEAT_S)

    def _say(self, queues: list[str]) -> None:
        name, now = keys.worker(worker_id()), int(time.time() * 1000)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hset(name, mapping={"queues": ",".join(queues), "seen_ms": now})
        pipeline.expire(name, PRESENCE_S)
        pipeline.zadd(keys.WORKERS, {worker_id(): now})
        pipeline.zremrangebyscore(keys.WORKERS, "-inf", now - PRESENCE_S * 1000)
        pipeline.execute()
