"""The client's calls without any I/O: generators that say what to send and how long to wait, and are told the replies.

`Luna` and `AsyncLuna` run the same generators (wire.py), so both behave alike.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import httpx

from workers.client import results
from workers.client.batches import MAX_BATCH_EVENTS, halves, split
from workers.client.credentials import Credentials
from workers.client.errors import InvalidEventError, Refused, Unavailable
from workers.client.event import Outgoing
from workers.client.results import Later, Reply, Result
from workers.client.retry import Attempts, retry_after

EVENTS = "/v1/events"
FIRST_POLL_S, LONGEST_POLL_S = 0.05, 1.0
SHORTEST_TRY_S = 0.05
MAX_CORRELATION = 200


class Send(NamedTuple):
    """Send this request, and tell the reply."""

    method: str
    path: str
    timeout_s: float
    content: bytes | None = None
    correlation_id: str | None = None


class Wait(NamedTuple):
    """Wait."""

    seconds: float


class Renew(NamedTuple):
    """Ask for a token in place of this one."""

    stale: str | None


Step: TypeAlias = Send | Wait | Renew
T = TypeVar("T")
Steps: TypeAlias = Generator[Step, Reply | None, T]

Numbered: TypeAlias = tuple[int, Outgoing]
"""An event and its place in what was given."""


@dataclass(frozen=True)
class Calls:
    """What a client can ask of the gateway. `deadline_s` bounds a call with all its tries, `timeout_s` one try."""

    credentials: Credentials
    deadline_s: float
    timeout_s: float
    most: int = MAX_BATCH_EVENTS
    now: Callable[[], float] = time.monotonic
    uniform: Callable[[float, float], float] = random.uniform

    def deliver(self, events: Sequence[Outgoing], correlation_id: str | None = None) -> Steps[list[Result]]:
        """Send these events in batches, in order; one result for each. What the gateway puts off is sent again."""
        delivery = Delivery(events, self.most)
        attempts = self._attempts(self.deadline_s)
        while batch := delivery.next():
            content = _body([event for _, event in batch])
            reply = yield from self._ask("POST", EVENTS, attempts, content, _one_line(correlation_id))
            if delivery.told(batch, reply):
                continue
            pause = attempts.pause(reply)
            if pause is None:
                return delivery.given_up(reply)
            yield Wait(pause)
        return delivery.results()

    def trace(self, id: str, source: str | None = None) -> Steps[dict[str, Any]]:
        """How far an event is. Raises Refused (404: there is none of this caller) or Unavailable."""
        return (yield from self._get(id, source, self._attempts(self.deadline_s)))

    def wait(self, id: str, source: str | None, timeout_s: float) -> Steps[dict[str, Any]]:
        """The event's tree once all of it is done or dead. Raises TimeoutError when it is not after `timeout_s`."""
        attempts, poll = self._attempts(timeout_s), FIRST_POLL_S
        while not _settled(trace := (yield from self._get(id, source, attempts))):
            if attempts.left_s < poll:
                raise TimeoutError(f"not all of event {id} is done or dead after {timeout_s} s")
            yield Wait(poll)
            poll = min(LONGEST_POLL_S, poll * 1.5)
        return trace

    def _attempts(self, deadline_s: float) -> Attempts:
        return Attempts(deadline_s, now=self.now, uniform=self.uniform)

    def _get(self, id: str, source: str | None, attempts: Attempts) -> Steps[dict[str, Any]]:
        path = f"{EVENTS}/{quote(id, safe='')}" + (f"?{urlencode({'source': source})}" if source else "")
        while True:
            reply = yield from self._ask("GET", path, attempts)
            if isinstance(reply, httpx.Response):
                document = results.document(reply)
                if reply.status_code == httpx.codes.OK and isinstance(document, dict):
                    return document
                if not results.worth_another_try(reply.status_code):
                    raise results.refused(reply, id)
            pause = attempts.pause(reply)
            if pause is None:
                raise Unavailable(results.reason(reply), id=id, retry_after=retry_after(reply))
            yield Wait(pause)

    def _ask(
        self,
        method: str,
        path: str,
        attempts: Attempts,
        content: bytes | None = None,
        correlation_id: str | None = None,
    ) -> Steps[Reply]:
        """One try; a second one with a new token where the first was answered 401."""
        if self.credentials.token is None:
            yield Renew(None)
        used = self.credentials.token
        timeout_s = max(SHORTEST_TRY_S, min(self.timeout_s, attempts.left_s))
        send = Send(method, path, timeout_s, content, correlation_id)
        reply = yield send
        if _unauthorized(reply) and self.credentials.renewable:
            yield Renew(used)
            reply = yield send
        assert reply is not None  # noqa: S101 for the type checker: whoever runs the steps answers a Send
        return reply


class Delivery:
    """The events of one call: which are settled, and what to send next."""

    def __init__(self, events: Sequence[Outgoing], most: int) -> None:
        self._events = events
        self._results: dict[int, Result] = {}
        self._why: dict[int, str] = {}
        self._batches: deque[list[Numbered]] = deque(split(list(enumerate(events)), _size, most))

    def next(self) -> list[Numbered] | None:
        """The next batch."""
        return self._batches.popleft() if self._batches else None

    def told(self, batch: list[Numbered], reply: Reply) -> bool:
        """Note what became of a batch. False when something of it must be sent again later."""
        outcomes = results.read(reply, [event for _, event in batch])
        if len(batch) > 1 and _blamed(reply):
            self._put_back(*halves(batch))  # one bad event does not take its neighbours with it
            return True
        later = []
        for (place, event), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Later):
                later.append((place, event))
                self._why[place] = outcome.reason
            else:
                self._results[place] = outcome
        if later:
            self._put_back(*(halves(later) if _too_many(reply) and len(later) > 1 else (later,)))
        return not later

    def given_up(self, reply: Reply) -> list[Result]:
        """The results, where all that is not settled counts as unavailable."""
        asked, others = retry_after(reply), "the events before it took all the time that this call had"
        for place, event in chain.from_iterable(self._batches):
            self._results[place] = Unavailable(self._why.get(place, others), id=event.id, retry_after=asked)
        return self.results()

    def results(self) -> list[Result]:
        """In the order of the events."""
        return [self._results[place] for place in range(len(self._events))]

    def _put_back(self, *batches: list[Numbered]) -> None:
        self._batches.extendleft(reversed(batches))


def _blamed(reply: Reply) -> bool:
    """Whether a whole request was refused for what it holds."""
    if not isinstance(reply, httpx.Response) or reply.status_code in {results.ACCEPTED, results.MULTI_STATUS}:
        return False
    return not results.worth_another_try(reply.status_code) and Refused(reply.status_code, {}).about_event


def _too_many(reply: Reply) -> bool:
    """A batch of n costs n: one that is larger than what the rate limit ever allows passes in parts."""
    return isinstance(reply, httpx.Response) and reply.status_code == results.TOO_MANY


def _unauthorized(reply: Reply | None) -> bool:
    return isinstance(reply, httpx.Response) and reply.status_code == httpx.codes.UNAUTHORIZED


def _body(events: Sequence[Outgoing]) -> bytes:
    return events[0].body if len(events) == 1 else b"[" + b",".join([event.body for event in events]) + b"]"


def _size(numbered: Numbered) -> int:
    return len(numbered[1].body)


def _one_line(correlation_id: str | None) -> str | None:
    if correlation_id is None or (
        0 < len(correlation_id) <= MAX_CORRELATION and all("!" <= letter <= "~" for letter in correlation_id)
    ):
        return correlation_id
    raise InvalidEventError(
        f"a correlation id is one word of at most {MAX_CORRELATION} ASCII letters, digits and signs"
    )


def _settled(trace: dict[str, Any]) -> bool:
    return all(part.get("status") in {"done", "dead"} for part in _tree(trace))


def _tree(trace: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield trace
    for follow_up in trace.get("follow_ups", ()):
        yield from _tree(follow_up)
