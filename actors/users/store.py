"""The tables of users and their metrics, and every query on them. The gateway reads here; only the actors write."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Integer,
    String,
    Table,
    insert,
    select,
    update,
)

from workers.database import Moment, metadata

users = Table(
    "users",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("email", String(320), nullable=False),
    Column("email_key", String(640), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("preferences", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("closed_at", Moment),
)

user_metrics = Table(
    "user_metrics",
    metadata,
    Column("user_id", String(36), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("profile_changes", Integer, nullable=False),
    Column("last_active_at", Moment, nullable=False),
)


def address_key(email: str) -> str:
    """What makes two addresses the same account: the address without regard to case."""
    return email.casefold()


def create(connection: Connection, *, user_id: str, email: str, name: str, preferences: Any, now: datetime) -> None:
    """Insert the user and its metrics. Raises sqlalchemy.exc.IntegrityError when the id or address is taken."""
    connection.execute(
        insert(users).values(
            id=user_id,
            email=email,
            email_key=address_key(email),
            name=name,
            preferences=preferences,
            created_at=now,
            updated_at=now,
        )
    )
    connection.execute(insert(user_metrics).values(user_id=user_id, profile_changes=0, last_active_at=now))


def change(connection: Connection, user_id: str, changes: dict[str, Any], now: datetime) -> bool:
    """Set fields of a profile and count the change; whether there is such an open user. Raises like `create`."""
    values = {**changes, "updated_at": now}
    if "email" in changes:
        values["email_key"] = address_key(changes["email"])
    found = connection.execute(update(users).where(*_open(user_id)).values(**values)).rowcount > 0
    connection.execute(
        update(user_metrics)
        .where(user_metrics.c.user_id == user_id)
        .values(profile_changes=user_metrics.c.profile_changes + 1, last_active_at=now)
    )
    return found


def close(connection: Connection, user_id: str, now: datetime) -> bool:
    """Take a user's personal data away, for good; whether it was open. Its id, times and metrics stay.

    The address is free again: what stands in its place can be no address.
    """
    gone = {"email": "", "email_key": f"closed:{user_id}", "name": "", "preferences": {}}
    closing = update(users).where(*_open(user_id)).values(**gone, updated_at=now, closed_at=now)
    return connection.execute(closing).rowcount > 0


def exists(connection: Connection, user_id: str) -> bool:
    """Whether there is such a user, open or closed."""
    return connection.execute(select(users.c.id).where(users.c.id == user_id)).first() is not None


def _open(user_id: str) -> tuple[ColumnElement[bool], ...]:
    return users.c.id == user_id, users.c.closed_at.is_(None)


def profile(connection: Connection, user_id: str) -> dict[str, Any] | None:
    """What a user looks like from outside: chosen fields, times in ISO 8601; None when there is no such open user."""
    row = connection.execute(select(users).where(*_open(user_id))).one_or_none()
    if row is None:
        return None
    return {
        "id": row.id,
        "email": row.email,
        "name": row.name,
        "preferences": row.preferences,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def metrics(connection: Connection, user_id: str) -> dict[str, Any] | None:
    """What is counted about a user; None when there is no such open user, as for the profile."""
    query = select(user_metrics).join(users).where(*_open(user_id))
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return {"profile_changes": row.profile_changes, "last_active_at": row.last_active_at.isoformat()}
