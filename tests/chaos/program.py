"""What chaos runs in place of two commands of the Procfile: workers with a short lease, and a clock with much to do."""

from __future__ import annotations

import os

import dramatiq
from apscheduler.triggers.interval import IntervalTrigger

import scheduler
from actors import boot
from workers import startup

JOB = scheduler.Job("purge_expired", IntervalTrigger(seconds=1), tasks=["purge_receipts", "purge_dead_letters"])


def start() -> None:
    """What `dramatiq tests.chaos.program:start` calls."""
    with startup.starting("worker") as settings:
        dramatiq.set_broker(boot.build(settings, lease_s=float(os.environ["CHAOS_LEASE_S"])))


if __name__ == "__main__":
    scheduler.JOBS = (JOB,)
    scheduler.main()
