"""The table of e-mail deliveries and every query on it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, Connection, Index, Integer, String, Table, select, update

from workers.database import Moment, insert_once, metadata

ERROR_CHARS = 500

email_deliveries = Table(
    "email_deliveries",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("event_id", String(200), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("template", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("message_id", String(255), nullable=False),
    Column("last_error", String(ERROR_CHARS)),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("ix_email_deliveries_event_id", "event_id"),
)


class Delivery(NamedTuple):
    """One e-mail to one recipient. `id` is derived from the event, so every attempt finds the same row."""

    id: str
    event_id: str
    recipient: str
    template: str
    message_id: str


def begin(connection: Connection, delivery: Delivery, now: datetime) -> int | None:
    """Count an attempt and set the state to `sending`; its number, or None when the e-mail was already sent.

    A row found in `sending` is one whose earlier attempt never came back: nobody knows whether it was sent.
    """
    insert_once(
        connection,
        email_deliveries,
        **delivery._asdict(),
        state="queued",
        attempts=0,
        created_at=now,
        updated_at=now,
    )
    row = connection.execute(
        select(email_deliveries.c.state, email_deliveries.c.attempts)
        .where(email_deliveries.c.id == delivery.id)
        .with_for_update()
    ).one()
    if row.state == "sent":
        return None
    error = "an earlier attempt broke off: it may have been sent" if row.state == "sending" else None
    connection.execute(
        update(email_deliveries)
        .where(email_deliveries.c.id == delivery.id)
        .values(state="sending", attempts=row.attempts + 1, last_error=error, updated_at=now)
    )
    return int(row.attempts) + 1


def end(connection: Connection, delivery_id: str, state: str, error: str | None, now: datetime) -> None:
    """Write down how an attempt ended: `sent`, `queued` (another attempt follows) or `failed`."""
    connection.execute(
        update(email_deliveries)
        .where(email_deliveries.c.id == delivery_id)
        .values(state=state, last_error=error and error[:ERROR_CHARS], updated_at=now)
    )
