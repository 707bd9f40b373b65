"""Admission: from the bytes of a request to an event that may be stored, or a problem that says why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4, uuid5

import orjson
from fastapi import Request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from actors.events import CONTRACTS
from api_gateway.problems import Problem, invalid
from workers.contract import Contract
from workers.event import INTERNAL_SOURCE, NAMESPACE, Event, timestamp
from workers.queue.publisher import fingerprint
from workers.security.callers import Caller

CALLERS = "/callers/"
"""Begins the source of an event that comes without one; a caller may not speak in another's name."""

MAX_BODY_BYTES = 256 * 1024

Identifier = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=200)]
SourceUri = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=200)]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


def _text(moment: Any) -> Any:
    if isinstance(moment, str) and "-" in moment:
        return moment
    raise ValueError("must be a moment in RFC 3339")  # pydantic would take a number for seconds, or ms


class PostedEvent(BaseModel):
    """An event as a caller posts it. Absent parts are filled in: id at random, source from the caller, time now."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(max_length=128, examples=["user.signed_up"])
    data: dict[str, Any] = Field(examples=[{"email": "ada@example.com", "name": "Ada Lovelace"}])
    id: Identifier | None = None
    source: SourceUri | None = None
    subject: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    time: Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_in_utc)] | None = None


async def body_of(request: Request) -> bytes:
    """The body, read no further than the limit. Raises Problem 413 or 415."""
    if request.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "Send application/json.", headers={"Accept": "application/json"})
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(
            415, "Send the body as it is, without a Content-Encoding.", headers={"Accept-Encoding": "identity"}
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Problem(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def parse(body: bytes) -> PostedEvent:
    """The posted event. Raises Problem 400 for what is not JSON, 422 for a wrong field."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is not JSON: {error}.") from None
    try:
        return PostedEvent.model_validate(document)
    except ValidationError as error:
        raise invalid(error.errors(), document) from None


def admit(posted: PostedEvent, caller: Caller, correlation: str) -> tuple[Event, str]:
    """The completed event, held against its contract, and the fingerprint of what was sent. Raises Problem 422."""
    contract = CONTRACTS.get(posted.type)
    if contract is None or not contract.external:
        known = ", ".join(sorted(name for name, kind in CONTRACTS.items() if kind.external))
        raise _field("/type", f"There is no such event to post. These are: {known}.")
    if posted.source is not None and posted.source.startswith(INTERNAL_SOURCE):
        raise _field("/source", f"Sources that begin with {INTERNAL_SOURCE} are Luna's own.")
    own_source = f"{CALLERS}{caller.subject}"
    if posted.source is not None and posted.source.startswith(CALLERS) and posted.source != own_source:
        raise _field("/source", f"Sources that begin with {CALLERS} name the caller; yours is {own_source}.")
    sent = Event(
        id=posted.id or str(uuid4()),
        source=posted.source or own_source,
        type=posted.type,
        data=posted.data,
        caller=caller.subject,
        time=timestamp(posted.time or datetime.now(UTC)),
        subject=posted.subject,
        correlation=correlation,
    )
    return _complete(sent, contract), fingerprint(sent)


def _complete(sent: Event, contract: type[Contract]) -> Event:
    """The event with validated data; a `user_id` that the caller left out is derived from source and id."""
    data = dict(sent.data)
    if "user_id" in contract.model_fields and data.get("user_id") is None and contract.type == "user.signed_up":
        data["user_id"] = str(uuid5(NAMESPACE, f"{sent.source}\n{sent.id}"))
    try:
        valid = contract.model_validate(data)
    except ValidationError as error:
        raise invalid(error.errors(), data, prefix=["data"]) from None
    fields = valid.model_dump(mode="json", exclude_none=True)
    return replace(sent, data=fields, subject=sent.subject or fields.get("user_id"))


def _field(place: str, detail: str) -> Problem:
    return Problem(422, "The event is not one that may be posted.", errors=[{"detail": detail, "pointer": place}])
