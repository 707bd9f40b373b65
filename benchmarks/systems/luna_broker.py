"""The broker of Luna's workers as actors/boot.py builds it, without the checks of its start. Logs at WARNING.

tests/contracts/test_benchmarks.py holds the middleware to that of actors/boot.py.
"""

import logging

import dramatiq
import structlog
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    CurrentMessage,
    Middleware,
    Pipelines,
    ShutdownNotifications,
    TimeLimit,
)

from workers.connection import connect
from workers.queue.broker import StreamsBroker
from workers.queue.retries import Retries
from workers.telemetry import logs
from workers.telemetry.middleware import LogContext


def middleware() -> list[Middleware]:
    """All of actors/boot.py but what belongs to its start."""
    return [
        LogContext(),
        AgeLimit(),
        Callbacks(),
        Pipelines(),
        CurrentMessage(),
        Retries(max_retries=8, min_backoff=1_000, max_backoff=600_000),
        ShutdownNotifications(),
        TimeLimit(),
    ]


def build(url: str) -> StreamsBroker:
    """The broker, set as Dramatiq's."""
    logs.configure("worker", production=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    broker = StreamsBroker(connect(url), middleware())
    dramatiq.set_broker(broker)
    return broker
