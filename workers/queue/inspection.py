"""Looking at queues and workers, and pausing a queue: what the operator API reads from Redis."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import orjson
from redis import Redis, ResponseError

from workers import keys
from workers.queue.lane import GROUP
from workers.queue.scripts import NOW

RATE_WINDOW = 6  # of 10 s each: see keys.settled


class QueueState(NamedTuple):
    """One queue just now. `rate_1m` is settlements per second over the last minute."""

    queue: str
    ready: int
    running: int
    delayed: int
    dead: int
    oldest_age_s: float
    paused: bool
    rate_1m: float
    workers: int


class WorkerState(NamedTuple):
    """One living worker process. `running` holds message_id, actor, queue, event and since_ms of each message."""

    id: str
    host: str
    pid: int
    version: str
    queues: list[str]
    seen_s_ago: float
    running: list[dict[str, Any]]


def queue_state(client: Redis, queue: str, workers: int) -> QueueState:
    """The state of one queue, in a few round trips. Raises redis.RedisError."""
    pipeline = client.pipeline(transaction=False)
    pipeline.xlen(keys.stream(queue))
    pipeline.zcard(keys.delayed(queue))
    pipeline.zcard(keys.dead(queue))
    pipeline.exists(keys.paused(queue))
    pipeline.hgetall(keys.settled(queue))
    length, delayed, dead, paused, settled = pipeline.execute()
    pending, oldest_ms = _group(client, queue)
    now = now_ms(client, queue)
    recent = [int(count) for tick, count in settled.items() if int(tick) > now // 10_000 - RATE_WINDOW]
    return QueueState(
        queue=queue,
        ready=max(0, length - pending),
        running=pending,
        delayed=delayed,
        dead=dead,
        oldest_age_s=round(max(0, now - oldest_ms) / 1000, 1) if oldest_ms else 0.0,
        paused=bool(paused),
        rate_1m=round(sum(recent) / 60, 2),
        workers=workers,
    )


def _group(client: Redis, queue: str) -> tuple[int, int]:
    """How many entries are delivered and not settled, and when the oldest undelivered one came (ms), 0 if none."""
    stream = keys.stream(queue)
    try:
        groups: Any = client.xinfo_groups(stream)
    except ResponseError:  # no such key: nothing was ever sent
        groups = []
    ours = next((group for group in groups if _text(group["name"]) == GROUP), None)
    after = _text(ours["last-delivered-id"]) if ours else "0-0"
    waiting: Any = client.xrange(stream, min=f"({after}", count=1)
    return int(ours["pending"]) if ours else 0, int(waiting[0][0].partition(b"-")[0]) if waiting else 0


def now_ms(client: Redis, queue: str) -> int:
    """The clock of the server that holds the queue, ms since the epoch. Raises redis.RedisError."""
    return int(NOW.run(client, [keys.stream(queue)], []))


def worker_states(client: Redis) -> list[WorkerState]:
    """The living worker processes. Raises redis.RedisError."""
    ids: Any = client.zrange(keys.WORKERS, 0, -1)
    pipeline = client.pipeline(transaction=False)
    for worker_id in ids:
        pipeline.hgetall(keys.worker(worker_id.decode()))
    found = zip(ids, pipeline.execute(), strict=True)
    return [_worker(worker_id.decode(), fields) for worker_id, fields in found if fields]


def pause(client: Redis, queue: str, by: str) -> None:
    """Workers take nothing more from the queue within half a second; what they have begun they finish."""
    client.set(keys.paused(queue), orjson.dumps({"by": by, "at_ms": int(time.time() * 1000)}))


def resume(client: Redis, queue: str) -> bool:
    """Workers take from the queue again, within half a second; whether it was paused."""
    return bool(client.delete(keys.paused(queue)))


def _worker(worker_id: str, fields: dict[bytes, bytes]) -> WorkerState:
    return WorkerState(
        id=worker_id,
        host=fields[b"host"].decode(),
        pid=int(fields[b"pid"]),
        version=fields[b"version"].decode(),
        queues=fields[b"queues"].decode().split(","),
        seen_s_ago=round(max(0.0, time.time() - int(fields[b"seen_ms"]) / 1000), 1),
        running=orjson.loads(fields[b"running"]),
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
