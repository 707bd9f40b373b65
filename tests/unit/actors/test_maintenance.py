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
from workers.security import api_keys, revocations

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


def test_api_keys_that_ended_long_ago_are_purged(database: Database, store: redis.Redis) -> None:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    ends = {"live": now + hour, "ended": now - api_keys.KEPT_FOR + hour, "old": now - api_keys.KEPT_FOR - hour}
    with database.write() as connection:
        for name, expires_at in ends.items():
            api_keys.create(connection, name, frozenset(), None, expires_at, now)
        revoked, _ = api_keys.create(connection, "revoked", frozenset(), None, now + hour, now)
        api_keys.revoke(connection, revoked, now - api_keys.KEPT_FOR - hour)
    business(database, store).run(run_task, an_event("job.task_due", task_due("purge_api_keys")))
    with database.read() as connection:
        assert {key.subject for key in api_keys.every(connection)} == {"live", "ended"}


def test_revocations_of_tokens_that_have_expired_are_purged(database: Database, store: redis.Redis) -> None:
    now, past = datetime.now(UTC), datetime.now(UTC) - revocations.KEPT_PAST_EXPIRY
    with database.write() as connection:
        for token, expires_at in (("live", now), ("old", past - timedelta(seconds=1))):
            revocations.revoke(connection, token, expires_at, now)
    business(database, store).run(run_task, an_event("job.task_due", task_due("purge_revocations")))
    with database.read() as connection:
        assert connection.scalars(select(revocations.revoked_tokens.c.token)).all() == ["live"]


def test_a_task_this_version_does_not_know_is_permanent(database: Database, store: redis.Redis) -> None:
    with pytest.raises(PermanentError, match=r"^there is no task 'paint'$"):
        business(database, store).run(run_task, an_event("job.task_due", task_due("paint")))


def test_every_task_of_every_job_is_known() -> None:
    assert {task for job in JOBS for task in job.tasks} <= set(TASKS)
