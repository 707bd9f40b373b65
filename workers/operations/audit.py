"""The audit log: who did what, when, to how many."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import JSON, Column, Connection, Index, Integer, String, Table, insert, select

from workers.database import Moment, metadata

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("by", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(200), nullable=False),
    Column("affected", Integer, nullable=False),
    Column("detail", JSON, nullable=False),
    Index("ix_audit_log_at", "at"),
)


LONGEST = 200
"""Of `by` and `target`: a message that came from elsewhere may have an id of any length, or with a NUL in it."""


class Entry(NamedTuple):
    """One action; ids grow with time."""

    id: int
    at: datetime
    by: str
    action: str
    target: str
    affected: int
    detail: dict[str, Any]


def write(
    connection: Connection, by: str, action: str, target: str, affected: int, detail: dict[str, Any], now: datetime
) -> None:
    """Write one action down."""
    connection.execute(
        insert(audit_log).values(
            at=now, by=_fit(by), action=action, target=_fit(target), affected=affected, detail=detail
        )
    )


def read(connection: Connection, limit: int, before: int | None = None) -> list[Entry]:
    """The newest actions first, from those older than the entry `before` on."""
    wanted = select(*(audit_log.c[name] for name in Entry._fields)).order_by(audit_log.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(audit_log.c.id < before)
    return [Entry(*row) for row in connection.execute(wanted)]


def _fit(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:LONGEST]
