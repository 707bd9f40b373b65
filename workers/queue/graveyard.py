"""Where dead letters lie: found by queue, actor, reason, fingerprint and time; taken out one by one, each once."""

from __future__ import annotations

import base64
import heapq
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson
from dramatiq import Message
from redis import Redis

from workers import keys
from workers.event import Event
from workers.queue import ledger
from workers.queue.dead import Letter
from workers.queue.scripts import EXHUME

PAGE = 200
TRANSIENT = frozenset(
    ("attempts", "retries", "waits", "waits_since", "unknown_since", "expired", "requeue_timestamp", "traceback")
)
"""Options of one life of a message, which the next does not inherit."""


class Filter(NamedTuple):
    """Which dead letters. `error` is found in the type or text of the last error.

    `since_ms` and `until_ms` (0: now) bound when they died.
    """

    queue: str | None = None
    actor: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    error: str | None = None
    since_ms: int = 0
    until_ms: int = 0

    def matches(self, letter: Letter) -> bool:
        """Whether the letter is one of these, its queue and time aside."""
        return (
            (self.actor is None or letter.actor == self.actor)
            and (self.reason is None or letter.reason == self.reason)
            and (self.fingerprint is None or letter.fingerprint == self.fingerprint)
            and (self.error is None or self.error.casefold() in _last_error(letter).casefold())
        )


class Found(NamedTuple):
    """A letter and when it died, ms since the epoch."""

    letter: Letter
    died_ms: int

    @property
    def cursor(self) -> str:
        """Where a listing goes on after this letter."""
        return f"{self.died_ms}.{self.letter.id}"


class Graveyard:
    """The dead letters of some queues. Every method raises redis.RedisError when Redis cannot be reached."""

    def __init__(self, client: Redis, queues: Iterable[str]) -> None:
        self._client = client
        self._queues = tuple(queues)

    def find(self, letter_id: str) -> Found | None:
        """One letter, or None."""
        for queue in self._queues:
            body: Any = self._client.hget(keys.letters(queue), letter_id)
            died: Any = self._client.zscore(keys.dead(queue), letter_id)
            if body is not None and died is not None:
                return Found(_letter(body), int(died))
        return None

    def search(self, wanted: Filter, cursor: str | None = None) -> Iterator[Found]:
        """The letters of a filter, newest first, from after `cursor` on; read as they are asked for."""
        queues = [queue for queue in self._queues if wanted.queue in {None, queue}]
        streams = [self._search(queue, wanted, cursor) for queue in queues]
        return heapq.merge(*streams, key=lambda found: (-found.died_ms, _descending(found.letter.id)))

    def count(self, wanted: Filter) -> int:
        """How many there are: from the indexes where one filter is enough, else by reading them."""
        parts = [wanted.actor, wanted.reason, wanted.fingerprint]
        if wanted.error is None and sum(part is not None for part in parts) <= 1:
            queues = [queue for queue in self._queues if wanted.queue in {None, queue}]
            until = wanted.until_ms or "+inf"
            return sum(self._client.zcount(_index(queue, wanted), wanted.since_ms, until) for queue in queues)
        return sum(1 for _ in self.search(wanted))

    def groups(self) -> list[tuple[str, str, int]]:
        """Queue, `actor|…`, `reason|…` or `fingerprint|…`, and how many letters have it."""
        return [
            (queue, name.decode(), int(count)) for queue in self._queues for name, count in self._counts(queue).items()
        ]

    def retry(self, letter: Letter, *, edited: dict[str, Any] | None = None, by: str = "") -> bool:
        """Put the message back on its queue for a new life; False when another was faster.

        `edited` replaces the event's data, or the keyword arguments of a message without an event; what it was before
        travels along. It goes round the once-rule, never round the receipt.
        """
        return self._take(letter, _revived(letter, edited, by), "queued")

    def discard(self, letter: Letter) -> bool:
        """Throw the letter away; False when another was faster."""
        return self._take(letter, b"", None)

    def purge(self, before_ms: int) -> int:
        """Discard the letters that died before then, oldest first; how many."""
        return sum(self._purge(queue, before_ms) for queue in self._queues)

    def _purge(self, queue: str, before_ms: int) -> int:
        purged = 0
        while True:
            old: Any = self._client.zrangebyscore(keys.dead(queue), "-inf", f"({before_ms}", start=0, num=PAGE)
            bodies: Any = self._client.hmget(keys.letters(queue), old) if old else []
            taken = sum(self.discard(_letter(body)) for body in bodies if body is not None)
            if not taken:
                return purged
            purged += taken

    def _take(self, letter: Letter, payload: bytes, status: str | None) -> bool:
        event = event_of(letter)
        ledger_key = ledger.key(letter.queue, event.id) if event else keys.stream(letter.queue)
        records = [ledger.field_name(event.identity, letter.actor, "status"), status] if event and status else []
        return bool(
            EXHUME.run(
                self._client,
                [*letter.keys, ledger_key],
                [letter.id, letter.actor, letter.reason, letter.fingerprint, payload, ledger.RETENTION_S, *records],
            )
        )

    def _search(self, queue: str, wanted: Filter, cursor: str | None) -> Iterator[Found]:
        """Each page begins where the last one ended, not at its number: letters come and go meanwhile."""
        died, _, last = (cursor or "").partition(".")
        newest: Any = died or wanted.until_ms or "+inf"
        offset = 0  # among those that died in the same millisecond
        while page := self._page(_index(queue, wanted), newest, wanted.since_ms, offset):
            bodies: Any = self._client.hmget(keys.letters(queue), [name for name, _ in page])
            for (name, score), body in zip(page, bodies, strict=True):
                if last and score == int(newest) and name.decode() >= last:
                    continue  # listed before
                if body is not None and wanted.matches(letter := _letter(body)):
                    yield Found(letter, int(score))
            (name, score) = page[-1]
            offset = offset + PAGE if last and score == int(newest) else 0
            newest, last = int(score), name.decode()

    def _page(self, index: str, newest: Any, oldest: int, offset: int) -> list[tuple[bytes, float]]:
        page: Any = self._client.zrevrangebyscore(index, newest, oldest, start=offset, num=PAGE, withscores=True)
        return list(page)

    def _counts(self, queue: str) -> dict[bytes, bytes]:
        counts: Any = self._client.hgetall(keys.dead_counts(queue))
        return dict(counts)


def event_of(letter: Letter) -> Event | None:
    """The event in a letter, or None."""
    return Event.in_arguments(letter.body["message"]["kwargs"])


def _index(queue: str, wanted: Filter) -> str:
    """The narrowest index that serves a filter."""
    for index, value in (
        ("fingerprint", wanted.fingerprint),
        ("actor", wanted.actor),
        ("reason", wanted.reason),
    ):
        if value is not None:
            return keys.dead_by(queue, index, value)
    return keys.dead(queue)


def _letter(body: bytes) -> Letter:
    content = orjson.loads(body)
    return Letter(content["id"], content["queue"], content["actor"], content["reason"], content["fingerprint"], content)


def _last_error(letter: Letter) -> str:
    attempts: Sequence[dict[str, Any]] = letter.body["attempts"]
    return f"{attempts[-1]['type']}: {attempts[-1]['message']}" if attempts else ""


def _revived(letter: Letter, edited: dict[str, Any] | None, by: str) -> bytes:
    if raw := letter.body.get("raw"):
        return base64.b64decode(raw)
    message = letter.body["message"]
    options = {name: value for name, value in message["options"].items() if name not in TRANSIENT}
    options["attempts_before"] = options.get("attempts_before", 0) + len(letter.body["attempts"])
    kwargs = dict(message["kwargs"])
    if edited is not None:
        envelope = kwargs["event"] if event_of(letter) else None
        before = options.get("edited", {"original": envelope["data"] if envelope else dict(kwargs)})
        options["edited"] = {"by": by, "at_ms": int(time.time() * 1000), "original": before["original"]}
        kwargs = {**kwargs, "event": {**envelope, "data": edited}} if envelope else edited
    revived = Message[Any](
        queue_name=letter.queue,
        actor_name=message["actor_name"],
        args=tuple(message["args"]),
        kwargs=kwargs,
        options=options,
        message_id=message["message_id"],  # its age begins anew: the time-stamp is now
    )
    return revived.encode()


def _descending(text: str) -> tuple[int, ...]:
    return (*(-byte for byte in text.encode()), 1)  # what goes on comes before what ends, as in Redis reversed
