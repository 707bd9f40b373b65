"""Publishing on behalf of a caller: the one place where routes other than /v1/events hand an event to the store."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import structlog
from fastapi import Request
from structlog.contextvars import get_contextvars

from api_gateway.admission import PostedEvent, admit
from api_gateway.problems import Problem, unavailable
from api_gateway.routes.events import Accepted
from workers.errors import UnavailableError
from workers.event import Event
from workers.queue.publisher import AsyncPublisher, Outcome
from workers.security.callers import Caller
from workers.telemetry import logs

log = structlog.get_logger(__name__)

REUSED = "This id was used for an event with other content."
FULL = "The queue of this event is full. Send the same request again later."


async def publish_one(
    request: Request, caller: Caller, type_: str, data: dict[str, Any], id_: str | None = None
) -> Accepted:
    """Store an event that the caller asks for by another route than /v1/events; `id_` as the `id` of one posted there.

    Raises Problem as POST /v1/events does.
    """
    posted = PostedEvent(type=type_, data=data, id=id_)
    event, sent = admit(posted, caller, get_contextvars()["correlation_id"])
    duplicate = await store(request, event, sent, fresh=id_ is None)
    source = "" if id_ is None else f"?source={quote(event.source, safe='')}"
    return Accepted(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        duplicate=duplicate,
        status_url=f"{request.app.state.settings.gateway_url}/v1/events/{quote(event.id, safe='')}{source}",
    )


async def store(request: Request, event: Event, fingerprint: str, *, fresh: bool = False) -> bool:
    """Store an event; whether it was there already. Raises Problem 503 when that is uncertain, 422 for a reused id."""
    logs.bind(event)
    publisher: AsyncPublisher = request.app.state.publisher
    try:
        outcome = await publisher.publish(event, fingerprint, fresh=fresh)
    except UnavailableError as error:
        log.warning("request.refused", reason=str(error))
        raise unavailable(id=event.id, source=event.source) from None
    if outcome is Outcome.FULL:
        raise unavailable(FULL, id=event.id, source=event.source)
    if outcome is Outcome.CONFLICT:
        raise Problem(422, REUSED)
    log.info("event.accepted", duplicate=outcome is Outcome.DUPLICATE)
    return outcome is Outcome.DUPLICATE
