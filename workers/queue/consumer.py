"""What Dramatiq's worker iterates over: turns entries of a lane into deliveries, and settles them."""

from __future__ import annotations

import base64
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.errors import ActorNotFound, DecodeError

from workers.queue.dead import WorkerLostError
from workers.queue.delivery import Delivery
from workers.queue.encoding import decode
from workers.queue.lane import Entry, Lane
from workers.queue.settler import Settler

MOST_RUNS_BEGUN = 3
PARK_MS = 15 * 1000
PARKED_AT_MOST_S = 3600

log = structlog.get_logger(__name__)


class StreamsConsumer(Consumer):
    """Consumes one queue. Messages that no actor of this process can run never reach a worker thread."""

    def __init__(
        self,
        lane: Lane,
        settler: Settler,
        actors: Mapping[str, Any],
        reject: Callable[[Delivery], None],
        timeout_ms: int,
    ) -> None:
        """`reject` is called before a message that cannot be run is settled as a dead letter."""
        self._lane = lane
        self._settler = settler
        self._actors = actors
        self._reject = reject
        self._timeout_s = timeout_ms / 1000
        self._entries: deque[Entry] = deque()

    def __next__(self) -> Delivery | None:
        """The next message that can be run, or None when there is none within the time-out."""
        while True:
            if not self._entries:
                self._entries.extend(self._lane.read(self._timeout_s))
            if not self._entries:
                return None
            if self._lane.closing:
                self.close()
                return None
            delivery = self._delivery(*self._entries.popleft())
            if delivery is not None:
                return delivery

    def ack(self, message: MessageProxy) -> None:
        """Its run has ended: settle it, as done or to be run again."""
        self._settle(message)

    def nack(self, message: MessageProxy) -> None:
        """Settle it as a dead letter."""
        self._settle(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Hand back what was prefetched and not begun."""
        self._lane.release([message.entry_id for message in messages if isinstance(message, Delivery)])

    def close(self) -> None:
        """Hand back what no worker thread has seen."""
        entries, self._entries = self._entries, deque()
        self._lane.release([entry[0] for entry in entries])

    def _settle(self, message: MessageProxy) -> None:
        if not isinstance(message, Delivery):
            raise TypeError("this consumer settles what it delivered, and nothing else")
        self._lane.finished()
        self._settler.settle(message)

    def _delivery(self, entry_id: str, payload: bytes, deliveries: int, again: bool) -> Delivery | None:
        error: Exception | None
        message, error = _decode(payload, self._lane.queue)
        delivery = Delivery(message, self._lane, entry_id, deliveries, again=again)
        self._lane.hold(delivery)
        if error is None and delivery.runs_begun >= MOST_RUNS_BEGUN:
            error = WorkerLostError(f"{delivery.runs_begun} workers ended while they ran this message")
        if error is None and message.actor_name in self._actors:
            return delivery
        if error is None:
            error = self._park(delivery)
        if error is not None:
            delivery.fail()
            delivery.fail_with(error)
            delivery.stuff_exception(error)
            self._reject(delivery)
        self._settle(delivery)
        return None

    def _park(self, delivery: Delivery) -> ActorNotFound | None:
        """A newer deploy may know the actor: try again for an hour, then give up."""
        since = delivery.options.setdefault("unknown_since", time.time())
        if time.time() - since >= PARKED_AT_MOST_S:
            return ActorNotFound(f"no worker of this queue knows the actor {delivery.actor_name!r}")
        log.warning("message.parked", actor=delivery.actor_name, message_id=delivery.message_id)
        delivery.retry_delay_ms = PARK_MS
        return None


def _decode(payload: bytes, queue: str) -> tuple[Message[Any], DecodeError | None]:
    """The message, or one that stands for bytes which are none."""
    try:
        message = decode(payload)
    except DecodeError as error:
        raw = base64.b64encode(payload).decode()
        return Message(queue_name=queue, actor_name="", args=(), kwargs={}, options={"raw": raw}), error
    message.options.pop("eta", None)  # would make Dramatiq's worker keep it in memory; here delays live in Redis
    return message, None
