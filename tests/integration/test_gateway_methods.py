"""HEAD is GET without the body, wherever there is GET."""

from __future__ import annotations

import pytest
from fastapi.routing import iter_route_contexts

from tests.gateway import ADA, SIGNED_UP, Gateway, WebProcess, bearer

ADMIN = bearer("root", "admin")
VARYING = {"x-correlation-id", "date"}


def test_head_is_answered_as_get_without_the_body_on_every_route(gateway: Gateway) -> None:
    gateway.post({**SIGNED_UP, "id": "1"})
    paths = [route.path_format for route in iter_route_contexts(gateway.app.routes) if "GET" in (route.methods or ())]
    assert len(paths) > 10
    for path in paths:
        url = str(path).replace("{event_id}", "1").replace("{file}", "start.js").replace("{queue}", "email")
        get, head = (gateway.call(method, url, headers=ADMIN) for method in ("GET", "HEAD"))
        assert (url, head.status_code, head.content) == (url, get.status_code, b"")
        assert set(head.headers) - VARYING == set(get.headers) - VARYING


def test_a_problem_has_no_body_for_head(gateway: Gateway) -> None:
    for url, headers, status in (("/v1/events/none", ADA, 404), ("/v1/events/1", {}, 401), ("/nothing", {}, 404)):
        answer = gateway.call("HEAD", url, headers=headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert answer.content == b""


def test_head_where_there_is_no_get_says_what_there_is(gateway: Gateway) -> None:
    answer = gateway.call("HEAD", "/v1/events", headers=ADA)
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (405, "POST", b"")


@pytest.mark.parametrize(("path", "status"), [("/health/live", 200), ("/v1/event-types", 401)])
def test_the_process_sends_no_body_for_head_and_logs_it_as_head(web: WebProcess, path: str, status: int) -> None:
    answer = web.http.head(path)
    assert (answer.status_code, answer.content) == (status, b"")
    assert web.http.get("/health/live").status_code == 200  # on the same connection: nothing was left on it
    lines = [line for line in web.lines() if line["event"] == "request"]
    assert [line["method"] for line in lines] == ([] if path.startswith("/health") else ["HEAD"])
