"""Events: post one, see how far one is, list the types there are."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import structlog
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from structlog.contextvars import bind_contextvars, get_contextvars

from actors.events import CONTRACTS
from api_gateway.admission import PostedEvent, admit, body_of, parse
from api_gateway.auth import authenticate, needs
from api_gateway.problems import Problem, unavailable
from workers.errors import UnavailableError
from workers.event import Event
from workers.operations import EventTrace, Operations
from workers.queue.publisher import AsyncPublisher, Outcome
from workers.security.callers import Caller
from workers.telemetry import logs

router = APIRouter(prefix="/v1", tags=["events"])
log = structlog.get_logger(__name__)


class Accepted(BaseModel):
    """The event is stored. `duplicate` says that it was already there and nothing was stored again."""

    id: str
    source: str
    type: str
    subject: str | None = None
    status: str = "accepted"
    duplicate: bool
    status_url: str


class EventType(BaseModel):
    """One kind of event that can be posted."""

    type: str
    description: str
    data_schema: dict[str, Any] = Field(description="JSON Schema of `data`")
    example: dict[str, Any] = Field(description="`data` that holds")


@router.post(
    "/events",
    status_code=202,
    response_model=Accepted,
    response_model_exclude_none=True,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": PostedEvent.model_json_schema()}},
        }
    },
    responses={
        400: {"description": "The body is not JSON"},
        401: {"description": "No valid token"},
        403: {"description": "The token lacks events:write"},
        413: {"description": "The body is too large"},
        415: {"description": "The body is not application/json"},
        422: {"description": "Unknown type, bad field, or an id that was used for another event"},
        503: {"description": "The store cannot confirm; send the same again"},
    },
)
async def post_event(request: Request, caller: Annotated[Caller, Depends(needs("events:write"))]) -> Accepted:
    """Store one event. 202 leaves once it is stored; the same (source, id) twice has one effect."""
    posted = parse(await body_of(request))
    event, sent = admit(posted, caller, get_contextvars()["correlation_id"])
    logs.bind(event)
    publisher: AsyncPublisher = request.app.state.publisher
    try:
        outcome = await publisher.publish(event, sent, fresh=posted.id is None)
    except UnavailableError as error:
        log.warning("request.refused", reason=str(error))
        raise unavailable(id=event.id, source=event.source) from None  # it may be stored: this id is the one to repeat
    if outcome is Outcome.FULL:
        full = "The queue of this event is full. Send the same request again later, under the same id."
        raise unavailable(full, id=event.id, source=event.source)
    if outcome is Outcome.CONFLICT:
        raise Problem(422, "This id was used for an event with other content.", errors=[_REUSED])
    log.info("event.accepted", duplicate=outcome is Outcome.DUPLICATE)
    return Accepted(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        duplicate=outcome is Outcome.DUPLICATE,
        status_url=_status_url(request, event, unique=posted.id is None and posted.source is None),
    )


@router.get("/events/{event_id:path}", responses={404: {"description": "No such event of this caller"}})
def get_event(
    request: Request,
    event_id: str,
    caller: Annotated[Caller, Depends(authenticate)],
    source: Annotated[str | None, Query(description="Picks one where ids of several sources collide")] = None,
) -> EventTrace:
    """How far an event is, with its follow-ups. Needs events:read for one's own, ops:read for all."""
    bind_contextvars(event_id=event_id)
    operations: Operations = request.app.state.operations
    if not (caller.may("events:read") or caller.may("ops:read")):
        raise Problem(403, "This needs the scope events:read.")
    owner = None if caller.may("ops:read") else caller.subject
    trace = operations.trace(event_id, caller=owner, source=source)
    if trace is None:
        raise Problem(404, "There is no such event, or it is past its retention.")
    return trace


@router.get("/event-types", dependencies=[Depends(needs("events:read"))])
def get_event_types() -> list[EventType]:
    """The events that can be posted, with the JSON Schema of their data and an example of it."""
    return [
        EventType(
            type=name,
            description=contract.__doc__ or "",
            data_schema=contract.model_json_schema(),
            example=dict(contract.example),
        )
        for name, contract in sorted(CONTRACTS.items())
        if contract.external
    ]


_REUSED = {"detail": "Use a fresh id, or send the same content.", "pointer": "/id"}


def _status_url(request: Request, event: Event, *, unique: bool) -> str:
    """Where the event is seen: an id that the caller chose may be another source's too."""
    query = "" if unique else "?" + urlencode({"source": event.source})
    return f"{request.app.state.settings.gateway_url}/v1/events/{quote(event.id, safe='')}{query}"
