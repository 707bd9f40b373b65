"""Actors for worker processes: what they do is written to a list in Redis. Run as a script, or by `dramatiq`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import dramatiq
import redis
from dramatiq import Worker

from tests.queues import Log, middleware
from workers.connection import connect
from workers.queue.broker import StreamsBroker
from workers.queue.scripts import SETTLE

client = connect(os.environ["REDIS_URL"])
log = Log(client)
broker = StreamsBroker(connect(os.environ["REDIS_URL"]), middleware(), lease_s=float(os.environ.get("LEASE_S", "2")))
dramatiq.set_broker(broker)


@dramatiq.actor
def note(line: str, *_: object) -> None:
    log.add(line)


@dramatiq.actor
def hold(line: str) -> None:
    """Run until the key `go` is there."""
    log.add(f"begin {line}")
    while not _may_go():
        time.sleep(0.02)
    log.add(f"end {line}")


def _may_go() -> bool:
    try:
        return bool(client.exists("go"))
    except redis.RedisError:
        return False  # the test has stopped the server


@dramatiq.actor(max_retries=0)
def die() -> None:
    log.add("die")
    os.kill(os.getpid(), signal.SIGKILL)


def die_before_settling(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    if client.exists("die before settling"):
        SETTLE.run = die_before_settling  # type: ignore[method-assign]  # a kill at the worst moment
    worker = Worker(broker, worker_threads=int(sys.argv[1]), worker_timeout=50)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker.start()
    stop.wait()
    worker.stop()


if __name__ == "__main__":
    main()
