from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, merge_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.gateway import door


class App:
    """Answers 204 after binding what it is told, unless an error comes in between or before."""

    def __init__(self, error: Exception | None = None, **context: str) -> None:
        self.error, self.context = error, context

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        scope["route"] = APIRoute("/v1/events/{event_id}", lambda: None)
        bind_contextvars(**self.context)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.body"})


def request(app: ASGIApp, path: str = "/v1/events/1", correlation: str | None = None) -> dict[str, str]:
    """One GET; the answer's headers."""
    headers = [] if correlation is None else [(b"x-correlation-id", correlation.encode("latin-1"))]
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nobody reads the body")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    asyncio.run(app(scope, receive, send))
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def logged(app: ASGIApp, *paths: str) -> list[EventDict]:
    with capture_logs(processors=[merge_contextvars]) as lines:
        for path in paths:
            request(app, path)
    return lines


@pytest.mark.parametrize("given", ["a", "0b0e7a4e-3c1d-4a55-9d57-0a8d4d0a1f11", "a:b_c.d-e", "x" * 128])
def test_a_fit_correlation_id_is_kept(given: str) -> None:
    assert request(door(App()), correlation=given)["x-correlation-id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "two words", "a\tb", "a\n", "é", "<script>", 'a"b'])
def test_an_unfit_correlation_id_is_replaced(given: str | None) -> None:
    answered = request(door(App()), correlation=given)["x-correlation-id"]
    assert answered != given
    assert UUID(answered).version == 4


def test_a_request_is_one_line_with_its_outcome() -> None:
    (line,) = logged(door(App()), "/v1/events/1")
    assert (line["event"], line["method"], line["status"]) == ("request", "GET", 204)
    assert line["duration_ms"] >= 0
    assert UUID(line["correlation_id"]).version == 4


def test_the_path_is_logged_as_the_route_writes_it() -> None:
    """An address in a path stays out of the logs."""
    (line,) = logged(door(App()), "/v1/events/ada@example.com")
    assert line["path"] == "/v1/events/{event_id}"


def test_health_checks_are_not_logged() -> None:
    assert logged(door(App()), "/health/live", "/health/ready") == []


def test_nothing_bound_for_one_request_is_on_the_lines_of_the_next() -> None:
    app = App(event_id="1")

    async def two_in_one_task() -> None:
        async def nothing(*_: object) -> None:
            pass

        for method in ("POST", "GET"):
            scope: Scope = {"type": "http", "method": method, "path": "/v1/events/1", "headers": []}
            await door(app)(scope, nothing, nothing)  # type: ignore[arg-type]
            app.context = {}

    with capture_logs(processors=[merge_contextvars]) as lines:
        asyncio.run(two_in_one_task())
    assert [(line["method"], line.get("event_id")) for line in lines] == [("POST", "1"), ("GET", None)]


def test_an_error_after_the_answer_has_begun_ends_the_connection() -> None:
    """Two answers cannot be sent: the server closes the connection, and the client sees that the body is not whole."""
    with pytest.raises(RuntimeError, match="midway"):
        request(door(App(RuntimeError("midway"))))


def test_a_caller_who_goes_away_is_no_error() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ClientDisconnect

    async def nothing(*_: object) -> None:
        pass

    scope: Scope = {"type": "http", "method": "POST", "path": "/v1/users", "headers": []}
    with capture_logs() as lines:
        asyncio.run(door(app)(scope, nothing, nothing))  # type: ignore[arg-type]
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("request.abandoned", "info"),
        ("request", "info"),
    ]


def test_other_protocols_pass_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: object) -> None:
        pass

    asyncio.run(door(app)({"type": "lifespan"}, nothing, nothing))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
