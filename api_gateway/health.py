"""Health: whether this process lives, and whether it could do its work just now."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api_gateway.problems import RETRY_AFTER_S, Problem
from workers import __version__
from workers.cache import TaggedCache
from workers.database import Database
from workers.database.migrate import pending
from workers.errors import UnavailableError
from workers.operations import Operations
from workers.queue.server import Watch, verdict

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """`ok`, and nothing else to say."""

    status: str = "ok"


Status = Literal["ok", "degraded", "down"]
Finding = tuple[Status, str]


class Check(BaseModel):
    """One thing that the system rests on: how it is, how long it took to say so, and a sentence."""

    status: Status
    latency_ms: float
    detail: str


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
def ready(request: Request, response: Response) -> Health:
    """Events can be taken: Redis answers, and the database answers with the right schema."""
    response.headers["Cache-Control"] = "no-store"
    reasons = [
        reason for reason in (_queue(request.app.state.operations), _database(request.app.state.database)) if reason
    ]
    if reasons:
        raise Problem(503, "; ".join(reasons), headers={"Retry-After": str(RETRY_AFTER_S)})
    return Health()


@router.get("", responses={503: {"description": "The same report, of a system that is down", "model": Report}})
def health(request: Request, response: Response) -> Report:
    """Everything that Luna rests on, and how it is."""
    state = request.app.state
    checks = {
        "database": _timed(lambda: _state(_database(state.database), "it answers, and its schema is up to date")),
        "queue": _timed(lambda: _durability(state.operations, state.watch)),
        "cache": _timed(lambda: _cache(state.cache)),
        "workers": _timed(lambda: _workers(state.operations)),
    }
    down = "down" in {checks["database"].status, checks["queue"].status}
    healthy = all(check.status == "ok" for check in checks.values())
    response.status_code = 503 if down else 200
    response.headers["Cache-Control"] = "no-store"
    return Report(status="down" if down else "ok" if healthy else "degraded", version=__version__, checks=checks)


def _timed(check: Callable[[], Finding]) -> Check:
    began = time.perf_counter()
    status, detail = check()
    return Check(status=status, latency_ms=round((time.perf_counter() - began) * 1000, 1), detail=detail)


def _state(trouble: str | None, well: str) -> Finding:
    return ("down", trouble) if trouble else ("ok", well)


def _durability(operations: Operations, watch: Watch) -> Finding:
    """How well the queue's server keeps what LUNA_DURABILITY promises."""
    trouble = _queue(operations)
    if trouble or watch.facts is None:
        return "down", trouble or "Redis has not been looked at yet"
    if watch.full:
        return "degraded", "Redis is nearly full, and takes no new events"
    kept, sentence = verdict(watch.facts, watch.durability)
    return "ok" if kept else "degraded", sentence


def _cache(cache: TaggedCache) -> Finding:
    try:
        cache.invalidate(["health"])
    except UnavailableError:
        return "degraded", "it cannot be reached: reads go to the database, invalidations wait in their queue"
    return "ok", "it answers"


def _workers(operations: Operations) -> Finding:
    try:
        states = operations.queues()
    except UnavailableError:
        return "degraded", "Redis cannot be reached"
    idle = [state.queue for state in states if not state.workers]
    return ("degraded", f"nobody works on {', '.join(idle)}") if idle else ("ok", "every queue has a worker")


def _queue(operations: Operations) -> str | None:
    try:
        operations.consumed_queues()
    except UnavailableError:
        return "Redis cannot be reached"
    return None


def _database(database: Database) -> str | None:
    try:
        return "the database's schema is not up to date" if pending(database) else None
    except UnavailableError:
        return "the database cannot be reached"
