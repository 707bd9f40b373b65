"""Celery with threads, acknowledging late, without results. Its manual advises a wide prefetch for short tasks."""

from typing import Any

from celery import Celery
from tally import URL, count

app = Celery("on_celery", broker=URL)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_disable_rate_limits=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
job = app.task(name="job")(count)


async def send(work: dict[str, Any]) -> None:
    job.delay(work)
