"""Periodic work: a due job becomes one event per task, and each task runs whatever the others do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from redis import RedisError

from actors.events import JobDue, JobTaskDue, OperationSliceDue
from actors.routes import WORK_OPERATION
from workers import receipts
from workers.database import Database
from workers.errors import PermanentError, UnavailableError
from workers.event import Event
from workers.handlers import Work, handler
from workers.operations import bulk
from workers.queue import dead
from workers.queue.graveyard import Graveyard
from workers.queue.publisher import Publisher
from workers.security import api_keys, revocations

log = structlog.get_logger(__name__)


@handler("maintenance.run_job")
def run_job(data: JobDue, work: Work) -> None:
    """Hand each task of the job to a worker."""
    work.publish(*(JobTaskDue(job=data.job, fire_time=data.fire_time, task=task) for task in data.tasks))


@handler("maintenance.run_task")
def run_task(data: JobTaskDue, database: Database, graveyard: Graveyard) -> None:
    """Run one task, which may run twice. Raises PermanentError for a task this version does not know."""
    task = TASKS.get(data.task)
    if task is None:
        raise PermanentError(f"there is no task {data.task!r}")
    rows = task(database, graveyard, datetime.now(UTC))
    log.info("task.finished", job=data.job, task=data.task, rows=rows)


@handler("maintenance.work_operation")
def work_operation(
    event: Event, data: OperationSliceDue, database: Database, graveyard: Graveyard, publisher: Publisher
) -> None:
    """Work off one slice of a bulk operation, and ask for the next. Raises UnavailableError while Redis is away."""
    try:
        more = bulk.work(database, graveyard, data.operation_id)
    except RedisError as error:
        raise UnavailableError("Redis", str(error)) from error
    if more:
        next_slice = event.follow_up(data, actor=WORK_OPERATION.actor, number=0)
        publisher.publish_follow_ups(event, WORK_OPERATION.actor, [next_slice])


def purge_receipts(database: Database, _graveyard: Graveyard, now: datetime) -> int:
    """Delete receipts past their retention; how many."""
    with database.write() as connection:
        return receipts.purge(connection, now - receipts.KEPT_FOR)


def purge_dead_letters(_database: Database, graveyard: Graveyard, now: datetime) -> int:
    """Discard dead letters past their retention; how many."""
    before = now - timedelta(seconds=dead.RETENTION_S)
    return graveyard.purge(int(before.timestamp() * 1000))


def purge_api_keys(database: Database, _graveyard: Graveyard, now: datetime) -> int:
    """Delete API keys that ended long ago; how many."""
    with database.write() as connection:
        return api_keys.purge(connection, now - api_keys.KEPT_FOR)


def purge_revocations(database: Database, _graveyard: Graveyard, now: datetime) -> int:
    """Delete revocations of tokens that have expired since; how many."""
    with database.write() as connection:
        return revocations.purge(connection, now)


TASKS: dict[str, Callable[[Database, Graveyard, datetime], int]] = {
    "purge_receipts": purge_receipts,
    "purge_dead_letters": purge_dead_letters,
    "purge_api_keys": purge_api_keys,
    "purge_revocations": purge_revocations,
}
"""Task name to what it does; it returns the number of rows or letters it touched."""

HANDLERS = (run_job, run_task, work_operation)
