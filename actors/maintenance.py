"""Periodic work: a due job becomes one event per task, and each task runs whatever the others do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy import Connection

from actors.events import JobDue, JobTaskDue
from workers import receipts
from workers.errors import PermanentError
from workers.handlers import Work, handler

log = structlog.get_logger(__name__)


@handler("maintenance.run_job")
def run_job(data: JobDue, work: Work) -> None:
    """Hand each task of the job to a worker."""
    work.publish(*(JobTaskDue(job=data.job, fire_time=data.fire_time, task=task) for task in data.tasks))


@handler("maintenance.run_task")
def run_task(data: JobTaskDue, work: Work) -> None:
    """Run one task. Raises PermanentError for a task this version does not know."""
    task = TASKS.get(data.task)
    if task is None:
        raise PermanentError(f"there is no task {data.task!r}")
    rows = task(work.connection, work.now)
    log.info("task.finished", job=data.job, task=data.task, rows=rows)


def purge_receipts(connection: Connection, now: datetime) -> int:
    """Delete receipts past their retention; how many."""
    return receipts.purge(connection, now - receipts.KEPT_FOR)


TASKS: dict[str, Callable[[Connection, datetime], int]] = {"purge_receipts": purge_receipts}
"""Task name to what it does; it returns the number of rows it touched."""

HANDLERS = (run_job, run_task)
