"""The application: routes, problem documents, and the resources they use, built once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from actors.routes import QUEUES, ROUTES
from api_gateway import docs, health, problems
from api_gateway.admission import OUTSIDE
from api_gateway.door import Door
from api_gateway.endpoints import Endpoints
from api_gateway.intake import Intake
from api_gateway.methods import HeadAsGet
from api_gateway.routes import events, ops, user_changes, users, webhooks
from workers import __version__
from workers.cache import TaggedCache
from workers.connection import connect, connect_async
from workers.database import Database
from workers.operations import Operations
from workers.queue.backlog import Backlog
from workers.queue.publisher import AsyncPublisher, Publisher
from workers.queue.server import Watch
from workers.rates import ENDPOINT, layers
from workers.security.addresses import Proxies
from workers.security.credentials import Credentials
from workers.security.limits import Limiter, Limits
from workers.settings import Settings

log = structlog.get_logger(__name__)


class Gateway(FastAPI):
    """The framework behind the door: what the door answers by itself passes none of it."""

    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the lifespan."""
        await (self.door if scope["type"] == "http" else self.inside)(scope, receive, send)

    async def inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the framework does with it."""
        await super().__call__(scope, receive, send)


def create_app(settings: Settings, database: Database) -> Gateway:
    """The ASGI application. Building it does no I/O."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = app.state
        client = connect_async(settings.redis)
        state.watch = Watch(client, settings.durability)
        backlog = Backlog(client, {type_: ROUTES[type_] for type_ in OUTSIDE}, settings.longest_wait_s)
        state.limiter = Limiter(client)
        state.publisher = AsyncPublisher(
            client, ROUTES, watch=state.watch, outside=OUTSIDE, longest=settings.longest_queue
        )
        state.intake = Intake(state.publisher, backlog, settings.gateway_url)
        background = {asyncio.create_task(part.run()) for part in (state.watch, backlog, state.credentials)}
        log.info("gateway.started", url=settings.gateway_url)
        yield
        await _ended(background)
        await client.aclose()
        database.close()
        log.info("gateway.stopped")

    app = Gateway(
        title="Luna",
        version=__version__,
        description="Event backbone: post an event, follow it to its end.",
        lifespan=lifespan,
        openapi_url=None,  # and so neither the framework's pages, which load scripts from other hosts
        redirect_slashes=False,  # one spelling of a path, one limit
    )
    app.state.settings = settings
    app.state.database = database
    app.state.credentials = Credentials.configured(settings, database)
    app.state.proxies = Proxies(settings.proxies)
    app.state.limits = Limits.parse(settings.rate_limits)
    client = connect(settings.redis)
    app.state.operations = Operations(client, QUEUES, database, Publisher(client, ROUTES))
    app.state.cache = TaggedCache(connect(settings.cache))
    app.state.probes = health.probes(app)
    problems.install(app)
    for router in (health.router, events.router, users.router, user_changes.router, webhooks.router, ops.router):
        app.include_router(router)
    docs.install(app, public=not settings.production)
    endpoints = Endpoints(
        name.removeprefix(ENDPOINT) for name in layers(settings.rate_limits) if name.startswith(ENDPOINT)
    )
    secure = settings.gateway_url.startswith("https://")
    app.add_middleware(HeadAsGet)
    app.door = Door(app.inside, state=app.state, endpoints=endpoints, secure=secure)
    return app


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel them until they are: redis-py may answer a cancellation with an error of its own."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=0.1)
