"""Dramatiq with its own Redis broker, default middleware, default prefetch (2 x threads)."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from tally import URL, count

dramatiq.set_broker(RedisBroker(url=URL))
job = dramatiq.actor(count, actor_name="job")


async def send(work: dict[str, Any]) -> None:
    job.send(work)
