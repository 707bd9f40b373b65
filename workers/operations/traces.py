"""The tree of one event: its actors, their attempts, and all that came of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel
from redis import Redis

from workers.event import timestamp
from workers.queue import ledger
from workers.queue.inspection import worker_states

MAX_DEPTH = 8  # follow-ups of follow-ups; deeper chains are cut, not followed for ever

Status = Literal["queued", "running", "done", "retrying", "dead"]


class Attempt(BaseModel):
    """One run of an actor. `duration_ms` is absent while it runs; `error` is None when it succeeded."""

    number: int
    started_at: str
    worker: str
    duration_ms: float | None = None
    error: dict[str, str] | None = None


class ActorTrace(BaseModel):
    """One actor's part in an event."""

    actor: str
    queue: str
    status: Status
    attempts: list[Attempt]


class EventTrace(BaseModel):
    """How far an event is. `status` covers its own actors; follow-ups carry theirs."""

    id: str
    source: str
    type: str
    status: Status
    accepted_at: str
    correlation: str
    actors: list[ActorTrace]
    follow_ups: list[EventTrace]

    @property
    def settled(self) -> bool:
        """Whether nothing in the whole tree will happen any more."""
        return self.status in {"done", "dead"} and all(child.settled for child in self.follow_ups)

    @property
    def succeeded(self) -> bool:
        """Whether everything in the whole tree is done."""
        return self.status == "done" and all(child.succeeded for child in self.follow_ups)


class Traces:
    """Reads the ledger."""

    def __init__(self, client: Redis, queues: Iterable[str]) -> None:
        self._client = client
        self._queues = tuple(queues)

    def trace(self, event_id: str, *, caller: str | None = None, source: str | None = None) -> EventTrace | None:
        """See Operations. Raises redis.RedisError."""
        running = {work["event"] for worker in worker_states(self._client) for work in worker.running}
        return self._trace(event_id, caller, source, MAX_DEPTH, running)

    def _trace(
        self, event_id: str, caller: str | None, source: str | None, depth: int, running: set[str]
    ) -> EventTrace | None:
        entries = [
            entry
            for entry in ledger.read(self._client, self._queues, event_id)
            if (caller is None or entry.event["caller"] == caller)
            and (source is None or entry.event["source"] == source)
        ]
        if not entries:
            return None
        newest = max(entries, key=lambda entry: entry.event["accepted_at"]).event
        return self._tree(newest, [entry for entry in entries if _same(entry.event, newest)], depth, running)

    def _tree(self, event: dict[str, Any], entries: list[ledger.Entry], depth: int, running: set[str]) -> EventTrace:
        children = [child for entry in entries for child in entry.follow_ups] if depth else []
        traces = [self._trace(child["id"], event["caller"], child["source"], depth - 1, running) for child in children]
        for entry in entries:
            if entry.status in {"queued", "retrying"} and f"{entry.identity}|{entry.actor}" in running:
                entry.status = "running"
        return EventTrace(
            id=event["id"],
            source=event["source"],
            type=event["type"],
            status=_overall([entry.status for entry in entries]),
            accepted_at=event["accepted_at"],
            correlation=event["correlation"],
            actors=[_actor(entry) for entry in sorted(entries, key=lambda entry: entry.actor)],
            follow_ups=[trace for trace in traces if trace],
        )


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[part] == other[part] for part in ("caller", "source", "id"))


def _actor(entry: ledger.Entry) -> ActorTrace:
    attempts = [_attempt(number, attempt) for number, attempt in sorted(entry.attempts.items())]
    return ActorTrace.model_validate(
        {"actor": entry.actor, "queue": entry.queue, "status": entry.status, "attempts": attempts}
    )


def _attempt(number: int, record: dict[str, Any]) -> Attempt:
    started_at = timestamp(datetime.fromtimestamp(record["at"] / 1000, UTC))
    return Attempt(
        number=number,
        started_at=started_at,
        worker=record["worker"],
        duration_ms=record["ms"],
        error=record.get("error"),
    )


def _overall(statuses: list[str]) -> Status:
    """The status of an event from those of its actors: the worst news first."""
    order: tuple[Status, ...] = ("dead", "retrying", "running", "queued")
    for status in order:
        if status in statuses:
            return status
    return "done"
