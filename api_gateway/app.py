"""The application: routes, problem documents, and the resources they use, built once."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars, clear_contextvars

from actors.events import CONTRACTS
from actors.routes import QUEUES, ROUTES
from api_gateway import docs, health, problems
from api_gateway.methods import HeadAsGet
from api_gateway.routes import events, ops, users
from workers import __version__
from workers.cache import TaggedCache
from workers.connection import connect, connect_async
from workers.database import Database
from workers.operations import Operations
from workers.queue.publisher import AsyncPublisher, Publisher
from workers.queue.server import Watch
from workers.security.tokens import Tokens
from workers.settings import Settings

CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

OUTSIDE = [type_ for type_, contract in CONTRACTS.items() if contract.external]

log = structlog.get_logger(__name__)


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The ASGI application. Building it does no I/O."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        client = connect_async(settings.redis)
        app.state.watch = watch = Watch(client, settings.durability)
        watching = asyncio.create_task(watch.run())
        app.state.publisher = AsyncPublisher(client, ROUTES, watch=watch, outside=OUTSIDE)
        log.info("gateway.started", url=settings.gateway_url)
        yield
        watching.cancel()
        await client.aclose()
        database.close()
        log.info("gateway.stopped")

    app = FastAPI(
        title="Luna",
        version=__version__,
        description="Event backbone: post an event, follow it to its end.",
        lifespan=lifespan,
        openapi_url=None,  # and so neither the framework's pages, which load scripts from other hosts
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.database = database
    app.state.tokens = Tokens(settings.jwt_secrets, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    client = connect(settings.redis)
    app.state.operations = Operations(client, QUEUES, database, Publisher(client, ROUTES))
    app.state.cache = TaggedCache(connect(settings.cache))
    app.state.probes = health.probes(app)
    problems.install(app)
    for router in (health.router, events.router, users.router, ops.router):
        app.include_router(router)
    docs.install(app, public=not settings.production)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestLog)
    return app


class RequestLog:
    """One line a request, under a correlation id: the caller's `X-Correlation-ID` where it is fit, else a new one.

    It is the outermost of ours, so that an unexpected error is logged and answered under that id too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request and log how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0
        given = Headers(scope=scope).get("X-Correlation-ID", "")
        correlation = given if CORRELATION_ID.fullmatch(given) else str(uuid4())

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Correlation-ID"] = correlation
            await send(message)

        clear_contextvars()  # pipelined requests share a context
        with bound_contextvars(correlation_id=correlation):
            try:
                await self._app(scope, receive, sending)
            except ClientDisconnect:
                log.info("request.abandoned")
            except Exception:  # the process's edge
                log.exception("request.failed")
                if status:
                    raise  # half an answer is out: only the end of the connection can say that it is not whole
                await problems.unexpected().response()(scope, receive, sending)
            finally:
                if not scope["path"].startswith("/health"):
                    took = round((time.monotonic() - began) * 1000, 1)
                    log.info("request", method=scope["method"], path=_path(scope), status=status, duration_ms=took)


def _path(scope: Scope) -> str | None:
    """The path as the route writes it: what stands in the place of `{user_id}` may be an address, or a token."""
    return getattr(scope.get("route"), "path", None)
