"""What Dramatiq's worker iterates over: turns entries of a lane into deliveries, and settles them."""

from __future__ import annotations

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

COUNTERS = ("retries", "attempts_before", "waits", "waits_since", "unknown_since")
"""Options that this package calculates with."""

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
        if error is not None:
            delivery.raw = payload
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
        return _undecodable(queue), error
    if not _shaped(message):
        return _undecodable(queue), DecodeError("Its fields have wrong types.", payload, None)
    message.options.pop("eta", None)  # would make Dramatiq's worker keep it in memory; here delays live in Redis
    if not _classes(message.options.get("throws")):
        del message.options["throws"]  # `isinstance` with anything else ends Dramatiq's worker thread
    if message.queue_name != queue:
        message = message.copy(queue_name=queue)  # Dramatiq's worker finds the consumer by this name
    return message, None


def _undecodable(queue: str) -> Message[Any]:
    return Message(queue_name=queue, actor_name="", args=(), kwargs={}, options={})


def _shaped(message: Message[Any]) -> bool:
    """Whether each field has the type that Dramatiq's worker, its middleware and this package take for granted."""
    claimed: Any = message
    options = claimed.options
    return (
        isinstance(claimed.queue_name, str)
        and _name(claimed.actor_name)
        and _name(claimed.message_id)
        and isinstance(claimed.message_timestamp, int | float)
        and isinstance(claimed.kwargs, dict)
        and isinstance(options, dict)
        and (not options or _counted(options))
    )


def _name(value: object) -> bool:
    """Lone surrogates, which JSON may hold, can stand in no key and no letter."""
    return isinstance(value, str) and (value.isascii() or value == value.encode(errors="replace").decode())


def _counted(options: dict[str, Any]) -> bool:
    counters = all(isinstance(options.get(name, 0), int | float) for name in COUNTERS)
    return counters and isinstance(options.get("attempts", []), list)


def _classes(throws: object) -> bool:
    kinds = throws if isinstance(throws, tuple) else (throws,)
    return throws is None or all(isinstance(kind, type) for kind in kinds)
