"""Health: whether this process lives, and whether it could do its work just now."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api_gateway.problems import RETRY_AFTER_S, Problem
from workers.database import Database
from workers.database.migrate import pending
from workers.errors import UnavailableError
from workers.operations import Operations

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """`ok`, and nothing else to say."""

    status: str = "ok"


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
