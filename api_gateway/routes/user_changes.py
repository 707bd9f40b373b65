"""Changing users: each call publishes one event, and is answered like POST /v1/events."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from actors.events import Address, Name, Preferences, Reason
from api_gateway.auth import authenticate, needs
from api_gateway.documents import JSON, media_type, read
from api_gateway.problems import Problem
from api_gateway.publishing import publish_one
from api_gateway.routes.events import Accepted
from api_gateway.routes.users import allow
from workers.security.callers import Caller

router = APIRouter(prefix="/v1/users", tags=["users"])

MERGE_PATCH = "application/merge-patch+json"


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


def _body(model: type[BaseModel], *media_types: str) -> dict[str, Any]:
    schema = {"schema": model.model_json_schema()}
    return {"requestBody": {"required": True, "content": dict.fromkeys(media_types, schema)}}


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
    openapi_extra=_body(NewUser, JSON),
    responses=WRITTEN | BODY_REFUSED,
)
async def post_user(
    request: Request, response: Response, caller: Annotated[Caller, Depends(needs("users:write"))]
) -> Accepted:
    """Sign a user up. Answered like POST /v1/events; `Location` is where the user will be."""
    new = await read(request, NewUser)
    accepted = await publish_one(request, caller, "user.signed_up", new.model_dump())
    response.headers["Location"] = f"{router.prefix}/{accepted.subject}"
    return accepted


@router.patch(
    "/{user_id}",
    status_code=202,
    response_model=Accepted,
    response_model_exclude_none=True,
    openapi_extra=_body(ProfileChange, JSON, MERGE_PATCH),
    responses=WRITTEN | BODY_REFUSED,
)
async def patch_user(user_id: UUID, request: Request, caller: Annotated[Caller, Depends(authenticate)]) -> Accepted:
    """Change the named fields of a profile. Needs users:write, or to be that user. Answered like POST /v1/events."""
    allow(caller, "users:write", user_id)
    change = await read(request, ProfileChange, (JSON, MERGE_PATCH))
    fields = change.model_dump(exclude_unset=True)
    if "preferences" in fields and media_type(request) == MERGE_PATCH:  # RFC 7396 would merge them
        detail = f"preferences are replaced as a whole: send them as {JSON}"
        raise Problem(422, "Preferences cannot be merged.", errors=[{"detail": detail, "pointer": "/preferences"}])
    return await publish_one(request, caller, "user.profile_changed", {"user_id": str(user_id), **fields})


@router.delete(
    "/{user_id}",
    status_code=202,
    response_model=Accepted,
    response_model_exclude_none=True,
    responses=WRITTEN,
)
async def delete_user(
    user_id: UUID,
    request: Request,
    caller: Annotated[Caller, Depends(needs("users:write"))],
    reason: Annotated[Reason | None, Query(description="Why, in a few words without personal data")] = None,
) -> Accepted:
    """Close an account: its personal data goes, its accounting stays. Answered like POST /v1/events."""
    data = {"user_id": str(user_id), **({"reason": reason} if reason else {})}
    return await publish_one(request, caller, "user.closed", data)
