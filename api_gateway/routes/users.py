"""Users: the profile and the metrics, read through the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from actors.billing.store import plan_of
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
    plan: str = Field(description="What the user's subscriptions are worth now; free without one")
    created_at: str
    updated_at: str


class Metrics(BaseModel):
    """What is counted about a user."""

    profile_changes: int
    last_active_at: str


NOT_YOURS = "This needs the scope {scope}, or to be that user."
"""The same whether there is that user or not: nobody else learns."""


def allow(caller: Caller, scope: str, user_id: UUID) -> None:
    """Let those pass who hold the scope, or are that user. Raises Problem 403."""
    if not (caller.may(scope) or caller.subject == str(user_id)):
        raise Problem(403, NOT_YOURS.format(scope=scope))


READ: dict[int | str, dict[str, Any]] = {
    304: {"description": "Unchanged since the given ETag"},
    401: {"description": "No valid credentials"},
    403: {"description": "Neither users:read nor that user; the same whether there is one"},
    404: {"description": "No such user, or it is closed"},
}


@router.get("/{user_id}", response_model=Profile, responses=READ)
def get_user(user_id: UUID, request: Request, caller: Annotated[Caller, Depends(authenticate)]) -> Response:
    """The profile. Needs users:read, or to be that user. `X-Cache` says hit, miss or bypass."""
    allow(caller, "users:read", user_id)
    plans = request.app.state.settings.plans

    def load(connection: Connection) -> dict[str, Any] | None:
        profile = store.profile(connection, str(user_id))
        return profile and {**profile, "plan": plan_of(connection, str(user_id), datetime.now(UTC), plans)}

    return _cached(request, tags.profile(user_id), user_id, load)


@router.get("/{user_id}/metrics", response_model=Metrics, responses=READ)
def get_metrics(user_id: UUID, request: Request, caller: Annotated[Caller, Depends(authenticate)]) -> Response:
    """What is counted about a user. Needs users:read, or to be that user."""
    allow(caller, "users:read", user_id)
    return _cached(request, tags.metrics(user_id), user_id, lambda connection: store.metrics(connection, str(user_id)))


def _cached(request: Request, key: str, user_id: UUID, load: Callable[[Connection], dict[str, Any] | None]) -> Response:
    cache: TaggedCache = request.app.state.cache
    database: Database = request.app.state.database

    def loaded() -> dict[str, Any] | None:
        with database.read() as connection:
            return load(connection)

    found = cache.read(key, [tags.of_user(user_id)], loaded)
    if found.value is None:
        raise Problem(404, "There is no such user.")
    return _answer(request, found.value, found.how)


def _answer(request: Request, value: dict[str, Any], how: str) -> Response:
    body = orjson.dumps(value)
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": etag, "X-Cache": how, "Cache-Control": "private, no-cache"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    if etag in known or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")
