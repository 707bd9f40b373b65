"""Luna's broker with everything on; plain messages."""

from typing import Any

import dramatiq
from luna_broker import build
from tally import URL, count

broker = build(URL)
job = dramatiq.actor(count, actor_name="job")


async def send(work: dict[str, Any]) -> None:
    job.send(work)


async def send_many(works: list[dict[str, Any]]) -> None:
    broker.enqueue_many([job.message(work) for work in works])
