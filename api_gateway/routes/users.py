"""Users: a profile, read through the cache."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from actors.users import store, tags
from api_gateway.auth import authenticate
from api_gateway.problems import Problem
from workers.cache import TaggedCache
from workers.database import Database
from workers.security.callers import Caller

router = APIRouter(prefix="/v1/users", tags=["users"])


class Profile(BaseModel):
    """A user as seen from outside."""

    id: UUID
    email: str
    name: str
    preferences: dict[str, Any]
    created_at: str
    updated_at: str


@router.get(
    "/{user_id}",
    response_model=Profile,
    responses={304: {"description": "Unchanged since the given ETag"}, 404: {"description": "No such user"}},
)
def get_user(user_id: UUID, request: Request, caller: Annotated[Caller, Depends(authenticate)]) -> Response:
    """The profile. Needs users:read, or to be that user. `X-Cache` says hit, miss or bypass."""
    if not (caller.may("users:read") or caller.subject == str(user_id)):
        raise Problem(403, "This needs the scope users:read, or to be that user.")
    cache: TaggedCache = request.app.state.cache
    database: Database = request.app.state.database

    def load() -> dict[str, Any] | None:
        with database.read() as connection:
            return store.profile(connection, str(user_id))

    read = cache.read(tags.profile(user_id), [tags.of_user(user_id)], load)
    if read.value is None:
        raise Problem(404, "There is no such user.")
    return _answer(request, read.value, read.how)


def _answer(request: Request, profile: dict[str, Any], how: str) -> Response:
    body = orjson.dumps(profile)
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": etag, "X-Cache": how, "Cache-Control": "private, no-cache"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    if etag in known or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")
