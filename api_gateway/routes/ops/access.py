"""What the operators' routes share: the operator API, who may read, who may act, and moments as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import Depends, Request

from api_gateway.auth import needs
from workers.event import timestamp
from workers.operations import Operations
from workers.security.callers import Caller

READS = [Depends(needs("ops:read"))]


def _operations(request: Request) -> Operations:
    return cast("Operations", request.app.state.operations)


Api = Annotated[Operations, Depends(_operations)]
Operator = Annotated[Caller, Depends(needs("ops:write"))]


def moment(ms: int) -> str:
    """A moment in RFC 3339, UTC, from ms since the epoch."""
    return timestamp(datetime.fromtimestamp(ms / 1000, UTC))
