"""Who is alive, and on what."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from api_gateway.routes.ops.access import READS, Api, moment
from workers.operations import WorkerState

router = APIRouter(prefix="/v1/ops")


class Run(BaseModel):
    """A message in the hands of a worker."""

    message_id: str
    actor: str
    queue: str
    since: str


class Worker(BaseModel):
    """A living worker process."""

    id: str
    host: str
    pid: int
    version: str
    queues: list[str]
    seen_s_ago: float
    running: list[Run]

    @classmethod
    def of(cls, state: WorkerState) -> Worker:
        """As the operator API tells it."""
        running = [
            Run(message_id=run["message_id"], actor=run["actor"], queue=run["queue"], since=moment(run["since_ms"]))
            for run in state.running
        ]
        return cls(**{**state._asdict(), "running": running})


@router.get("/workers", dependencies=READS)
def get_workers(api: Api) -> list[Worker]:
    """The living worker processes, and what they run."""
    return [Worker.of(state) for state in api.workers()]
