"""Bulk operations: stored, worked off in slices by an actor, watched and stopped by anyone.

A retry of many starts with a canary of five: when all of them die again of the same cause, it stops by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, Connection, Float, Integer, String, Table, insert, select, update

from workers.database import Database, Moment, metadata
from workers.event import INTERNAL_SOURCE, Event
from workers.queue.graveyard import Filter, Graveyard

Kind = Literal["retry", "discard"]
State = Literal["running", "done", "stopped"]

SLICE_S = 5.0
"""How long one slice works: short beside an actor's time limit, long beside its overhead."""
CANARIES = 5
CANARY_S = 10.0
"""How long the canaries may take to die again."""
SLICE_DUE = "operation.slice_due"
FASTEST = 1_000.0
"""Letters per second where no rate is asked for."""

operations = Table(
    "operations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("filter", JSON, nullable=False),
    Column("rate", Float, nullable=False),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("canaries", JSON, nullable=False),
    Column("note", String(500), nullable=False),
    Column("by", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)


class Progress(NamedTuple):
    """How far an operation is. `total` was counted when it was stored; `note` says why it stopped."""

    id: str
    kind: Kind
    state: State
    total: int
    done: int
    note: str


class _Operation(NamedTuple):
    kind: Kind
    state: State
    wanted: Filter
    rate: float
    canaries: dict[str, Any]
    updated_at: datetime


def create(connection: Connection, kind: Kind, wanted: Filter, total: int, rate: float, by: str, now: datetime) -> UUID:
    """Store an operation."""
    operation = uuid4()
    connection.execute(
        insert(operations).values(
            id=str(operation),
            kind=kind,
            state="running",
            filter=wanted._asdict(),
            rate=rate or FASTEST,
            total=total,
            done=0,
            canaries={},
            note="",
            by=by,
            created_at=now,
            updated_at=now,
        )
    )
    return operation


def first_slice(operation: UUID, by: str) -> Event:
    """The event that sets workers to an operation."""
    data = {"operation_id": str(operation)}
    return Event(id=str(uuid4()), source=f"{INTERNAL_SOURCE}operations", type=SLICE_DUE, data=data, caller=by)


def read(connection: Connection, operation: UUID) -> Progress | None:
    """How far it is, or None."""
    columns = [operations.c[name] for name in Progress._fields]
    row = connection.execute(select(*columns).where(operations.c.id == str(operation))).one_or_none()
    return Progress(*row) if row else None


def end(connection: Connection, operation: UUID, state: State, note: str, now: datetime) -> None:
    """It goes no further; one that has ended stays as it is."""
    connection.execute(
        update(operations)
        .where(operations.c.id == str(operation), operations.c.state == "running")
        .values(state=state, note=note, updated_at=now)
    )


def work(
    database: Database, graveyard: Graveyard, operation: UUID, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Work off one slice; whether another must follow. Safe to run twice: a letter is taken once.

    Raises redis.RedisError, UnavailableError.
    """
    with database.read() as connection:
        stored = _read(connection, operation)
    if stored is None or stored.state != "running":
        return False
    if stored.kind == "retry" and not _canaries_live(database, graveyard, operation, stored, sleep):
        return True
    wait = stored.updated_at.timestamp() + 1 / stored.rate - time.time()  # the last slice may just have ended
    sleep(max(0.0, min(wait, SLICE_S)))
    if wait > SLICE_S:
        return True
    taken, more = _take(graveyard, stored, sleep)
    with database.write() as connection:
        _advance(connection, operation, taken)
        if not more:
            end(connection, operation, "done", "", datetime.now(UTC))
    return more


def _take(graveyard: Graveyard, stored: _Operation, sleep: Callable[[float], None]) -> tuple[int, bool]:
    """Take letters for one slice, at the operation's rate; how many, and whether there may be more."""
    act = graveyard.retry if stored.kind == "retry" else graveyard.discard
    most = max(1, int(stored.rate * SLICE_S))
    letters = [found.letter for found in islice(graveyard.search(stored.wanted), most)]
    began, taken = time.monotonic(), 0
    for number, letter in enumerate(letters):
        sleep(max(0.0, began + number / stored.rate - time.monotonic()))
        taken += act(letter)
    return taken, len(letters) == most


def _canaries_live(
    database: Database, graveyard: Graveyard, operation: UUID, stored: _Operation, sleep: Callable[[float], None]
) -> bool:
    """Send the canaries first, and stop the operation when all of them come back; whether it may go on."""
    if stored.canaries.get("passed"):
        return True
    sent: dict[str, list[Any]] = stored.canaries.get("sent") or {
        found.letter.id: [found.letter.fingerprint, found.died_ms]
        for found in islice(graveyard.search(stored.wanted), CANARIES)
    }
    if not sent:
        return True
    there = [found for letter in sent if (found := graveyard.find(letter)) is not None]
    unsent = [found.letter for found in there if found.died_ms == sent[found.letter.id][1]]
    if unsent:  # at first all of them; later those that whoever chose them did not come to
        with database.write() as connection:
            _set_canaries(connection, operation, {"sent": sent, "until": time.time() + CANARY_S})
        taken = sum(graveyard.retry(letter) for letter in unsent)
        with database.write() as connection:
            _advance(connection, operation, taken)
        return False
    if len(there) == len(sent) and all(found.letter.fingerprint == sent[found.letter.id][0] for found in there):
        note = f"stopped by itself: all of the first {len(sent)} died again of the same cause"
        with database.write() as connection:
            end(connection, operation, "stopped", note, datetime.now(UTC))
        return False
    if time.time() < stored.canaries["until"]:
        sleep(1.0)
        return False
    with database.write() as connection:
        _set_canaries(connection, operation, {**stored.canaries, "passed": True})
    return True


def _read(connection: Connection, operation: UUID) -> _Operation | None:
    row = connection.execute(select(operations).where(operations.c.id == str(operation))).one_or_none()
    if row is None:
        return None
    return _Operation(row.kind, row.state, Filter(**row.filter), row.rate, row.canaries, row.updated_at)


def _advance(connection: Connection, operation: UUID, taken: int) -> None:
    connection.execute(
        update(operations)
        .where(operations.c.id == str(operation))
        .values(done=operations.c.done + taken, updated_at=datetime.now(UTC))
    )


def _set_canaries(connection: Connection, operation: UUID, canaries: dict[str, Any]) -> None:
    connection.execute(update(operations).where(operations.c.id == str(operation)).values(canaries=canaries))
