"""Retries: Dramatiq's own, but what is not the message's fault uses no attempt."""

from __future__ import annotations

import time
from typing import Any

from dramatiq import Broker
from dramatiq.broker import MessageProxy
from dramatiq.common import compute_backoff
from dramatiq.middleware import Retries as DramatiqRetries

from workers.errors import UnavailableError

WAITS_AT_MOST_S = 24 * 3600
MIN_WAIT_MS, MAX_WAIT_MS = 500, 60_000


class Retries(DramatiqRetries):
    """While something that the message needs is away it waits, with backoff, for at most 24 h; then it has expired."""

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Decide between done, another run, and death."""
        if not isinstance(exception, UnavailableError):
            message.options.pop("waits", None)
            message.options.pop("waits_since", None)
            super().after_process_message(broker, message, result=result, exception=exception)  # type: ignore[no-untyped-call]  # Dramatiq's
            return
        since = message.options.setdefault("waits_since", time.time())
        if time.time() - since >= WAITS_AT_MOST_S:
            message.options["expired"] = True
            message.fail()
            return
        waits, delay = compute_backoff(message.options.get("waits", 0), factor=MIN_WAIT_MS, max_backoff=MAX_WAIT_MS)
        message.options["waits"] = waits
        broker.enqueue(message, delay=delay)  # type: ignore[arg-type]  # a proxy stands for its message
