"""The one place where the Dramatiq broker is built."""

from __future__ import annotations

from dramatiq import Broker, Middleware
from dramatiq.brokers.redis import RedisBroker

from workers.connection import connect


def build(redis_url: str, middleware: list[Middleware]) -> Broker:
    """A broker over the Redis at `redis_url`; it connects on first use."""
    return RedisBroker(client=connect(redis_url), middleware=middleware)  # type: ignore[no-untyped-call]  # Dramatiq's
