"""Receipts: "this (event, actor) was done, and these follow-ups came of it".

A receipt is claimed in the same transaction as the effect, so an effect happens once however often its message
is delivered; what it recorded is published again under the same ids.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Column, Connection, Index, String, Table, delete, select, update

from workers.database import Moment, insert_once, metadata
from workers.event import Event

KEPT_FOR = timedelta(days=30)
"""Longer than dead-letter retention (7 d) + the longest retry + the once-window (24 h)."""

receipts = Table(
    "receipts",
    metadata,
    Column("event", String(32), primary_key=True),
    Column("actor", String(64), primary_key=True),
    Column("follow_ups", JSON, nullable=False),
    Column("done_at", Moment, nullable=False),
    Index("ix_receipts_done_at", "done_at"),
)


def claim(connection: Connection, event: Event, actor: str, now: datetime) -> bool:
    """Whether this transaction is the first to do `actor`'s work for `event`.

    A concurrent claim waits here until the other transaction ends.
    """
    return insert_once(connection, receipts, event=event.identity, actor=actor, follow_ups=[], done_at=now)


def record(connection: Connection, event: Event, actor: str, follow_ups: list[Event]) -> None:
    """Keep the follow-ups in the receipt that this transaction claimed."""
    connection.execute(
        update(receipts)
        .where(receipts.c.event == event.identity, receipts.c.actor == actor)
        .values(follow_ups=[follow_up.to_dict() for follow_up in follow_ups])
    )


def follow_ups(connection: Connection, event: Event, actor: str) -> list[Event]:
    """The follow-ups that an earlier delivery recorded."""
    recorded: list[dict[str, Any]] = connection.execute(
        select(receipts.c.follow_ups).where(receipts.c.event == event.identity, receipts.c.actor == actor)
    ).scalar_one()
    return [Event.from_dict(envelope) for envelope in recorded]


def purge(connection: Connection, before: datetime) -> int:
    """Delete the receipts older than `before`; how many."""
    return connection.execute(delete(receipts).where(receipts.c.done_at < before)).rowcount
