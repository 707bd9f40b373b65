"""What the running gateway writes about its requests, and what it never writes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest

from tests.gateway import ADA, WebProcess
from tests.servers import eventually

ADDRESS, NAME = "very.private@example.com", "A Name Nobody Logs"
EVENT: dict[str, Any] = {"type": "user.signed_up", "id": "signup-1", "data": {"email": ADDRESS, "name": NAME}}


def lines_of(web: WebProcess, event: str, count: int = 1) -> list[dict[str, Any]]:
    """The lines of this name, once there are `count` of them."""

    def found() -> list[dict[str, Any]]:
        return [line for line in web.lines() if line["event"] == event]

    eventually(lambda: len(found()) >= count, what=f"{count} lines of {event}")
    return found()


def test_the_line_of_an_accepted_request_carries_its_ids(web: WebProcess) -> None:
    answer = web.post(EVENT, {**ADA, "X-Correlation-ID": "trace-1"})
    assert answer.headers["X-Correlation-ID"] == "trace-1"
    (line,) = lines_of(web, "request")
    assert (line["event_id"], line["correlation_id"], line["event_type"]) == ("signup-1", "trace-1", EVENT["type"])
    assert (line["process"], line["level"], line["duplicate"]) == ("web", "info", False)
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/events", 202)


def test_the_line_of_a_batch_tells_how_many_were_taken(web: WebProcess) -> None:
    web.post([EVENT, {**EVENT, "id": "signup-2"}, {**EVENT, "type": "user.vanished"}])
    (line,) = lines_of(web, "request")
    assert (line["status"], line["accepted"], line["refused"]) == (207, 2, 1)


def test_no_token_address_or_body_is_ever_logged(web: WebProcess) -> None:
    post, get, token = web.http.post, web.http.get, ADA["Authorization"].removeprefix("Bearer ")
    json_type = {"Content-Type": "application/json"}
    web.post(EVENT)
    web.post({**EVENT, "data": {**EVENT["data"], "name": f"{NAME} again"}})
    web.post({**EVENT, "data": {"email": ADDRESS, "name": NAME, ADDRESS: 1}})
    post("/v1/events", headers={**ADA, **json_type}, content=f'{{"email": "{ADDRESS}", {NAME}')
    post("/v1/events", headers={**ADA, "Content-Type": "text/plain"}, content=ADDRESS)
    post("/v1/events", headers={"Authorization": f"Bearer {token}x"}, json=EVENT)
    get("/v1/events/1", headers=ADA, params={"source": ADDRESS, "access_token": token})
    get(f"/v1/users/{ADDRESS}", headers=ADA)
    get(f"/{token}", headers=ADA)
    assert [line["status"] for line in lines_of(web, "request", 9)] == [202, 422, 422, 400, 415, 401, 404, 422, 404]
    written = web.log.read_text()
    assert [secret for secret in (token, token[-20:], ADDRESS, NAME) if secret in written] == []


@pytest.mark.parametrize("production", [True, False])
def test_a_traceback_does_not_show_the_values_that_were_at_hand(production: bool) -> None:
    secret = f"secret-{uuid4()}"
    code = f"""
import sys, structlog
from workers.telemetry import logs

def failing(token):
    raise RuntimeError("on purpose")

logs.configure("web", production={production})
try:
    failing(sys.argv[1])
except RuntimeError:
    structlog.get_logger().exception("request.failed")
"""
    ran = subprocess.run([sys.executable, "-c", code, secret], capture_output=True, text=True, timeout=30, check=True)
    assert "on purpose" in ran.stderr
    assert secret not in ran.stderr
