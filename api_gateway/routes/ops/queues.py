"""The queues: how deep, how old, how fast; pausing and resuming."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api_gateway.bodies import Responses
from api_gateway.routes.ops.access import READS, Api, Operator
from workers.operations import QueueState

router = APIRouter(prefix="/v1/ops/queues")


class Queue(BaseModel):
    """One queue just now."""

    queue: str
    ready: int = Field(description="Messages that wait for a worker")
    running: int = Field(description="Messages that workers hold")
    delayed: int = Field(description="Retries and messages whose time has not come")
    dead: int = Field(description="Dead letters")
    oldest_age_s: float = Field(description="Age of the oldest message that waits, in seconds")
    paused: bool
    rate_1m: float = Field(description="Settled per second, over the last minute")
    workers: int = Field(description="Living worker processes that consume it")

    @classmethod
    def of(cls, state: QueueState) -> Queue:
        """As the operator API tells it."""
        return cls.model_validate(state._asdict())


UNKNOWN: Responses = {404: {"description": "There is no such queue"}}


@router.get("", dependencies=READS)
def get_queues(api: Api) -> list[Queue]:
    """All queues."""
    return [Queue.of(state) for state in api.queues()]


@router.get("/{queue}", dependencies=READS, responses=UNKNOWN)
def get_queue(queue: str, api: Api) -> Queue:
    """One queue."""
    return Queue.of(api.queue(queue))


@router.post("/{queue}/pause", responses=UNKNOWN)
def pause_queue(queue: str, api: Api, caller: Operator) -> Queue:
    """Let workers take nothing more from the queue; what they have begun they finish. The answer is its state after."""
    api.pause(queue, caller.subject)
    return Queue.of(api.queue(queue))


@router.post("/{queue}/resume", responses=UNKNOWN)
def resume_queue(queue: str, api: Api, caller: Operator) -> Queue:
    """Let workers take from the queue again. The answer is its state after."""
    api.resume(queue, caller.subject)
    return Queue.of(api.queue(queue))
