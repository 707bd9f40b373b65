"""The audit log: who did what, when, to how many."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api_gateway.routes.ops.access import READS, Api
from workers.event import timestamp

router = APIRouter(prefix="/v1/ops")

NEWEST = 2**31 - 1
"""The largest id that the table's column holds."""


class Action(BaseModel):
    """One action."""

    at: str
    by: str = Field(description="The caller's subject; at a terminal `cli:` and the user's name")
    action: str
    target: str
    affected: int
    detail: dict[str, Any]


class ActionsPage(BaseModel):
    """Actions, newest first. `next` is the cursor of the next page, null on the last."""

    items: list[Action]
    next: int | None


@router.get("/audit", dependencies=READS)
def get_audit_log(
    api: Api,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, le=NEWEST, description="`next` of the page before")] = None,
) -> ActionsPage:
    """Who did what, newest first."""
    entries = api.audit_log(limit, before=cursor)
    items = [Action(**{**entry._asdict(), "at": timestamp(entry.at)}) for entry in entries]
    return ActionsPage(items=items, next=entries[-1].id if len(entries) == limit else None)
