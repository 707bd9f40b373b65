"""Events: post one, see how far one is, list the types there are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from structlog.contextvars import bind_contextvars

from api_gateway.admission import OUTSIDE
from api_gateway.auth import authenticate, needs
from api_gateway.cloudevents import Identifier, PostedEvent, SourceUri
from api_gateway.idempotency import PARAMETER
from api_gateway.intake import MAX_BATCH
from api_gateway.problems import Problem
from workers.operations import EventTrace, Operations
from workers.security.callers import Caller

router = APIRouter(prefix="/v1", tags=["events"])


class Accepted(BaseModel):
    """The event is stored. `duplicate` says that it was already there and nothing was stored again."""

    id: str
    source: str
    type: str
    subject: str | None = Field(None, description="What the event is about; for a new user its id")
    status: Literal["accepted"] = "accepted"
    duplicate: bool
    status_url: str


class Refused(BaseModel):
    """One event of a batch that was not stored, and why; with 503 in the problem it may be sent again."""

    status: Literal["refused"] = "refused"
    problem: dict[str, Any] = Field(description="A problem document (RFC 9457)")


class EventType(BaseModel):
    """One kind of event that can be posted."""

    type: str
    description: str
    data_schema: dict[str, Any] = Field(description="JSON Schema of `data`")
    example: dict[str, Any] = Field(description="`data` that holds")


class CloudEvent(PostedEvent):
    """A CloudEvent in structured mode. Extension attributes are carried to the actors."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    id: Identifier
    source: SourceUri
    datacontenttype: str | None = None
    dataschema: str | None = None


POSTED, CLOUD = (
    model.model_json_schema(ref_template="#/components/schemas/{model}") for model in (PostedEvent, CloudEvent)
)
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"anyOf": [POSTED, {"type": "array", "maxItems": MAX_BATCH, "items": POSTED}]},
            "examples": {name: {"value": {"type": name, "data": kind.example}} for name, kind in OUTSIDE.items()},
        },
        "application/cloudevents+json": {"schema": CLOUD},
        "application/cloudevents-batch+json": {"schema": {"type": "array", "maxItems": MAX_BATCH, "items": CLOUD}},
    },
}


@router.post(
    "/events",
    status_code=202,
    response_model=Accepted | list[Accepted],
    response_model_exclude_none=True,
    openapi_extra={"requestBody": BODY, "parameters": [PARAMETER]},
    dependencies=[Depends(needs("events:write"))],
    responses={
        207: {
            "description": "A batch of which some events were refused: one result per event, in order",
            "model": list[Accepted | Refused],
        },
        400: {"description": "The body is not JSON, or Idempotency-Key is malformed"},
        413: {"description": "The body, the batch or an event is too large"},
        415: {"description": "Another media type, charset or Content-Encoding"},
        422: {"description": "Unknown type, bad field, or an id that was used for another event"},
        503: {"description": "The store cannot confirm, or the queue is full; send the same again, under the same id"},
    },
)
async def post_events() -> None:
    """Store one event, or a batch of up to 1,000; 202 leaves once all is stored.

    The same (source, id) from the same caller within 24 hours has one effect: the answer says `duplicate`. With other
    content it is refused. An event of CloudEvents' binary mode has its attributes in `ce-` fields.
    """
    raise AssertionError("the door hands these requests to the intake")  # pragma: no cover


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
        for name, contract in sorted(OUTSIDE.items())
    ]
