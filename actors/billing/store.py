"""The table of subscriptions and every query on it. The gateway reads plans here; only `billing.apply` writes.

A subscription is worth its plan as LemonSqueezy's own Laravel package reads its statuses (`Subscription::valid`):

| status | worth the plan |
|---|---|
| `on_trial`, `active` | yes |
| `past_due` | yes: the payment is being tried again, for two weeks |
| `paused` | only in the pause mode `free`; `void` means that nothing is sold meanwhile |
| `cancelled` | until `ends_at`, however late the news of its end come |
| `unpaid`, `expired` | no |

Of several that are worth it the greatest plan counts, so that nobody can take from an account by paying for it; without
one the plan is `free`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, Connection, ForeignKey, Index, String, Table, column, select, table, update

from workers.database import Moment, insert_once, metadata

FREE = "free"
STATUSES = ("on_trial", "active", "paused", "past_due", "unpaid", "cancelled", "expired")
"""In the order of a subscription's life: of two states of the same second the further one is taken for the newer."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(36), ForeignKey("users.id"), nullable=False),
    Column("customer_id", String(64), nullable=False),
    Column("variant_id", String(64), nullable=False),
    Column("plan", String(64)),
    Column("status", String(16), nullable=False),
    Column("pause", String(16)),
    Column("ends_at", Moment),
    Column("updated_at", Moment, nullable=False),
    Column("event_id", String(200), nullable=False),
    Index("ix_subscriptions_user_id", "user_id"),
)

_users = table("users", column("id"))
"""The other side of the foreign key, and all that this slice knows of it."""

Version = tuple[datetime, int, str]


def version(updated_at: datetime, status: str, event_id: str) -> Version:
    """What orders the states of one subscription, in whatever order they come: LemonSqueezy's clock has whole seconds.

    The event's id decides between states that nothing else tells apart, so that the end is always the same.
    """
    return updated_at, STATUSES.index(status), event_id


class Subscription(NamedTuple):
    """One row. `plan` is None where the variant has none and nothing is granted; `event_id` brought this state."""

    id: str
    user_id: str
    customer_id: str
    variant_id: str
    plan: str | None
    status: str
    pause: str | None
    ends_at: datetime | None
    updated_at: datetime
    event_id: str

    @property
    def version(self) -> Version:
        """What makes another state of it newer or older than this one."""
        return version(self.updated_at, self.status, self.event_id)

    def worth_its_plan(self, now: datetime) -> bool:
        """Whether the user has what was bought: the table above."""
        if self.status == "cancelled":
            return self.ends_at is None or now < self.ends_at
        return grants(self.status, self.pause)


def grants(status: str, pause: str | None) -> bool:
    """Whether a subscription of this status can be worth its plan."""
    return status in {"on_trial", "active", "past_due", "cancelled"} or (status, pause) == ("paused", "free")


def find(connection: Connection, subscription_id: str) -> Subscription | None:
    """The subscription as it is, kept from other writers until the transaction ends."""
    query = select(subscriptions).where(subscriptions.c.id == subscription_id).with_for_update()
    row = connection.execute(query).one_or_none()
    return Subscription(*row) if row else None


def add(connection: Connection, new: Subscription) -> bool:
    """Insert a subscription; False if a transaction at the same time was first."""
    return insert_once(connection, subscriptions, **new._asdict())


def change(connection: Connection, new: Subscription) -> None:
    """Overwrite the state of a subscription that `find` found."""
    connection.execute(update(subscriptions).where(subscriptions.c.id == new.id).values(**new._asdict()))


def has_user(connection: Connection, user_id: str) -> bool:
    """Whether there is such a user."""
    return connection.execute(select(_users.c.id).where(_users.c.id == user_id)).first() is not None


def plan_of(connection: Connection, user_id: str, now: datetime, plans: Mapping[str, str]) -> str:
    """The plan that the user has at `now`. `plans` names them from the smallest to the greatest; others come before."""
    rows = connection.execute(select(subscriptions).where(subscriptions.c.user_id == user_id))
    has = {each.plan for each in (Subscription(*row) for row in rows) if each.plan and each.worth_its_plan(now)}
    order = list(plans.values())
    return max(sorted(has), key=lambda plan: order.index(plan) if plan in order else -1, default=FREE)
