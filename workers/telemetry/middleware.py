"""Dramatiq middleware of the logs: the event's ids on every line of an attempt, and one line for its outcome."""

from __future__ import annotations

import time
from typing import Any

import structlog
from dramatiq import Broker, Middleware
from dramatiq.broker import MessageProxy
from structlog.contextvars import bind_contextvars, clear_contextvars

from workers.errors import LunaError
from workers.queue.delivery import Delivery
from workers.telemetry import logs

log = structlog.get_logger(__name__)


class LogContext(Middleware):
    """Binds and unbinds the log context of a message. Stands outside of everything that logs."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002 Dramatiq's signature
        """Everything logged in this thread is about this event from now on."""
        attempt = message.options.get("retries", 0) + 1
        if isinstance(message, Delivery) and message.event is not None:
            logs.bind(message.event, actor=message.actor_name, attempt=attempt)
        else:
            bind_contextvars(message_id=message.message_id, actor=message.actor_name, attempt=attempt)

    def after_process_message(
        self,
        broker: Broker,  # noqa: ARG002 Dramatiq's signature
        message: MessageProxy,
        *,
        result: Any = None,  # noqa: ARG002 Dramatiq's signature
        exception: BaseException | None = None,
    ) -> None:
        """One line for the outcome; then the thread is about nothing again."""
        took = round((time.time() - getattr(message, "started_at", time.time())) * 1000, 1)
        if exception is None:
            log.info("actor.done", duration_ms=took)
        else:
            name = "actor.dead" if message.failed else "actor.retrying"
            ours = isinstance(exception, LunaError)  # said in one sentence; anything else needs its traceback
            log.warning(name, duration_ms=took, error=str(exception), exc_info=None if ours else exception)
        clear_contextvars()

    after_skip_message = after_process_message
