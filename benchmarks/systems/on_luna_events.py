"""Luna's broker and Publisher: each job is an event, stored once per (caller, source, id), followed in the ledger."""

import uuid
from typing import Any

import dramatiq
from luna_broker import build
from tally import URL, count

from workers.event import Event, Route
from workers.queue.publisher import Publisher

broker = build(URL)
publisher = Publisher(broker.client, {"job.posted": [Route("job", "default")]})


@dramatiq.actor(actor_name="job")
def job(event: dict[str, Any]) -> None:
    count(Event.from_dict(event).data)


def posted(work: dict[str, Any]) -> Event:
    return Event(id=str(uuid.uuid4()), source="/benchmarks", type="job.posted", data=work, caller="benchmarks")


async def send(work: dict[str, Any]) -> None:
    publisher.publish(posted(work))


async def send_many(works: list[dict[str, Any]]) -> None:
    publisher.publish(*map(posted, works))
