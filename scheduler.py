"""The clock: one visible table of periodic jobs. It enqueues their ticks and never does the work.

A tick is an event with an id made of the job and its fire time, so the publisher's once-rule keeps two schedulers
from firing twice.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job as ScheduledJob
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from actors.events import JobDue
from actors.routes import ROUTES
from workers import startup
from workers.connection import connect
from workers.errors import UnavailableError
from workers.event import INTERNAL_SOURCE, Event, timestamp
from workers.queue.publisher import Publisher
from workers.telemetry import logs

RETRY_S = 1.0
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
SOURCE = f"{INTERNAL_SOURCE}scheduler"

log = structlog.get_logger(__name__)


class Job(NamedTuple):
    """A periodic job: when it is due (UTC), and the tasks that are then run, each by itself."""

    name: str
    trigger: BaseTrigger
    tasks: Sequence[str]


JOBS = (
    Job(
        "purge_expired",
        CronTrigger.from_crontab("17 3 * * *", timezone=UTC),
        tasks=["purge_receipts", "purge_dead_letters", "purge_api_keys", "purge_revocations"],
    ),
)


def tick(job: Job, fire_time: datetime) -> Event:
    """The event that says: this job is due. The same job and time give the same event, whoever makes it."""
    due = JobDue(job=job.name, fire_time=fire_time.astimezone(UTC), tasks=list(job.tasks))
    return Event(
        id=f"{job.name}:{timestamp(fire_time)}",
        source=SOURCE,
        type=JobDue.type,
        data=due.model_dump(mode="json"),
        caller=SOURCE,
    )


class FireTimes(BaseExecutor):  # type: ignore[misc]  # APScheduler ships no annotations
    """An APScheduler executor that runs jobs in the scheduler's thread and hands them their fire times."""

    def _do_submit_job(self, scheduled: ScheduledJob, run_times: Sequence[datetime]) -> None:
        scheduled.func(*scheduled.args, run_times)
        self._run_job_success(scheduled.id, [])


class Clock:
    """Publishes ticks, however long Redis is away; only the end of the process gives up."""

    def __init__(self, publisher: Publisher) -> None:
        self.stopping = threading.Event()
        self._publisher = publisher

    def publish(self, job: Job, fire_times: Sequence[datetime] = ()) -> None:
        """Store the ticks of a job."""
        for fire_time in fire_times:
            self._publish(tick(job, fire_time))

    def _publish(self, event: Event) -> None:
        logs.bind(event)
        while not self.stopping.is_set():
            try:
                self._publisher.publish(event)
            except UnavailableError as error:
                log.warning("tick.delayed", error=str(error))
                self.stopping.wait(RETRY_S)
            else:
                log.info("tick.published")
                return


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    # Blocked before any thread begins, and waited for: a handler that sets the event could interrupt its own `set`
    # when a second signal follows at once, and wait for itself for ever.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    with startup.starting("scheduler") as settings:
        startup.check_queue(settings)
        clock = Clock(Publisher(connect(settings.redis), ROUTES))
        scheduler = BackgroundScheduler(timezone=UTC, executors={"default": FireTimes()})
        for job in JOBS:
            # no misfire grace: a late tick is better than none; several missed ones become one
            scheduler.add_job(
                clock.publish, job.trigger, args=[job], id=job.name, misfire_grace_time=None, coalesce=True
            )
        scheduler.start()
        log.info("scheduler.started", jobs=[job.name for job in JOBS])
        signal.sigwait(STOP_SIGNALS)
        clock.stopping.set()
        scheduler.shutdown(wait=False)
        log.info("scheduler.stopped")


if __name__ == "__main__":
    main()
