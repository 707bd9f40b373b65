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
from api_gateway import health, problems
from api_gateway.routes import events, users
from workers import __version__
from workers.cache import TaggedCache
from workers.connection import connect, connect_async
from workers.database import Database
from workers.operations import Operations
from workers.queue.publisher import AsyncPublisher
from workers.queue.server import Watch
from workers.security.credentials import Credentials
from workers.settings import Settings

CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

CANCEL_AGAIN_S = 0.1

OUTSIDE = [type_ for type_, contract in CONTRACTS.items() if contract.external]

log = structlog.get_logger(__name__)


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The ASGI application. Building it reads the JWKS file, and no more. Raises SettingsError."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        client = connect_async(settings.redis)
        app.state.watch = watch = Watch(client, settings.durability)
        watching = asyncio.create_task(watch.run())
        looking = asyncio.create_task(app.state.credentials.run())
        app.state.publisher = AsyncPublisher(client, ROUTES, watch=watch, outside=OUTSIDE)
        log.info("gateway.started", url=settings.gateway_url)
        yield
        looking.cancel()
        while not watching.done():  # redis-py swallows a cancellation that comes while it connects
            watching.cancel()
            await asyncio.wait([watching], timeout=CANCEL_AGAIN_S)
        await asyncio.wait([looking])  # it ends what it asks of the database, which is closed now
        await client.aclose()
        database.close()
        log.info("gateway.stopped")

    open_docs = not settings.production
    app = FastAPI(
        title="Luna",
        version=__version__,
        description="Event backbone: post an event, follow it to its end.",
        lifespan=lifespan,
        docs_url="/docs" if open_docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if open_docs else None,
    )
    app.state.settings = settings
    app.state.database = database
    app.state.credentials = Credentials.configured(settings, database)
    app.state.operations = Operations(connect(settings.redis), QUEUES)
    app.state.cache = TaggedCache(connect(settings.cache))
    problems.install(app)
    for router in (health.router, events.router, users.router):
        app.include_router(router)
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
