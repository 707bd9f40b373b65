"""What a worker process does beside its work: renew its leases, say that it lives, keep the ledger within bounds."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import redis
import structlog
from redis import Redis

from workers import __version__, keys
from workers.queue.delivery import Delivery
from workers.queue.lane import Lane

TICK_S = 1.0
PRESENCE_S = 15
LEDGERS_KEPT = 1_000_000
"""The most ledgers kept for each queue, about 0.5 kB each; beyond it the oldest go, whatever their age."""
TRIMMED_AT_ONCE = 1_000
SWEEP_S = 300.0

log = structlog.get_logger(__name__)


class Keeper:
    """Threads that outlive Redis being away: one for each lane's leases, as a shard may hang, and one for the rest."""

    def __init__(
        self,
        client: Redis,
        consumer: str,
        lease_s: float,
        lanes: Callable[[], Iterable[Lane]],
        running: Mapping[int, Delivery],
    ) -> None:
        self._client = client
        self._consumer = consumer
        self._lease_s = lease_s
        self._lanes = lanes
        self._running = running
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._renewed: set[str] = set()
        self._sweep_at = time.monotonic() + SWEEP_S

    def start(self) -> None:
        """From now on, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Withdraw the presence."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(TICK_S * 5)
        try:
            self._client.delete(keys.worker(self._consumer))
            self._client.zrem(keys.WORKERS, self._consumer)
        except redis.RedisError as error:
            log.warning("presence.unwritable", error=str(error))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._tick()
            except redis.RedisError as error:
                log.warning("keeper.delayed", error=str(error))
            except Exception:
                log.exception("keeper.failed")  # the thread's edge
            self._stop.wait(min(TICK_S, self._lease_s / 3))

    def _tick(self) -> None:
        now, lanes = time.monotonic(), list(self._lanes())
        for lane in lanes:
            if lane.queue not in self._renewed:
                self._renewed.add(lane.queue)
                threading.Thread(target=self._renew, args=(lane,), name=f"leases of {lane.queue}", daemon=True).start()
        for lane in lanes:
            self._trim(lane.queue)  # before anything that a full server may refuse
        self._say(lanes)
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_S
            for lane in lanes:
                lane.leave()

    def _renew(self, lane: Lane) -> None:
        while not self._stop.is_set():
            pause = self._lease_s / 3
            try:
                lane.renew()
            except redis.RedisError as error:
                pause = min(TICK_S, pause)
                log.warning("lease.not_renewed", queue=lane.queue, error=str(error))
            except Exception:
                log.exception("keeper.failed", queue=lane.queue)  # the thread's edge
            self._stop.wait(pause)

    def _say(self, lanes: list[Lane]) -> None:
        now, name = int(time.time() * 1000), keys.worker(self._consumer)
        presence: dict[Any, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "queues": ",".join(sorted(lane.queue for lane in lanes)),
            "seen_ms": now,
            "running": orjson.dumps([_work(delivery) for delivery in list(self._running.values())]),
        }
        self._client.hset(name, mapping=presence)
        self._client.expire(name, PRESENCE_S)
        self._client.zadd(keys.WORKERS, {self._consumer: now})
        self._client.zremrangebyscore(keys.WORKERS, "-inf", now - PRESENCE_S * 1000)

    def _trim(self, queue: str) -> None:
        """As many as there are too many, but no longer than leases can wait: events may come faster than ticks."""
        until = time.monotonic() + TICK_S
        while (excess := self._client.llen(keys.ledgers(queue)) - LEDGERS_KEPT) > 0 and time.monotonic() < until:
            oldest: Any = self._client.lpop(keys.ledgers(queue), min(excess, TRIMMED_AT_ONCE))
            if oldest:  # another worker trims too
                self._client.unlink(*oldest)


def _work(delivery: Delivery) -> dict[str, Any]:
    event = delivery.event
    return {
        "message_id": delivery.message_id,
        "actor": delivery.actor_name,
        "queue": delivery.lane.queue,
        "event": f"{event.identity}|{delivery.actor_name}" if event else None,
        "since_ms": int(delivery.started_at * 1000),
    }
