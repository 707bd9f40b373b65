from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import redis
from sqlalchemy import select

from actors.maintenance import TASKS, run_job, run_task
from scheduler import JOBS
from tests.builders import an_event, business, waiting
from workers import receipts
from workers.database import Database
from workers.errors import PermanentError

FIRE_TIME = "2026-07-01T03:17:00Z"


@pytest.fixture
def database(any_database: Database) -> Database:
    return any_database


def due(*tasks: str) -> dict[str, object]:
    return {"job": "purge_expired", "fire_time": FIRE_TIME, "tasks": list(tasks)}


def task_due(task: str) -> dict[str, object]:
    return {"job": "purge_expired", "fire_time": FIRE_TIME, "task": task}


def test_a_due_job_becomes_one_event_for_each_of_its_tasks(database: Database, store: redis.Redis) -> None:
    event = an_event("job.due", due("one", "two"))
    for _ in range(2):
        business(database, store).run(run_job, event)
    events = waiting(store, "maintenance")
    assert {child.type for child in events} == {"job.task_due"}
    assert sorted(child.data["task"] for child in events) == ["one", "two"]
    assert {(child.data["job"], child.data["fire_time"]) for child in events} == {("purge_expired", FIRE_TIME)}


def test_receipts_past_their_retention_are_purged(database: Database, store: redis.Redis) -> None:
    now, event = datetime.now(UTC), an_event("job.task_due", task_due("purge_receipts"))
    young, old = an_event(), an_event()
    with database.write() as connection:
        receipts.claim(connection, young, "users.create", now - receipts.KEPT_FOR + timedelta(hours=1))
        receipts.claim(connection, old, "users.create", now - receipts.KEPT_FOR - timedelta(hours=1))
    business(database, store).run(run_task, event)
    with database.read() as connection:
        left = set(connection.scalars(select(receipts.receipts.c.event)))
    assert left == {young.identity}


def test_a_task_this_version_does_not_know_is_permanent(database: Database, store: redis.Redis) -> None:
    with pytest.raises(PermanentError, match=r"^there is no task 'paint'$"):
        business(database, store).run(run_task, an_event("job.task_due", task_due("paint")))


def test_every_task_of_every_job_is_known() -> None:
    assert {task for job in JOBS for task in job.tasks} <= set(TASKS)
