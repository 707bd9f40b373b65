"""An event as a service makes it: encoded once, so that every try sends the same bytes under the same id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from workers.client.errors import InvalidEventError
from workers.event import timestamp

MAX_EVENT_BYTES = 256 * 1024
"""The gateway takes no larger body (docs/client.md)."""


class Outgoing(NamedTuple):
    """What travels: an event's id and its JSON."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One event to publish. An `id` is made here if none is given; `time` is when it happened, now if not given.

    Raises InvalidEventError for what is not JSON (NaN, infinities, half a surrogate pair) or is larger than 256 kB.
    """

    type: str
    data: Mapping[str, Any] = field(repr=False)  # it may hold what no log should
    id: str = field(default_factory=lambda: str(uuid4()))
    source: str | None = None
    subject: str | None = None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    outgoing: Outgoing = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "outgoing", Outgoing(self.id, self._encoded()))

    def _encoded(self) -> bytes:
        if self.time.tzinfo is None:
            raise InvalidEventError("the event's time has no time zone; datetime.now(UTC) has one")
        if not isinstance(self.data, Mapping):
            raise InvalidEventError("the event's data must be a mapping: a JSON object")
        given = {"source": self.source, "subject": self.subject}
        document = {
            "type": self.type,
            "id": self.id,
            "time": timestamp(self.time),
            **{name: value for name, value in given.items() if value is not None},
            "data": dict(self.data),
        }
        try:
            text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            body = text.encode()
        except (TypeError, ValueError, RecursionError) as error:  # ValueError: UnicodeEncodeError too
            raise InvalidEventError(f"the event is not JSON: {_reason(error)}") from None
        if len(body) > MAX_EVENT_BYTES:
            raise InvalidEventError(f"the event is {len(body)} bytes long; the gateway takes {MAX_EVENT_BYTES}")
        return body


def _reason(error: Exception) -> str:
    """Without the value: UnicodeEncodeError would print the whole event."""
    return "it holds half a surrogate pair" if isinstance(error, UnicodeError) else str(error)
