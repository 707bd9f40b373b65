"""taskiq over a Redis stream, without a result backend."""

from typing import Any

from tally import URL, count
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(URL)
start, stop = broker.startup, broker.shutdown


@broker.task(task_name="job")
async def job(work: dict[str, Any]) -> None:
    count(work)


async def send(work: dict[str, Any]) -> None:
    await job.kiq(work)
