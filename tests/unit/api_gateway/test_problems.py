from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from api_gateway import problems
from api_gateway.door import Door
from api_gateway.endpoints import Endpoints
from api_gateway.problems import TITLES, Problem, pointer
from tests.gateway import state
from workers.errors import UnavailableError


def answer(error: Exception | None = None, method: str = "GET", url: str = "/", **headers: str) -> httpx.Response:
    """What a caller gets from an application whose only route raises `error`."""
    app = FastAPI()
    problems.install(app)
    app.add_middleware(Door, state=state(), endpoints=Endpoints([]), secure=False)

    @app.get("/")
    def failing(number: int = 0) -> int:
        if error is not None:
            raise error
        return number

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.request(method, url, headers=headers)

    return asyncio.run(call())


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The document, held against RFC 9457 and the rules that every answer of ours keeps."""
    document = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert document["status"] == response.status_code
    assert document["title"] == TITLES.get(document.get("type"), response.reason_phrase)
    assert isinstance(document["detail"], str)
    return dict(document)


def test_a_problem_becomes_its_document() -> None:
    errors = [{"detail": "no", "pointer": "/a"}]
    response = answer(Problem(409, "Twice.", errors=errors, headers={"Retry-After": "3"}))
    assert problem_of(response) == {"status": 409, "title": "Conflict", "detail": "Twice.", "errors": errors}
    assert response.headers["Retry-After"] == "3"


def test_a_service_that_is_away_is_503_with_retry_after_and_without_its_address() -> None:
    response = answer(UnavailableError("Redis", "Error 111 connecting to redis.internal:6379"))
    assert problem_of(response)["status"] == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert "redis.internal" not in response.text


def test_an_unexpected_exception_says_nothing_of_itself_and_is_logged_with_its_correlation_id() -> None:
    with capture_logs() as logs:
        response = answer(RuntimeError("the secret is 1234"), **{"X-Correlation-ID": "trace-1"})
    assert problem_of(response)["status"] == 500
    assert not {"1234", "RuntimeError", "Traceback"} & set(response.text.replace('"', " ").split())
    assert response.headers["X-Correlation-ID"] == "trace-1"
    assert [line["exc_info"] for line in logs if line["event"] == "request.failed"] == [True]
    assert [line["status"] for line in logs if line["event"] == "request"] == [500]


def test_an_unknown_path_is_a_problem() -> None:
    assert problem_of(answer(url="/nothing"))["status"] == 404


def test_a_wrong_method_keeps_allow() -> None:
    response = answer(method="DELETE")
    assert problem_of(response)["status"] == 405
    assert response.headers["Allow"] == "GET, HEAD"


def test_a_wrong_parameter_is_named() -> None:
    problem = problem_of(answer(url="/?number=many"))
    assert (problem["status"], [error["parameter"] for error in problem["errors"]]) == (422, ["number"])


def test_the_shape_is_the_same_whatever_is_accepted() -> None:
    assert problem_of(answer(url="/nothing", Accept="text/html")) == problem_of(answer(url="/nothing"))


@pytest.mark.parametrize(
    ("location", "expected"),
    [([], ""), (["a", 0, "b"], "/a/0/b"), (["a/b"], "/a~1b"), (["a~b"], "/a~0b"), (["~1"], "/~01"), ([""], "/")],
)
def test_a_pointer_is_written_as_in_rfc_6901(location: list[str | int], expected: str) -> None:
    assert pointer(location) == expected
