"""The composition root, what `dramatiq actors.boot:start` calls: broker, middleware in order, resources, slices."""

from __future__ import annotations

import dramatiq
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    CurrentMessage,
    Pipelines,
    ShutdownNotifications,
    TimeLimit,
)
from jinja2 import PackageLoader

from actors import cache, maintenance
from actors.billing import actors as billing
from actors.email import actors as email
from actors.events import CONTRACTS
from actors.routes import QUEUE_OF, QUEUES, ROUTES
from actors.users import actors as users
from workers import mail, startup
from workers.cache import TaggedCache
from workers.connection import connect
from workers.database import Database
from workers.handlers import Handlers
from workers.queue.broker import LEASE_S, StreamsBroker
from workers.queue.graveyard import Graveyard
from workers.queue.publisher import Publisher
from workers.queue.retries import Retries
from workers.settings import Settings
from workers.telemetry.middleware import LogContext

SLICES = (users, billing, cache, email, maintenance)
HANDLERS = tuple(handler for slice_ in SLICES for handler in slice_.HANDLERS)

MAX_RETRIES = 8
MIN_BACKOFF_MS = 1_000
MAX_BACKOFF_MS = 10 * 60_000


def build(settings: Settings, *, lease_s: float = LEASE_S) -> dramatiq.Broker:
    """The broker with every actor declared on it; `lease_s` as in StreamsBroker.

    Raises SettingsError when a setting is missing.
    """
    redis, database = connect(settings.redis), Database(settings.database)
    broker = StreamsBroker(
        redis,
        # before_* hooks run in this order, after_* hooks in reverse
        middleware=[
            startup.StartChecks(settings, database),  # first: refuse to start before anything else happens
            startup.StopOnce(),
            LogContext(),  # outermost: every line below it carries the event's ids
            AgeLimit(),
            Callbacks(),
            Pipelines(),
            CurrentMessage(),
            Retries(max_retries=MAX_RETRIES, min_backoff=MIN_BACKOFF_MS, max_backoff=MAX_BACKOFF_MS),
            ShutdownNotifications(),
            TimeLimit(),  # innermost: its interrupt is called off before any other hook could be hit by it
        ],
        lease_s=lease_s,
    )
    handlers = Handlers(
        contracts=CONTRACTS,
        database=database,
        publisher=Publisher(redis, ROUTES),
        graveyard=Graveyard(redis, QUEUES),
        cache=TaggedCache(connect(settings.cache)),
        templates=mail.Templates(PackageLoader("actors.email"), support=settings.email_support),
        transport=mail.transport(settings),
        sender=settings.email_from,
        plans=settings.plans,
    )
    for handler in HANDLERS:
        handlers.declare(handler, QUEUE_OF[handler.name], broker)
    return broker


def start() -> None:
    """What `dramatiq actors.boot:start` calls in each worker process."""
    with startup.starting("worker") as settings:
        dramatiq.set_broker(build(settings))
