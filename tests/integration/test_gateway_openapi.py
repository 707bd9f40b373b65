from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from tests.gateway import ADA, Gateway, bearer, settings
from tests.servers import Valkey
from workers.database import Database

PAGES = ["/openapi.json", "/docs", "/docs/assets/start.js", "/docs/assets/swagger-ui-bundle.js"]
READER = bearer("op", "ops:read")
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
OPEN = {"/health", "/health/live", "/health/ready", *("/openapi.json", "/docs", "/docs/assets/{file}")}


@pytest.fixture
def in_production(valkey: Valkey, database: Database) -> Iterator[Gateway]:
    with Gateway(settings(valkey.url, LUNA_ENV="production"), database) as gateway:
        yield gateway


def document(gateway: Gateway) -> dict[str, Any]:
    answer = gateway.get("/openapi.json", {})
    assert answer.status_code == 200
    return dict(answer.json())


def documented(gateway: Gateway) -> dict[str, Any]:
    return dict(document(gateway)["paths"])


def operations(gateway: Gateway) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in documented(gateway).items()
        for method, operation in methods.items()
    }


@pytest.mark.parametrize("path", PAGES)
def test_the_reference_is_open_in_development(gateway: Gateway, path: str) -> None:
    assert gateway.get(path, {}).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_the_reference_is_for_operators_in_production(in_production: Gateway, path: str) -> None:
    answers = [in_production.get(path, caller).status_code for caller in ({}, ADA, READER)]
    assert answers == [401, 403, 200]


@pytest.mark.parametrize("path", ["/redoc", "/docs/", "/docs/oauth2-redirect", "/docs/assets/page.html"])
def test_nothing_else_of_the_reference_is_served(gateway: Gateway, path: str) -> None:
    assert gateway.get(path, {}).status_code == 404


@pytest.mark.parametrize(
    "name", ["../pages.py", "..%2Fpages.py", "%2e%2e/pages.py", "pages.py", "", "redoc.standalone.js"]
)
def test_no_other_file_can_be_had(gateway: Gateway, name: str) -> None:
    assert gateway.get(f"/docs/assets/{name}", {}).status_code == 404


def test_the_page_loads_only_files_of_this_origin_and_has_no_script_in_it(gateway: Gateway) -> None:
    answer = gateway.get("/docs", {})
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "//" not in answer.text.replace("<!doctype html>", "")
    assert re.findall(r"<script[^>]*>(.*?)</script>", answer.text) == ["", ""]
    for link in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert gateway.get(f"/{link}", {}).status_code == 200


def test_every_served_route_is_documented_and_every_documented_one_is_served(gateway: Gateway) -> None:
    served = {
        (method, route.path_format)
        for route in iter_route_contexts(gateway.app.routes)
        for method in route.methods or {"any"}
    }
    assert set(operations(gateway)) == served
    assert {("POST", "/v1/events"), ("GET", "/v1/ops/audit"), ("GET", "/docs")} <= served


def test_every_documented_path_is_answered_by_its_route_and_says_what_it_allows(gateway: Gateway) -> None:
    for path, methods in documented(gateway).items():
        answer = gateway.call("OPTIONS", re.sub(r"\{\w+\}", "1", path), headers=ADA)
        allowed = set(answer.headers["Allow"].split(", "))
        named = {method.upper() for method in methods}
        assert (path, answer.status_code) == (path, 405)
        assert allowed >= named | ({"HEAD"} if "GET" in named else set())


def test_a_path_with_two_methods_allows_both(gateway: Gateway) -> None:
    assert gateway.call("PUT", "/v1/ops/dead/1", headers=ADA).headers["Allow"] == "DELETE, GET, HEAD"


def test_operations_have_names_of_their_own(gateway: Gateway) -> None:
    names = [operation["operationId"] for operation in operations(gateway).values()]
    assert len(names) == len(set(names))


def test_every_operation_says_who_may_call_it(gateway: Gateway) -> None:
    for (method, path), operation in operations(gateway).items():
        assert bool(operation.get("security")) != (path in OPEN), f"{method} {path}"
    queues = operations(gateway)["GET", "/v1/ops/queues"]
    assert queues["security"] == [{"bearer": ["ops:read"]}, {"apiKey": ["ops:read"]}]
    assert "`ops:read`" in queues["description"]
    assert set(document(gateway)["components"]["securitySchemes"]) == {"bearer", "apiKey", "signature"}


def test_every_error_is_documented_as_the_problem_that_it_is(gateway: Gateway) -> None:
    for (method, path), operation in operations(gateway).items():
        for status, response in operation["responses"].items():
            if int(status) >= 400 and (path, status) != ("/health", "503"):
                assert response["content"] == PROBLEM, f"{method} {path} {status}"
        wanted = {"500"} if path.startswith("/health") else {"429", "500", "503"}
        credentials = {"bearer": {"401", "403"}, "signature": {"401"}}
        refusals = [credentials[name] for each in operation.get("security", []) for name in each if name in credentials]
        assert wanted.union(*refusals) <= set(operation["responses"])
        assert all("Retry-After" in operation["responses"][status]["headers"] for status in wanted - {"500"})


def test_every_reference_within_the_document_leads_somewhere(gateway: Gateway) -> None:
    whole = document(gateway)
    for reference in set(re.findall(r"'\$ref': '#/([^']+)'", str(whole))):
        place: Any = whole
        for part in reference.split("/"):
            place = place[part]
        assert place


def test_the_body_of_an_event_is_documented_with_its_fields(gateway: Gateway) -> None:
    body = documented(gateway)["/v1/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    one, batch = body["anyOf"]
    assert batch["items"] == one
    assert one["required"] == ["type", "data"]
    assert set(one["properties"]) == {"type", "data", "id", "source", "subject", "time"}


def test_the_body_of_an_event_is_shown_by_an_example_of_each_type_that_can_be_posted(gateway: Gateway) -> None:
    body = documented(gateway)["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
    types = {each["type"] for each in gateway.get("/v1/event-types", ADA).json()}
    assert set(body["examples"]) == types
    for example in body["examples"].values():
        assert gateway.post(example["value"]).status_code == 202
