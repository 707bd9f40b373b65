"""Dead letters: what cannot be done waits here with every attempt's error, where an operator can read and mend it."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from dramatiq import get_encoder
from dramatiq.errors import ActorNotFound, DecodeError

from workers import keys
from workers.errors import PermanentError

if TYPE_CHECKING:
    from workers.queue.delivery import Delivery
    from workers.script import Argument

RETENTION_S = 7 * 24 * 3600

FAILED, PERMANENT, EXPIRED = "failed", "permanent", "expired"
WORKER_LOST, UNDECODABLE, UNKNOWN_ACTOR = "worker lost", "undecodable", "unknown actor"


class WorkerLostError(Exception):
    """The message was being run by several workers in turn, and each of them ended."""


REASONS: dict[type[Exception], str] = {
    WorkerLostError: WORKER_LOST,
    DecodeError: UNDECODABLE,
    ActorNotFound: UNKNOWN_ACTOR,
    PermanentError: PERMANENT,
}


class Letter(NamedTuple):
    """One dead letter. `body` is what an operator reads; the rest is what it is found by.

    The body's `raw` is the message in base64, where it is none or one that JSON may not hold.
    """

    id: str
    queue: str
    actor: str
    reason: str
    fingerprint: str
    body: dict[str, Any]

    @property
    def keys(self) -> list[str]:
        """The keys of bury.lua and exhume.lua, but for the ledger."""
        return [
            *(keys.stream(self.queue), keys.dead(self.queue), keys.letters(self.queue), keys.dead_counts(self.queue)),
            *(
                keys.dead_by(self.queue, index, value)
                for index, value in (
                    ("actor", self.actor),
                    ("reason", self.reason),
                    ("fingerprint", self.fingerprint),
                )
            ),
        ]

    def named(self, letter_id: str) -> Letter:
        """The same under another id."""
        return self._replace(id=letter_id, body={**self.body, "id": letter_id})

    @property
    def arguments(self) -> list[Argument]:
        """The arguments of bury.lua that describe the letter."""
        return [self.id, self._encoded(), self.actor, self.reason, self.fingerprint]

    def _encoded(self) -> bytes:
        """As JSON; a message that has what JSON may not hold (lone surrogates, 65 bits) is kept as raw bytes."""
        try:
            return orjson.dumps(self.body)
        except TypeError:
            message = self.body["message"]
            try:
                encoded = get_encoder().encode(message)
            except (TypeError, ValueError):
                encoded = repr(message).encode(errors="backslashreplace")
            bare = {**message, "args": [], "kwargs": {}, "options": {}}
            return orjson.dumps({**self.body, "message": bare, "raw": _base64(encoded)})

    @classmethod
    def of(cls, delivery: Delivery) -> Letter:
        """The letter that a failed delivery becomes."""
        attempts = delivery.options.get("attempts", [])
        last = attempts[-1] if attempts else {}
        options = {name: value for name, value in delivery.options.items() if name not in {"attempts", "traceback"}}
        message: dict[str, Any] = {**delivery.asdict(), "options": options}
        return cls.make(
            message["message_id"],
            delivery.lane.queue,
            message["actor_name"],
            reason(delivery),
            str(last.get("type", "")),
            str(last.get("place", "")),
            {"message": message, "attempts": attempts, "raw": delivery.raw and _base64(delivery.raw)},
        )

    @classmethod
    def make(
        cls, letter_id: str, queue: str, actor: str, why: str, error: str, place: str, content: dict[str, Any]
    ) -> Letter:
        """A letter with its fingerprint: what has the same actor, type of error and place probably has one cause."""
        fingerprint = hashlib.blake2b(orjson.dumps([actor, why, error, place]), digest_size=6).hexdigest()
        body = {"id": letter_id, "queue": queue, "actor": actor, "reason": why, "fingerprint": fingerprint, **content}
        return cls(letter_id, queue, actor, why, fingerprint, body)


def reason(delivery: Delivery) -> str:
    """Why it is dead."""
    error = delivery.error
    for kind, name in REASONS.items():
        if isinstance(error, kind):
            return name
    if error is None or delivery.options.get("expired"):
        return EXPIRED  # skipped by an age limit, or it waited too long for what is not its fault
    return FAILED


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
