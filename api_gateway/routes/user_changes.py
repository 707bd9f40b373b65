"""Changing users: each call publishes one event, and is answered like POST /v1/events."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from actors.events import Address, Name, Preferences, Reason
from api_gateway import bodies, idempotency
from api_gateway.auth import authenticate, needs
from api_gateway.cloudevents import Places, PostedEvent, Sent
from api_gateway.intake import Intake
from api_gateway.problems import Problem
from api_gateway.routes.events import Accepted
from api_gateway.routes.users import allow
from workers.security.callers import Caller

router = APIRouter(prefix="/v1/users", tags=["users"])

MERGE_PATCH = b"application/merge-patch+json"
IN_BODY = Places(lambda _attribute: {"pointer": ""}, ())
"""The fields of the event's data are the members of the body."""


class NewUser(BaseModel):
    """What is said of a new user; all else about it is Luna's to say."""

    model_config = ConfigDict(extra="forbid")

    email: Address
    name: Name
    preferences: Preferences = {}


def _absent() -> Any:
    """Stands in a field that was left out; null, where it is given, is no value of any of them."""


class ProfileChange(BaseModel):
    """The fields to change; those left out stay. `preferences` are replaced as a whole."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    name: Name = Field(default_factory=_absent)
    email: Address = Field(default_factory=_absent)
    preferences: Preferences = Field(default_factory=_absent)

    @model_validator(mode="after")
    def _changes_something(self) -> ProfileChange:
        if not self.model_fields_set:
            raise ValueError("at least one of name, email and preferences must be given")
        return self


def _body(model: type[BaseModel], *media_types: bytes) -> dict[str, Any]:
    schema = {"schema": model.model_json_schema()}
    content = {media_type.decode(): schema for media_type in media_types}
    return {"requestBody": {"required": True, "content": content}, "parameters": [idempotency.PARAMETER]}


async def _publish(request: Request, caller: Caller, type_: str, data: dict[str, Any]) -> Accepted:
    intake: Intake = request.app.state.intake
    visit = request.state.visit
    posted = PostedEvent(type=type_, data=data, id=idempotency.key_of(visit))
    return Accepted.model_validate((await intake.store(Sent(posted, {}, IN_BODY), visit, caller.subject)).document)


WRITTEN: dict[int | str, dict[str, Any]] = {
    401: {"description": "No valid credentials"},
    403: {"description": "Not allowed; the same whether there is such a user"},
    503: {"description": "The store cannot confirm; send the same again"},
}
BODY_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is not JSON"},
    413: {"description": "The body is too large"},
    415: {"description": "The body is of another media type"},
    422: {"description": "A field that is wrong, or not to be set from outside"},
}


@router.post(
    "",
    status_code=202,
    response_model=Accepted,
    response_model_exclude_none=True,
    openapi_extra=_body(NewUser, bodies.JSON),
    responses=WRITTEN | BODY_REFUSED,
)
async def post_user(
    request: Request, response: Response, caller: Annotated[Caller, Depends(needs("users:write"))]
) -> Accepted:
    """Sign a user up. Answered like POST /v1/events; `Location` is where the user will be."""
    new = await bodies.document(request, NewUser)
    accepted = await _publish(request, caller, "user.signed_up", new.model_dump())
    response.headers["Location"] = f"{router.prefix}/{accepted.subject}"
    return accepted


@router.patch(
    "/{user_id}",
    status_code=202,
    response_model=Accepted,
    response_model_exclude_none=True,
    openapi_extra=_body(ProfileChange, bodies.JSON, MERGE_PATCH),
    responses=WRITTEN | BODY_REFUSED,
)
async def patch_user(user_id: UUID, request: Request, caller: Annotated[Caller, Depends(authenticate)]) -> Accepted:
    """Change the named fields of a profile. Needs users:write, or to be that user. Answered like POST /v1/events."""
    allow(caller, "users:write", user_id)
    change = await bodies.document(request, ProfileChange, (bodies.JSON, MERGE_PATCH))
    fields = change.model_dump(exclude_unset=True)
    if "preferences" in fields and bodies.media_type(request.state.visit) == MERGE_PATCH:  # RFC 7396 would merge them
        detail = f"preferences are replaced as a whole: send them as {bodies.JSON.decode()}"
        raise Problem(422, "Preferences cannot be merged.", errors=[{"detail": detail, "pointer": "/preferences"}])
    return await _publish(request, caller, "user.profile_changed", {"user_id": str(user_id), **fields})


@router.delete(
    "/{user_id}",
    status_code=202,
    response_model=Accepted,
    response_model_exclude_none=True,
    openapi_extra={"parameters": [idempotency.PARAMETER]},
    responses={**WRITTEN, 400: {"description": "Idempotency-Key is malformed"}},
)
async def delete_user(
    user_id: UUID,
    request: Request,
    caller: Annotated[Caller, Depends(needs("users:write"))],
    reason: Annotated[Reason | None, Query(description="Why, in a few words without personal data")] = None,
) -> Accepted:
    """Close an account: its personal data goes, its accounting stays. Answered like POST /v1/events."""
    data = {"user_id": str(user_id), **({"reason": reason} if reason else {})}
    return await _publish(request, caller, "user.closed", data)
