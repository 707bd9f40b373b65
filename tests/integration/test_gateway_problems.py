"""Every error of the running gateway is a problem document, whichever part of it answers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.gateway import ADA, SIGNED_UP, Gateway, WebProcess, bearer
from workers.database import Database

USER = "0b0e7a4e-3c1d-4a55-9d57-0a8d4d0a1f11"
READER = bearer("service", "users:read")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", ADA, 404),
        ("GET", "/v1", ADA, 404),
        ("POST", "/v1/events/", ADA, 405),
        ("GET", "/v1/events", ADA, 405),
        ("DELETE", "/v1/events/1", ADA, 405),
        ("POST", "/v1/events", {}, 401),
        ("POST", "/v1/events", READER, 403),
        ("POST", "/v1/events", ADA, 400),
        ("POST", "/v1/events", {**ADA, "Content-Type": "text/plain"}, 415),
        ("GET", "/v1/events/none", ADA, 404),
        ("GET", f"/v1/users/{USER}", READER, 404),
        ("GET", "/v1/users/1", READER, 422),
        ("GET", "/v1/users/1", {}, 401),
    ],
)
def test_an_error_is_a_problem_document(
    gateway: Gateway, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = gateway.call(method, path, headers={**headers, "Accept": "text/html"})
    document = answer.json()
    assert (answer.status_code, document["status"], document["title"]) == (status, status, answer.reason_phrase)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert document.keys() <= {"status", "title", "detail", "errors"}
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/events", "POST"),
        ("/v1/events/1", "GET, HEAD"),
        (f"/v1/users/{USER}", "DELETE, GET, HEAD, PATCH"),
        (f"/v1/users/{USER}/metrics", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_which_are_allowed(gateway: Gateway, path: str, allowed: str) -> None:
    assert gateway.call("PUT", path, headers=ADA).headers["Allow"] == allowed


def test_an_unexpected_error_says_nothing_of_itself(gateway: Gateway) -> None:
    gateway.app.state.cache = "no cache at all"
    with capture_logs():
        answer = gateway.get(f"/v1/users/{USER}", READER)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {
        "status": 500,
        "title": "Internal Server Error",
        "detail": "Something went wrong on our side; it has been logged.",
    }


def test_a_database_that_is_lost_is_503(gateway: Gateway) -> None:
    gateway.app.state.database = Database(f"sqlite:///{Path.cwd()}")
    answer = gateway.get(f"/v1/users/{USER}", READER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert str(Path.cwd()) not in answer.text


def test_on_the_wire_head_has_no_body_and_a_body_over_the_limit_ends_well(web: WebProcess) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as connection:
        connection.sendall(b"HEAD /nothing HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
        whole = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = whole.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in head
    assert b"\r\nserver:" not in head.lower()
    assert body == b""

    pieces = (b" " * 10_000 for _ in range(100))
    headers = {**ADA, "Content-Type": "application/json"}
    answer = web.http.post("/v1/events", headers=headers, content=pieces)
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
    assert web.post(SIGNED_UP).status_code == 202
