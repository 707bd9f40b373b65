"""The client's calls without any I/O: generators that say what to send and how long to wait, and are told the replies.

`Luna` and `AsyncLuna` run the same generators (wire.py), so both behave alike.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import httpx

from workers.client import results
from workers.client.batches import MAX_BATCH_EVENTS
from workers.client.credentials import Credentials
from workers.client.delivery import Delivery
from workers.client.errors import InvalidEventError, Unavailable
from workers.client.event import Outgoing
from workers.client.results import Reply, Result
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


@dataclass(frozen=True)
class Calls:
    """What a client can ask of the gateway. `deadline_s` bounds a call with all its tries, `timeout_s` one try."""

    credentials: Credentials
    deadline_s: float
    timeout_s: float
    most: int = MAX_BATCH_EVENTS
    now: Callable[[], float] = time.monotonic
    uniform: Callable[[float, float], float] = random.uniform

    def deliver(
        self, events: Sequence[Outgoing], correlation_id: str | None = None, *, patient: bool = True
    ) -> Steps[list[Result]]:
        """Send these events in batches, in order; one result for each.

        What the gateway puts off is sent again, but by a caller that is not patient: it can wait by itself.
        """
        delivery = Delivery(events, self.most)
        attempts = self._attempts(self.deadline_s)
        while batch := delivery.next():
            content = _body([event for _, event in batch])
            reply = yield from self._ask("POST", EVENTS, attempts, content, _one_line(correlation_id))
            if delivery.told(batch, reply):
                continue
            pause = attempts.pause(reply)
            if pause is None or (pause and not patient):
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
                status = reply.status_code if isinstance(reply, httpx.Response) else None
                raise Unavailable(results.reason(reply), id=id, status=status, retry_after=retry_after(reply))
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


def _unauthorized(reply: Reply | None) -> bool:
    return isinstance(reply, httpx.Response) and reply.status_code == httpx.codes.UNAUTHORIZED


def _body(events: Sequence[Outgoing]) -> bytes:
    return events[0].body if len(events) == 1 else b"[" + b",".join([event.body for event in events]) + b"]"


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
