"""A message as this worker process received it: one entry of a stream, under lease until it is settled."""

from __future__ import annotations

import time
import traceback
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson
from dramatiq import Message
from dramatiq.broker import MessageProxy

from workers.event import Event
from workers.queue import ledger

if TYPE_CHECKING:
    from workers.queue.lane import Lane

Outgoing = tuple[Message[Any], int | None, bytes]
"""A message to be stored: itself, its delay in ms or None, its encoding."""

ATTEMPTS_KEPT = 20
TRACEBACK_CHARS = 8 * 1024
ERROR_CHARS = 500


class Delivery(MessageProxy):
    """A message proxy that knows its entry, what its run came to, and what has to be stored before it is settled.

    `deliveries` is the stream's counter: 1 + runs begun and never settled.
    """

    lost = False
    """whether another worker has it by now: then nothing is settled"""
    settling = False
    """whether its run has ended: from then on its settlement finds out whose it is"""
    concluded = False
    """whether the hooks that follow a run have decided what becomes of it"""
    hook_failed = False
    """whether a hook that followed its run failed: then it may be that nobody decided what becomes of it"""
    follow_ups: list[dict[str, str]] | None = None
    """what its run published: id, source and type of each event"""
    raw: bytes | None = None
    """the entry's bytes, where they are no message"""
    retry_delay_ms: int | None = None
    """set when it is to be run again"""
    started_at = 0.0
    duration_s: float | None = None
    error: BaseException | None = None

    def __init__(self, message: Message[Any], lane: Lane, entry_id: str, deliveries: int, *, again: bool) -> None:
        super().__init__(message)
        self.message = message
        # middleware reads these many times for each message, and a proxy's __getattr__ is slow
        self.actor_name, self.queue_name = message.actor_name, message.queue_name
        self.options, self.message_id = message.options, message.message_id
        self.lane = lane
        self.entry_id = entry_id
        self.runs_begun = deliveries - 1
        self.again = again
        """whether it may have been delivered before: then its start is recorded before it runs"""
        self.outbox: list[Outgoing] = []
        """what hooks enqueued while it was processed, stored before it is settled"""
        self.attempt = self.options.get("attempts_before", 0) + self.options.get("retries", 0) + 1

    @cached_property
    def event(self) -> Event | None:
        """The event in it, or None for a message that was not made by the publisher."""
        return Event.in_arguments(self.message.kwargs)

    def begin(self) -> None:
        """The run begins."""
        self.started_at = time.time()

    def end(self, error: BaseException | None) -> None:
        """The run has ended. A failure is added to the attempts that travel with the message."""
        self.duration_s = time.time() - self.started_at
        if error is not None:
            self.fail_with(error)

    def fail_with(self, error: BaseException) -> None:
        """Remember why it failed, in the message and for the letter it may become."""
        self.error = error
        attempts = self.message.options.setdefault("attempts", [])
        attempts.append(
            {
                "number": self.attempt,
                "at": int((self.started_at or time.time()) * 1000),
                "ms": None if self.duration_s is None else round(self.duration_s * 1000, 1),
                "worker": self.lane.consumer,
                "type": type(error).__qualname__,
                "message": _text(error),
                "traceback": _printable("".join(traceback.format_exception(error, limit=30))[-TRACEBACK_CHARS:]),
                "place": _place(error),
            }
        )
        del attempts[:-ATTEMPTS_KEPT]

    def decide(self) -> None:
        """It failed, and so did a hook: unless another hook decided, it is a dead letter rather than done."""
        if self.hook_failed and self.retry_delay_ms is None:
            self.fail()

    def clear_exception(self) -> None:
        """Dramatiq clears it before the settlement is confirmed, but `after_nack` reads it: see `forget`."""

    def forget(self) -> None:
        """It is settled: break the cycle of exception, traceback and frames."""
        self._exception = self.error = None

    def ledger_records(self, status: str) -> list[str | bytes]:
        """Alternating fields and records for the event's ledger; empty for a message without an event."""
        event = self.event
        if event is None:
            return []
        ours = ledger.field_name(event.identity, self.actor_name, "")
        fields: list[str | bytes] = [f"{ours}status", status]
        if self.duration_s is not None:
            fields += [f"{ours}attempt:{self.attempt}", self._attempt()]
        if self.follow_ups is not None:
            fields += [f"{ours}follow_ups", orjson.dumps(self.follow_ups)]
        return fields

    def _attempt(self) -> bytes:
        record: dict[str, Any] = {
            "at": int(self.started_at * 1000),
            "ms": round((self.duration_s or 0) * 1000, 1),
            "worker": self.lane.consumer,
        }
        if self.error is not None:
            record["error"] = {"type": type(self.error).__name__, "message": _text(self.error)}
        return orjson.dumps(record)


def _text(error: BaseException) -> str:
    try:
        return _printable(str(error)[:ERROR_CHARS])
    except Exception:  # noqa: BLE001 an error's own code may do anything, and must not cost its message
        return "<it cannot be printed>"


def _printable(text: str) -> str:
    """Lone surrogates, which file names may hold, have no place in UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def _place(error: BaseException) -> str:
    """Where it was raised, without line numbers, which change with every deploy: `module:function`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].name}" if frames else ""
