"""What an operator sees and does, over HTTP: `Operations`, and nothing beside it. The audit log names the caller."""

from __future__ import annotations

from fastapi import APIRouter

from api_gateway.routes.ops import audit, bulk, dead, queues, workers

router = APIRouter(tags=["operators"])
for part in (queues, bulk, dead, workers, audit):  # bulk before dead: `retry` alone is no letter's id
    router.include_router(part.router)
