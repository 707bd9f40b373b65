"""The messages of on_luna_events.py without once-key and ledger, to see what those cost: nobody sees events in them."""

from typing import Any

import dramatiq
from luna_broker import build
from on_luna_events import posted
from tally import URL, count

from workers.event import Event

broker = build(URL)


@dramatiq.actor(actor_name="envelope")
def job(envelope: dict[str, Any]) -> None:
    count(Event.from_dict(envelope).data)


async def send(work: dict[str, Any]) -> None:
    job.send(envelope=posted(work).to_dict())


async def send_many(works: list[dict[str, Any]]) -> None:
    broker.enqueue_many([job.message(envelope=posted(work).to_dict()) for work in works])
