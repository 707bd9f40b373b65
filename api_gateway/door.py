"""The door: what every request passes, whoever answers it.

A correlation id, who calls, whether that is within its limits, the fields of every answer, one line in the log. It is
the outermost of ours, so that an unexpected error is logged and answered too. POST /v1/events goes straight to the
intake; everything else to the framework, whose routes say what scope they need (`needs`, in auth.py).
"""

from __future__ import annotations

import structlog
from starlette.datastructures import State
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from api_gateway import auth, problems
from api_gateway.endpoints import Endpoints
from api_gateway.intake import Intake, encode
from api_gateway.problems import Problem
from api_gateway.visit import Visit
from workers.errors import UnavailableError

EVENTS = "/v1/events"
HEALTH = "/health"

FIELDS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
"""What every answer has unless it says otherwise (OWASP REST Security Cheat Sheet, "Security Headers")."""
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

log = structlog.get_logger(__name__)


class Door:
    """ASGI middleware over the whole application."""

    def __init__(self, app: ASGIApp, *, state: State, endpoints: Endpoints, secure: bool) -> None:
        """`state` is the application's; `secure` says that it is reached by https only."""
        self._app = app
        self._state = state
        self._endpoints = endpoints
        self._fields = [*FIELDS, HSTS] if secure else FIELDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request and log how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(scope)
        scope.setdefault("state", {})["visit"] = visit

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                message["headers"] = self._headers(visit, message.get("headers", []))
            elif not message.get("more_body", False):
                visit.answered = True
            await send(message)

        clear_contextvars()  # pipelined requests share a context
        bind_contextvars(correlation_id=visit.correlation)
        try:
            problem = await self._problem_of(scope, visit, receive, sending)
            if problem is not None:
                await problem.response()(scope, receive, sending)
        finally:
            if not scope["path"].startswith(HEALTH):
                outcome = {"status": visit.status, "duration_ms": visit.duration_ms(), **visit.told}
                log.info("request", method=scope["method"], path=_path(scope), **outcome)

    async def _problem_of(self, scope: Scope, visit: Visit, receive: Receive, send: Send) -> Problem | None:
        """Serve the request; the problem that is its answer, or None when it is answered."""
        try:
            await self._serve(scope, visit, receive, send)
        except ClientDisconnect:
            log.info("request.abandoned")
        except Problem as problem:
            return problem
        except UnavailableError as error:
            log.warning("request.refused", reason=str(error))
            return problems.unavailable()
        except Exception:  # the process's edge
            log.exception("request.failed")
            if not visit.status:
                return problems.unexpected()
            if not visit.answered:
                raise  # half an answer is out: only the end of the connection can say that it is not whole
        return None

    async def _serve(self, scope: Scope, visit: Visit, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(HEALTH):
            await self._app(scope, receive, send)
            return
        await auth.identify(visit, self._state)
        if scope["path"] == EVENTS and scope["method"] == "POST":
            await self._take_in(visit, receive, send)
            return
        await auth.charge(visit, self._state, self._endpoints.of(scope), 1)
        if scope["path"][-1:] == "\n":
            raise Problem(404, "Not Found")  # the framework's patterns end in $, which lets a line feed pass
        await self._app(scope, receive, send)

    async def _take_in(self, visit: Visit, receive: Receive, send: Send) -> None:
        async def charge(events: int) -> None:
            await auth.charge(visit, self._state, f"POST {EVENTS}", events)

        auth.refuse_known(visit, self._state, f"POST {EVENTS}")
        try:
            caller = auth.required(visit, "events:write")
        except Problem:
            await charge(1)
            raise
        intake: Intake = self._state.intake
        reply = await intake.post(visit, caller.subject, receive, charge)
        body = encode(reply)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _headers(self, visit: Visit, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Those of the answer, with those that every answer has."""
        names = {name for name, _ in headers}
        told = [] if visit.limited is None else visit.limited.raw_headers
        own = [(b"x-correlation-id", visit.correlation.encode()), *told, *self._fields]
        return [*headers, *(field for field in own if field[0] not in names)]


def _path(scope: Scope) -> str | None:
    """The path as the route writes it: what stands in the place of `{user_id}` may be an address, or a token."""
    if scope["path"] == EVENTS:
        return EVENTS
    return getattr(scope.get("route"), "path", None)
