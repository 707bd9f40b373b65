from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from actors.routes import QUEUES, ROUTES
from scheduler import JOBS, Clock, tick
from tests.processes import Processes, procfile
from tests.servers import Valkey, eventually, free_port
from workers import receipts
from workers.connection import connect
from workers.database import Database
from workers.errors import UnavailableError
from workers.event import Event
from workers.operations import Operations
from workers.queue.publisher import Publisher

NOW = datetime(2025, 3, 9, 3, 17, tzinfo=UTC)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_names_its_jobs_and_stops_when_told(processes: Processes, valkey: Valkey, number: signal.Signals) -> None:
    scheduler = processes.start("python", "scheduler.py", REDIS_URL=valkey.url)
    jobs = scheduler.says(r"scheduler\.started jobs=(.+) process=scheduler").group(1)
    assert all(job.name in jobs for job in JOBS)
    assert scheduler.stop(number) == 0
    assert "scheduler.stopped" in scheduler.output


def test_being_told_to_stop_many_times_at_once_stops_it_too(processes: Processes, valkey: Valkey) -> None:
    schedulers = [processes.start("python", "scheduler.py", REDIS_URL=valkey.url) for _ in range(4)]
    for scheduler in schedulers:
        scheduler.says("scheduler.started")
    for scheduler in schedulers:
        for _ in range(50):
            os.kill(scheduler.pid, signal.SIGTERM)
    assert [scheduler.ends(within=10) for scheduler in schedulers] == [0, 0, 0, 0]


def test_without_redis_it_says_so_in_one_line(processes: Processes) -> None:
    port = free_port()
    scheduler = processes.start("python", "scheduler.py", REDIS_URL=f"redis://:secret@127.0.0.1:{port}/0")
    assert scheduler.ends() == 1
    (line,) = scheduler.output.splitlines()
    assert line.startswith(f"luna: Redis at redis://:***@127.0.0.1:{port}/0 cannot be reached: ")


def test_a_due_tick_makes_a_worker_purge_expired_receipts(
    processes: Processes, valkey: Valkey, database: Database, tmp_path: Path
) -> None:
    expired, fresh = (Event(id=name, source="/shop", type="x", data={}, caller="shop") for name in ("old", "new"))
    now = datetime.now(UTC)
    with database.write() as connection:
        receipts.claim(connection, expired, "a", now - receipts.KEPT_FOR - timedelta(days=1))
        receipts.claim(connection, fresh, "a", now - receipts.KEPT_FOR + timedelta(days=1))
    worker = processes.start(
        *procfile()["worker"], REDIS_URL=valkey.url, DATABASE_URL=f"sqlite:///{tmp_path / 'luna.db'}"
    )
    client = connect(valkey.url)
    clock = Clock(Publisher(client, ROUTES))
    (job,) = (job for job in JOBS if "purge_receipts" in job.tasks)
    clock.publish(job, [NOW])
    clock.publish(job, [NOW])  # a second scheduler
    trace = Operations(client, QUEUES)
    done: Any = eventually(lambda: (found := trace.trace(tick(job, NOW).id)) and found.settled and found)
    assert done.succeeded
    assert [task.type for task in done.follow_ups] == ["job.task_due"] * len(job.tasks)
    with database.read() as connection:
        kept = select(func.count()).where(receipts.receipts.c.event.in_([expired.identity, fresh.identity]))
        assert connection.execute(kept).scalar_one() == 1
    assert worker.stop() == 0
    client.close()


class Away(Publisher):
    """A publisher whose Redis is away when it is first asked."""

    asked = 0

    def publish(self, *events: Event) -> None:
        self.asked += 1
        if self.asked == 1:
            raise UnavailableError("Redis", "it restarts")
        super().publish(*events)


def test_a_tick_waits_until_redis_is_back(valkey: Valkey) -> None:
    client = connect(valkey.url)
    publisher = Away(client, ROUTES)
    Clock(publisher).publish(JOBS[0], [NOW])
    found = Operations(client, QUEUES).trace(tick(JOBS[0], NOW).id)
    assert (publisher.asked, found and found.status) == (2, "queued")
    client.close()
