"""The CloudEvents 1.0 envelope, and the route of an event to an actor.

Everything that travels through a queue is an `Event`; what its `data` means is a `Contract`, in workers/contract.py.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b, sha1
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

if TYPE_CHECKING:
    from workers.contract import Contract

NAMESPACE = UUID("6d5b0a3c-5d0c-5a4e-9f0b-6c756e610000")
"""The UUIDv5 namespace of every id that Luna derives rather than receives."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

INTERNAL_SOURCE = "/luna/"
"""Sources with this prefix belong to Luna's own events; callers may not use it."""


OWN_ATTRIBUTES = frozenset(
    {
        *("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"),
        *("correlationid", "lunacaller"),
    }
)
"""What `Event` has names for; every other attribute of an envelope is carried as it came."""


class Route(NamedTuple):
    """Where an event goes: the actor that handles it and the queue it waits on."""

    actor: str
    queue: str


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent. `caller` is the subject that posted it or whose event led to it; it owns the trace.

    `time` is RFC 3339, UTC. `correlation` is shared by an event and everything that follows from it, and so are the
    `extensions`: CloudEvents' extension attributes, such as `traceparent`, by their lower-case names.
    """

    id: str
    source: str
    type: str
    data: dict[str, Any]
    caller: str
    time: str = field(default_factory=lambda: now())  # noqa: PLW0108 it comes further down
    subject: str | None = None
    correlation: str = ""
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.correlation:
            object.__setattr__(self, "correlation", self.id)

    @property
    def identity(self) -> str:
        """What makes two posts the same event: 32 hex digits over (caller, source, id)."""
        return digest(self.caller, self.source, self.id)

    def follow_up(self, data: Contract, *, actor: str, number: int) -> Event:
        """The event number `number` that `actor` derives from this one; the same inputs give the same id."""
        return replace(
            self,
            id=derived_id(f"{self.identity}/{actor}/{number}"),
            source=f"{INTERNAL_SOURCE}actors/{actor}",
            type=data.type,
            data=data.model_dump(mode="json", exclude_none=True),
            time=now(),
        )

    def to_dict(self) -> dict[str, Any]:
        """The envelope in CloudEvents' JSON format; extension attributes are lower-case as the spec wants."""
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": self.time,
            "datacontenttype": "application/json",
            "correlationid": self.correlation,
            "lunacaller": self.caller,
            "data": self.data,
            **self.extensions,
        }
        if self.subject is not None:
            envelope["subject"] = self.subject
        return envelope

    @classmethod
    def from_dict(cls, envelope: dict[str, Any]) -> Self:
        """The reverse of `to_dict`. Raises KeyError when a required attribute is missing."""
        return cls(
            id=envelope["id"],
            source=envelope["source"],
            type=envelope["type"],
            data=envelope["data"],
            caller=envelope["lunacaller"],
            time=envelope["time"],
            subject=envelope.get("subject"),
            correlation=envelope["correlationid"],
            extensions={name: envelope[name] for name in envelope.keys() - OWN_ATTRIBUTES},
        )

    @classmethod
    def in_arguments(cls, kwargs: dict[str, Any]) -> Self | None:
        """The event that an actor is called with, or None when it is called with none."""
        envelope = kwargs.get("event")
        try:
            return cls.from_dict(envelope) if isinstance(envelope, dict) else None
        except KeyError:
            return None  # an argument that is only called so


class _Random(threading.local):
    """Random hexadecimal digits of one thread, asked of the system for 128 ids at once."""

    digits, used = "", 0

    def forget(self) -> None:
        """Take none of them any more."""
        self.digits, self.used = "", 0


_random = _Random()
os.register_at_fork(after_in_child=_random.forget)  # else parent and child would give the same ids


def random_digits() -> str:
    """32 random hexadecimal digits."""
    used = _random.used
    if used == len(_random.digits):
        _random.digits, used = os.urandom(2048).hex(), 0
    _random.used = used + 32
    return _random.digits[used : used + 32]


def new_id() -> str:
    """A random UUID (RFC 9562, version 4); as the standard library's, in a quarter of the time."""
    return _uuid(random_digits(), "4")


def derived_id(name: str) -> str:
    """The UUIDv5 of a name in Luna's namespace: the same name, the same id."""
    return _uuid(sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).hexdigest(), "5")


VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""The digit that holds a UUID's variant, by two random bits of it (RFC 9562, 4.1)."""


def _uuid(digits: str, version: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"


def digest(*parts: str) -> str:
    """32 hex digits over the parts; no two different lists of parts read as the same bytes."""
    counted = "".join([f"{len(part)}:{part}" for part in parts])
    return blake2b(counted.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def now() -> str:
    """This moment as `timestamp` writes it."""
    return _written(time.time_ns() // 1_000_000)


@lru_cache(1)  # many events are of the same millisecond
def _written(ms: int) -> str:
    return timestamp(EPOCH + timedelta(milliseconds=ms))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: 2026-01-31T12:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
