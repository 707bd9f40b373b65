from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from tests.gateway import ADA, Gateway, settings
from tests.servers import Valkey
from workers.database import Database

DOCUMENTATION = {"/docs", "/docs/oauth2-redirect", "/openapi.json"}


@pytest.fixture
def in_production(valkey: Valkey, database: Database) -> Iterator[Gateway]:
    with Gateway(settings(valkey.url, LUNA_ENV="production"), database) as gateway:
        yield gateway


def documented(gateway: Gateway) -> dict[str, Any]:
    answer = gateway.get("/openapi.json", {})
    assert answer.status_code == 200
    return dict(answer.json()["paths"])


def test_the_documentation_is_open_in_development(gateway: Gateway) -> None:
    assert gateway.get("/docs", {}).status_code == 200
    assert documented(gateway)


@pytest.mark.parametrize("path", sorted(DOCUMENTATION | {"/redoc"}))
def test_the_documentation_is_closed_in_production(in_production: Gateway, path: str) -> None:
    closed, unknown = (in_production.get(each, {"X-Correlation-ID": "1"}) for each in (path, "/nothing"))
    assert (closed.status_code, closed.content) == (404, unknown.content)


def test_every_served_route_is_documented_and_every_documented_one_is_served(gateway: Gateway) -> None:
    served = {
        (route.path_format, method.lower())
        for route in iter_route_contexts(gateway.app.routes)
        if route.path_format not in DOCUMENTATION
        for method in route.methods or {"any"}
    }
    assert {(path, method) for path, methods in documented(gateway).items() for method in methods} == served
    assert ("/v1/events", "post") in served


def test_every_documented_path_is_answered_by_its_route(gateway: Gateway) -> None:
    for path, methods in documented(gateway).items():
        answer = gateway.call("OPTIONS", path.format(event_id="1", user_id="1"), headers=ADA)
        allowed = {method.strip().lower() for method in answer.headers["Allow"].split(",")}
        assert (path, answer.status_code, allowed) == (path, 405, set(methods))


def test_the_body_of_an_event_is_documented_with_its_fields(gateway: Gateway) -> None:
    body = documented(gateway)["/v1/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    one, batch = body["anyOf"]
    assert batch["items"] == one
    assert one["required"] == ["type", "data"]
    assert set(one["properties"]) == {"type", "data", "id", "source", "subject", "time"}
