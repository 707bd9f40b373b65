"""Health: whether this process lives, and whether it could do its work just now."""

from __future__ import annotations

import asyncio
from typing import cast

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel, Field
from starlette.datastructures import State

from api_gateway.probe import Finding, Probe, Seen, Status
from api_gateway.problems import RETRY_AFTER_S, Problem
from workers import __version__
from workers.cache import TaggedCache
from workers.database import Database
from workers.database.migrate import pending
from workers.errors import UnavailableError
from workers.operations import Operations
from workers.queue.server import Watch, verdict

router = APIRouter(prefix="/health", tags=["health"])

VITAL = ("queue", "database")
"""Without these no event can be taken."""
LATE = "it does not answer within a second"
CACHE_AWAY = "it cannot be reached: reads go to the database, invalidations wait in their queue"


class Health(BaseModel):
    """`ok`, and nothing else to say."""

    status: str = "ok"


class Check(BaseModel):
    """One thing that the system rests on: how it is, how long it took to say so, and a sentence."""

    status: Status
    latency_ms: float
    detail: str

    @classmethod
    def of(cls, seen: Seen) -> Check:
        """What was seen."""
        status, detail = seen.finding
        return cls(status=status, latency_ms=round(seen.latency_s * 1000, 1), detail=detail)


class Report(BaseModel):
    """All that the system rests on. `degraded` still takes events; `down` does not."""

    status: Status
    version: str
    checks: dict[str, Check] = Field(description="database, queue, cache, workers")


@router.get("/live")
async def live() -> Health:
    """The process answers."""
    return Health()


@router.get("/ready", responses={503: {"description": "Redis or the database cannot be used, and why"}})
async def ready(request: Request, response: Response) -> Health:
    """Events can be taken: Redis answers, and the database answers with the right schema. Not older than a second."""
    response.headers["Cache-Control"] = "no-store"
    seen = await _look(request, *VITAL)
    reasons = [f"{name}: {check.detail}" for name, check in seen.items() if check.status == "down"]
    if reasons:
        raise Problem(503, "; ".join(reasons), headers={"Retry-After": str(RETRY_AFTER_S)})
    return Health()


@router.get("", responses={503: {"description": "The same report, of a system that is down", "model": Report}})
async def health(request: Request, response: Response) -> Report:
    """Everything that Luna rests on, and how it is. Not older than a second; each check is given one."""
    checks = await _look(request, *_probes(request))
    response.headers["Cache-Control"] = "no-store"
    status: Status = "ok" if all(check.status == "ok" for check in checks.values()) else "degraded"
    if "down" in {checks[name].status for name in VITAL}:
        status, response.status_code = "down", 503
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return Report(status=status, version=__version__, checks=checks)


def probes(app: FastAPI) -> dict[str, Probe]:
    """What looks at all that the application's state holds."""
    state = app.state
    return {
        "database": Probe("database", lambda: _database(state.database), Finding("down", LATE)),
        "queue": Probe("queue", lambda: _queue(state), Finding("down", LATE)),
        "cache": Probe("cache", lambda: _cache(state.cache), Finding("degraded", CACHE_AWAY)),
        "workers": Probe("workers", lambda: _workers(state.operations), Finding("degraded", LATE)),
    }


def _probes(request: Request) -> dict[str, Probe]:
    return cast("dict[str, Probe]", request.app.state.probes)


async def _look(request: Request, *names: str) -> dict[str, Check]:
    known = _probes(request)
    seen = await asyncio.gather(*(known[name].look() for name in names))
    return {name: Check.of(each) for name, each in zip(names, seen, strict=True)}


def _database(database: Database) -> Finding:
    try:
        if pending(database):
            return Finding("down", "its schema is not up to date")
    except UnavailableError:
        return Finding("down", "it cannot be reached")
    return Finding("ok", "it answers, and its schema is up to date")


def _queue(state: State) -> Finding:
    """How well the queue's server keeps what LUNA_DURABILITY promises."""
    watch: Watch = state.watch
    try:
        state.operations.consumed_queues()
    except UnavailableError:
        return Finding("down", "Redis cannot be reached")
    if watch.facts is None:
        return Finding("degraded", "Redis has not been looked at yet")  # whoever publishes looks first
    if watch.full:
        return Finding("degraded", "Redis is nearly full, and takes no new events")
    kept, sentence = verdict(watch.facts, watch.durability)
    return Finding("ok" if kept else "degraded", sentence)


def _cache(cache: TaggedCache) -> Finding:
    try:
        cache.invalidate(["health"])
    except UnavailableError:
        return Finding("degraded", CACHE_AWAY)
    return Finding("ok", "it answers")


def _workers(operations: Operations) -> Finding:
    try:
        states = operations.queues()
    except UnavailableError:
        return Finding("degraded", "Redis cannot be reached")
    idle = [state.queue for state in states if not state.workers]
    return (
        Finding("degraded", f"nobody works on {', '.join(idle)}") if idle else Finding("ok", "every queue has a worker")
    )
