"""Who gets what answer from every endpoint: one table, held against the routes that are served.

A new endpoint has no row, and fails here until somebody has decided who may call it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import redis
from fastapi.routing import iter_route_contexts

from actors.routes import QUEUES, ROUTES
from actors.users import store as users
from tests.builders import Told, an_event
from tests.gateway import Gateway, bearer, settings
from tests.servers import Valkey
from workers.database import Database
from workers.errors import PermanentError
from workers.operations import Filter, Operations
from workers.queue.publisher import Publisher

OWNER = "6f0c2a7e-3c1d-4a55-9d57-0a8d4d0a1f11"
"""The user whose profile and event the table asks for."""
OTHER = "1d5e9f00-8a3b-4c77-8b1e-5f1b2f6a7c22"

CALLERS: dict[str, dict[str, str]] = {
    "nobody": {},
    "unscoped": bearer("stranger"),
    "other": bearer(OTHER, "events:read", "events:write"),
    "owner": bearer(OWNER, "events:read", "events:write"),
    "service": bearer("shop", "events:read", "events:write", "users:read", "users:write"),
    "reader": bearer("rita", "ops:read"),
    "operator": bearer("olga", "ops:read", "ops:write"),
    "admin": bearer("root", "admin"),
}


class World:
    """One gateway, and what there is to ask for: made anew for every question."""

    def __init__(self, gateway: Gateway, store: redis.Redis, database: Database) -> None:
        self.gateway, self._store = gateway, store
        self._publisher, self._told = Publisher(store, ROUTES), Told(store, ROUTES)
        self._operations = Operations(store, QUEUES, database, self._publisher)

    def event(self) -> str:
        """The id of an event that the owner posted."""
        event = an_event("email.requested", {"to": "ada@example.com", "template": "welcome"}, caller=OWNER)
        self._publisher.publish(event)
        return event.id

    def letter(self) -> str:
        """The id of a dead letter."""
        event = an_event("user.signed_up", {"email": "ada@example.com", "name": "Ada"}, caller=OWNER)
        self._publisher.publish(event)
        self._told.attempt(event, ROUTES["user.signed_up"][0], PermanentError("never"))
        return self._operations.dead(Filter(), limit=1)[0].letter.id

    def operation(self) -> str:
        """The id of a bulk operation."""
        return str(self._operations.start_bulk("discard", Filter(queue="cache"), 0, "cli:op"))


class Row(NamedTuple):
    """The answers to the callers, in their order; where the question goes; what is sent along."""

    answers: tuple[int, ...]
    url: str | Callable[[World], str] = ""
    body: Any = None


def signing_up() -> dict[str, Any]:
    return {"type": "user.signed_up", "data": {"email": f"{uuid4()}@example.com", "name": "Ada"}}


# fmt: off
#                 nobody unscoped other owner service reader operator admin
EVERYBODY =       (200,  200,     200,  200,  200,    200,   200,     200)
READS_OPS =       (401,  403,     403,  403,  403,    200,   200,     200)
ACTS =            (401,  403,     403,  403,  403,    403,   200,     200)
STARTS =          (401,  403,     403,  403,  403,    403,   202,     202)
POSTS =           (401,  403,     202,  202,  202,    403,   403,     202)
KNOWS_EVENTS =    (401,  403,     200,  200,  200,    403,   403,     200)
OWN_EVENT =       (401,  403,     404,  200,  404,    200,   200,     200)
OWN_PROFILE =     (401,  403,     403,  200,  200,    403,   403,     200)
CHANGES_OWN =       (401,  403,     403,  202,  202,    403,   403,     202)
WRITES_USERS =      (401,  403,     403,  403,  202,    403,   403,     202)
UNSIGNED =          (401,  401,     401,  401,  401,    401,   401,     401)

TABLE: dict[tuple[str, str], Row] = {
    ("GET", "/health/live"): Row(EVERYBODY),
    ("GET", "/health/ready"): Row(EVERYBODY),
    ("GET", "/health"): Row(EVERYBODY),
    ("GET", "/docs"): Row(READS_OPS),
    ("GET", "/docs/assets/{file}"): Row(READS_OPS, "/docs/assets/start.js"),
    ("GET", "/openapi.json"): Row(READS_OPS),
    ("POST", "/v1/events"): Row(POSTS, body=signing_up),
    ("GET", "/v1/events/{event_id}"): Row(OWN_EVENT, lambda world: f"/v1/events/{world.event()}"),
    ("GET", "/v1/event-types"): Row(KNOWS_EVENTS),
    ("GET", "/v1/users/{user_id}"): Row(OWN_PROFILE, f"/v1/users/{OWNER}"),
    ("GET", "/v1/users/{user_id}/metrics"): Row(OWN_PROFILE, f"/v1/users/{OWNER}/metrics"),
    ("PATCH", "/v1/users/{user_id}"): Row(CHANGES_OWN, f"/v1/users/{OWNER}", body={"name": "Ada"}),
    ("POST", "/v1/users"): Row(WRITES_USERS, body={"email": "new@example.com", "name": "Ada"}),
    ("DELETE", "/v1/users/{user_id}"): Row(WRITES_USERS, f"/v1/users/{OWNER}"),
    ("POST", "/webhooks/lemonsqueezy"): Row(UNSIGNED, body={}),
    ("GET", "/v1/ops/queues"): Row(READS_OPS),
    ("GET", "/v1/ops/queues/{queue}"): Row(READS_OPS, "/v1/ops/queues/email"),
    ("POST", "/v1/ops/queues/{queue}/pause"): Row(ACTS, "/v1/ops/queues/email/pause"),
    ("POST", "/v1/ops/queues/{queue}/resume"): Row(ACTS, "/v1/ops/queues/email/resume"),
    ("GET", "/v1/ops/dead"): Row(READS_OPS),
    ("GET", "/v1/ops/dead/{letter_id}"): Row(READS_OPS, lambda world: f"/v1/ops/dead/{world.letter()}"),
    ("POST", "/v1/ops/dead/{letter_id}/retry"): Row(ACTS, lambda world: f"/v1/ops/dead/{world.letter()}/retry"),
    ("DELETE", "/v1/ops/dead/{letter_id}"): Row(ACTS, lambda world: f"/v1/ops/dead/{world.letter()}"),
    ("POST", "/v1/ops/dead/retry"): Row(STARTS, body={"all": True}),
    ("POST", "/v1/ops/dead/discard"): Row(STARTS, body={"all": True}),
    ("GET", "/v1/ops/operations/{operation_id}"): Row(
        READS_OPS, lambda world: f"/v1/ops/operations/{world.operation()}"
    ),
    ("POST", "/v1/ops/operations/{operation_id}/stop"): Row(
        ACTS, lambda world: f"/v1/ops/operations/{world.operation()}/stop"
    ),
    ("GET", "/v1/ops/workers"): Row(READS_OPS),
    ("GET", "/v1/ops/audit"): Row(READS_OPS),
}
# fmt: on


@pytest.fixture
def world(valkey: Valkey, database: Database) -> Iterator[World]:
    with database.write() as connection:
        for number, user_id in enumerate((OWNER, OTHER)):
            email, now = f"{number}@example.com", datetime.now(UTC)
            users.create(connection, user_id=user_id, email=email, name="Ada", preferences={}, now=now)
    production = settings(valkey.url, LUNA_ENV="production", LEMONSQUEEZY_WEBHOOK_SECRET="signed-with-this")
    with Gateway(production, database) as gateway, valkey.client() as client:
        yield World(gateway, client, database)


def test_every_endpoint_stands_in_the_table_and_nothing_else_does(gateway: Gateway) -> None:
    served = {
        (method, str(route.path_format))
        for route in iter_route_contexts(gateway.app.routes)
        for method in route.methods or {"any"}
    }
    assert set(TABLE) == served


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_every_caller_gets_the_answer_of_the_table(world: World, method: str, path: str) -> None:
    row = TABLE[method, path]
    answers: dict[str, int] = {}
    for caller, credentials in CALLERS.items():
        url = row.url(world) if callable(row.url) else row.url or path
        body = row.body() if callable(row.body) else row.body
        options = {"json": body} if body is not None else {}
        answer = world.gateway.call(method, url, headers=credentials, **options)
        answers[caller] = answer.status_code
        if answer.is_error:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert OWNER not in json.dumps(answer.json())
    assert answers == dict(zip(CALLERS, row.answers, strict=True))


def test_the_answer_to_anothers_object_does_not_tell_whether_there_is_one(world: World) -> None:
    stranger, there, nowhere = CALLERS["other"], world.event(), str(uuid4())
    for known, unknown in (
        (f"/v1/events/{there}", f"/v1/events/{nowhere}"),
        (f"/v1/users/{OWNER}", f"/v1/users/{nowhere}"),
    ):
        answers = [world.gateway.get(path, {**stranger, "X-Correlation-ID": "1"}) for path in (known, unknown)]
        assert answers[0].status_code == answers[1].status_code
        assert answers[0].content == answers[1].content
        assert dict(answers[0].headers) == dict(answers[1].headers)


def test_who_may_not_act_changes_nothing(world: World) -> None:
    letter = world.letter()
    for path in ("queues/email/pause", f"dead/{letter}/retry", "dead/retry", "dead/discard"):
        for caller in ("nobody", "other", "owner", "service", "reader"):
            answer = world.gateway.call("POST", f"/v1/ops/{path}", headers=CALLERS[caller], json={})
            assert answer.status_code in {401, 403}
    for caller in ("nobody", "owner", "reader"):
        assert world.gateway.call("DELETE", f"/v1/ops/dead/{letter}", headers=CALLERS[caller]).status_code in {401, 403}
    assert world.gateway.get("/v1/ops/audit", CALLERS["reader"]).json()["items"] == []
    assert world.gateway.get(f"/v1/ops/dead/{letter}", CALLERS["reader"]).status_code == 200
    assert not world.gateway.get("/v1/ops/queues/email", CALLERS["reader"]).json()["paused"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/ops/dead?limit=x"),
        ("GET", "/v1/ops/audit?cursor=x"),
        ("GET", "/v1/ops/operations/1"),
        ("POST", "/v1/ops/operations/1/stop"),
        ("POST", "/v1/ops/dead/retry"),
        ("POST", "/v1/ops/dead/1/retry"),
        ("POST", "/v1/events"),
        ("GET", "/v1/users/1"),
    ],
)
def test_who_may_not_call_learns_nothing_of_what_is_wrong_with_the_call(world: World, method: str, path: str) -> None:
    garbage = {} if method == "GET" else {"content": b"{", "headers": {"Content-Type": "application/json"}}
    assert world.gateway.call(method, path, **garbage).status_code == 401
    if path != "/v1/users/1":
        headers = {**CALLERS["unscoped"], **garbage.pop("headers", {})}
        assert world.gateway.call(method, path, headers=headers, **garbage).status_code == 403
