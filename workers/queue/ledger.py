"""The event ledger: what became of an event, written where its messages live and read by id.

One hash per (queue, event id). The fields of one event and actor begin with `{identity}|{actor}|`:
`event` holds the record made at publication, `status` the present state, `attempt:N` each attempt,
`follow_ups` what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis import Redis

from workers import keys
from workers.event import Event, digest

RETENTION_S = 7 * 24 * 3600


@dataclass(slots=True)
class Entry:
    """One actor's part in one event. `status` is queued, retrying, done or dead; running is what workers say."""

    identity: str
    actor: str
    queue: str
    event: dict[str, Any] = field(default_factory=dict)
    status: str = "queued"
    attempts: dict[int, dict[str, Any]] = field(default_factory=dict)
    follow_ups: list[dict[str, str]] = field(default_factory=list)


def key(queue: str, event_id: str) -> str:
    """The hash that holds the events with this id on this queue."""
    return keys.ledger(queue, digest(event_id))


def field_name(identity: str, actor: str, part: str) -> str:
    """The field of one event, actor and part (`event`, `status`, `attempt:N`, `follow_ups`)."""
    return f"{identity}|{actor}|{part}"


def accepted(event: Event, now: str) -> bytes:
    """The record made at publication; `now` is RFC 3339."""
    return orjson.dumps(
        {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "caller": event.caller,
            "correlation": event.correlation,
            "accepted_at": now,
        }
    )


def write(client: Redis, queue: str, event: Event, actor: str, parts: dict[str, Any]) -> None:
    """Write parts of one actor's entry. Raises redis.RedisError."""
    fields: dict[Any, Any] = {
        field_name(event.identity, actor, part): orjson.dumps(value) for part, value in parts.items()
    }
    client.hset(key(queue, event.id), mapping=fields)


def read(client: Redis, queues: Iterable[str], event_id: str) -> list[Entry]:
    """The entries of every event with this id, whoever sent it, in one round trip."""
    names = list(queues)
    pipeline = client.pipeline(transaction=False)
    for queue in names:
        pipeline.hgetall(key(queue, event_id))
    found: dict[str, Entry] = {}
    for queue, fields in zip(names, pipeline.execute(), strict=True):
        for name, value in fields.items():
            owner, actor, part = name.decode().split("|", 2)
            entry = found.setdefault(f"{owner}|{actor}", Entry(owner, actor, queue))
            _add(entry, part, value)
    return [entry for entry in found.values() if entry.event]


def _add(entry: Entry, part: str, value: bytes) -> None:
    if part == "status":
        entry.status = value.decode()
    elif part == "event":
        entry.event = orjson.loads(value)
    elif part == "follow_ups":
        entry.follow_ups = orjson.loads(value)
    else:
        entry.attempts[int(part.removeprefix("attempt:"))] = orjson.loads(value)
