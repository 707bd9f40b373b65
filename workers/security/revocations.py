"""Revoked tokens: a table of ids that are good no more, and each gateway's copy of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Column, Connection, Index, Integer, String, Table, delete, select, text, update

from workers.database import Moment, insert_once, metadata
from workers.security.tokens import MAX_ID_CHARS

KEPT_PAST_EXPIRY = timedelta(hours=1)
"""Longer than any leeway and any difference of clocks: before that a revoked token could come to life again."""

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("token", String(MAX_ID_CHARS), nullable=False, unique=True),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment, nullable=False),
    Index("ix_revoked_tokens_expires_at", "expires_at"),
    sqlite_autoincrement=True,  # else the number of a purged row is given again, and a reader has passed it by
)


class Revoked(NamedTuple):
    """The ids of revoked tokens, and the number of the newest."""

    tokens: frozenset[str]
    newest: int


def revoke(connection: Connection, token_id: str, expires_at: datetime, now: datetime) -> None:
    """Revoke the token of this id until it expires; of two moments given for one token the later counts."""
    if connection.dialect.name == "postgresql":
        # Numbers become visible in their order only if their transactions follow each other, as on SQLite they do.
        connection.execute(text("LOCK TABLE revoked_tokens IN EXCLUSIVE MODE"))
    if not insert_once(connection, revoked_tokens, token=token_id, expires_at=expires_at, revoked_at=now):
        earlier = (revoked_tokens.c.token == token_id, revoked_tokens.c.expires_at < expires_at)
        connection.execute(update(revoked_tokens).where(*earlier).values(expires_at=expires_at))


def read(connection: Connection, now: datetime) -> Revoked:
    """All that still matter."""
    rows = _after(connection, 0, now)
    return Revoked(frozenset(rows), max(rows.values(), default=0))


def read_newer(connection: Connection, known: Revoked, now: datetime) -> Revoked:
    """Those and what was revoked since: a look at the end of an index."""
    rows = _after(connection, known.newest, now)
    return Revoked(known.tokens | rows.keys(), max(rows.values())) if rows else known


def purge(connection: Connection, now: datetime) -> int:
    """Delete what matters no more; how many."""
    return connection.execute(delete(revoked_tokens).where(revoked_tokens.c.expires_at < _before(now))).rowcount


def _after(connection: Connection, number: int, now: datetime) -> Mapping[str, int]:
    table = revoked_tokens.c
    rows = select(table.token, table.number).where(table.number > number, table.expires_at >= _before(now))
    return {row.token: row.number for row in connection.execute(rows)}


def _before(now: datetime) -> datetime:
    return now - KEPT_PAST_EXPIRY
