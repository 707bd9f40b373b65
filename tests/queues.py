"""Brokers and workers for the tests of the queue, in this process and in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dramatiq
import orjson
import redis
from dramatiq import Middleware, Worker
from dramatiq.middleware import AgeLimit, Callbacks, CurrentMessage, Pipelines, ShutdownNotifications, TimeLimit

from tests.servers import Valkey, eventually
from workers import keys
from workers.connection import connect
from workers.queue.broker import StreamsBroker
from workers.queue.retries import Retries

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "integration" / "queue" / "program.py"


def middleware(*more: Middleware) -> list[Middleware]:
    """What Luna's workers have, in that order, with short waits; `more` come first and are outermost."""
    retries = Retries(max_retries=2, min_backoff=10, max_backoff=50)
    return [
        *more,
        *(AgeLimit(), Callbacks(), Pipelines(), CurrentMessage(), retries),
        *(ShutdownNotifications(), TimeLimit(interval=50)),
    ]


class Brokers:
    """Makes brokers on one server, each with a client of its own, and closes them all."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[StreamsBroker] = []

    def __call__(self, *more: Middleware, lease_s: float = 2.0) -> StreamsBroker:
        broker = StreamsBroker(connect(self._url), middleware(*more), lease_s=lease_s)
        self._made.append(broker)
        return broker

    def close(self) -> None:
        for broker in self._made:
            broker.close()
            broker.client.close()


@contextmanager
def working(
    broker: StreamsBroker, *, threads: int = 2, timeout_ms: int = 50, queues: set[str] | None = None
) -> Iterator[Worker]:
    """A worker in this process. It waits in short steps, so that stopping it takes no time."""
    worker = Worker(broker, worker_threads=threads, worker_timeout=timeout_ms, queues=queues)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


class Process:
    """A worker in a process of its own, running `program.py`."""

    def __init__(self, valkey: Valkey, *, threads: int = 2, lease_s: float = 2.0, prefetch: int = 0) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": valkey.url, "LEASE_S": str(lease_s)}
        environment["dramatiq_queue_prefetch"] = str(prefetch)
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(threads)], env=environment, stdout=subprocess.DEVNULL
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def terminate(self, within: float = 20) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(within)


class Log:
    """What actors did, in the order they did it; kept in Redis, so that processes can share it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def add(self, line: Any) -> None:
        self._client.rpush("log", str(line))

    @property
    def lines(self) -> list[str]:
        return [line.decode() for line in self._client.lrange("log", 0, -1)]

    def holds(self, *lines: Any, within: float = 20) -> None:
        """Wait until each of these lines is there at least once."""
        wanted = {str(line) for line in lines}
        eventually(lambda: wanted <= set(self.lines), within=within, what=f"the lines {sorted(wanted)[:5]}")


def empty(client: redis.Redis, queue: str = "default") -> bool:
    """Whether nothing is ready, running or delayed on a queue."""
    pipeline = client.pipeline()  # one moment for both: messages move between them
    pipeline.xlen(keys.stream(queue)).zcard(keys.delayed(queue))
    return not any(pipeline.execute())


def pending(client: redis.Redis, queue: str = "default") -> dict[str, int]:
    """How many entries each consumer holds."""
    return {row["name"].decode(): row["pending"] for row in client.xinfo_consumers(keys.stream(queue), "workers")}


def letters(client: redis.Redis, queue: str = "default") -> list[dict[str, Any]]:
    """The dead letters of a queue."""
    return [orjson.loads(body) for body in client.hvals(keys.letters(queue))]


def add(client: redis.Redis, payload: bytes, queue: str = "default") -> str:
    """Put bytes on a queue's stream as they are."""
    entry_id: bytes = client.xadd(keys.stream(queue), {"m": payload})
    return entry_id.decode()


def message(actor: str, *args: Any, queue: str = "default", **options: Any) -> dramatiq.Message[Any]:
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options=options)
