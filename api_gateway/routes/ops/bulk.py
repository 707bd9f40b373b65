"""Many dead letters at once: a stored operation that workers work off, watched and stopped by anyone who may."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from api_gateway.bodies import REFUSALS, Responses, body, documented
from api_gateway.problems import Problem
from api_gateway.routes.ops.access import READS, Api, Operator
from api_gateway.routes.ops.filters import Wanted
from workers.operations import Operations
from workers.operations.bulk import Kind, Progress, State

router = APIRouter(prefix="/v1/ops")


def _wants_something(schema: dict[str, Any]) -> None:
    narrowed = [{"required": [name], "properties": {name: {"type": "string"}}} for name in Wanted.model_fields]
    schema["anyOf"] = [*narrowed, {"required": ["all"], "properties": {"all": {"const": True}}}]


class Many(Wanted):
    """Which dead letters, and how fast."""

    model_config = ConfigDict(json_schema_extra=_wants_something)

    all: Annotated[bool, Field(description="Needed where nothing narrows them: all of them are meant")] = False
    rate: Annotated[float, Field(ge=0, le=1_000_000, description="At most this many per second; 0 for no limit")] = 0
    dry_run: Annotated[bool, Field(description="Only say how many there are")] = False


class Count(BaseModel):
    """How many dead letters the filter finds now."""

    count: int


class Operation(BaseModel):
    """How far an operation is."""

    id: UUID
    kind: Kind
    state: State
    total: int = Field(description="How many letters there were when it was started")
    done: int = Field(description="How many it has taken")
    note: str = Field(description="Why it stopped")

    @classmethod
    def of(cls, progress: Progress) -> Operation:
        """As the operator API tells it."""
        return cls.model_validate(progress._asdict())


ANSWERS: Responses = REFUSALS | {
    200: {"model": Count, "description": "With `dry_run`: how many there are"},
    202: {
        "model": Operation,
        "description": "The operation is stored, and workers are set to it",
        "headers": {"Location": {"description": "Where its progress is seen", "schema": {"type": "string"}}},
    },
    404: {"description": "There is no queue of that name"},
}
UNKNOWN: Responses = {404: {"description": "There is no such operation"}}

Body = Annotated[Many, Depends(body(Many))]


@router.post(
    "/dead/retry",
    status_code=202,
    response_model=Operation | Count,
    responses=ANSWERS,
    openapi_extra=documented(Many, required=True),
)
def retry_many(caller: Operator, many: Body, api: Api, response: Response) -> Operation | Count:
    """Put many messages back on their queues. Five go first; it stops by itself when all of them die again alike."""
    return _start("retry", many, api, caller.subject, response)


@router.post(
    "/dead/discard",
    status_code=202,
    response_model=Operation | Count,
    responses=ANSWERS,
    openapi_extra=documented(Many, required=True),
)
def discard_many(caller: Operator, many: Body, api: Api, response: Response) -> Operation | Count:
    """Throw many dead letters away."""
    return _start("discard", many, api, caller.subject, response)


def _start(kind: Kind, many: Many, api: Operations, by: str, response: Response) -> Operation | Count:
    wanted = many.filter()
    if not many.narrowed and not many.all:
        nothing = {"detail": "Narrow them, or say that all are meant.", "pointer": "/all"}
        raise Problem(422, "Nothing says which dead letters.", errors=[nothing])
    if many.dry_run:
        response.status_code = 200
        return Count(count=api.count_dead(wanted))
    operation = api.start_bulk(kind, wanted, many.rate, by)
    response.headers["Location"] = f"/v1/ops/operations/{operation}"
    return Operation.of(api.operation(operation))


@router.get("/operations/{operation_id}", dependencies=READS, responses=UNKNOWN)
def get_operation(operation_id: UUID, api: Api) -> Operation:
    """How far an operation is."""
    return Operation.of(api.operation(operation_id))


@router.post("/operations/{operation_id}/stop", responses=UNKNOWN)
def stop_operation(operation_id: UUID, api: Api, caller: Operator) -> Operation:
    """Stop an operation after what it is doing now; one that has ended stays as it is."""
    api.stop(operation_id, caller.subject)
    return Operation.of(api.operation(operation_id))
