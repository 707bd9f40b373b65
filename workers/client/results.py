"""What became of an event, as the gateway's answer tells: accepted, refused, or to be sent again later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import httpx

from workers.client.errors import Refused, Unavailable
from workers.client.event import Outgoing

ACCEPTED, MULTI_STATUS = 202, 207
TOO_MANY, SERVER_ERROR = 429, 500
AGAIN = frozenset({408, 409, 425, TOO_MANY})
"""4xx that ask for another try: slow body, the same id being stored just now, too early, rate limit."""

Reply: TypeAlias = httpx.Response | httpx.RequestError
"""What sending a request comes to: an answer, or the loss of it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event is stored. `duplicate` says that it was there already, and nothing was stored again."""

    id: str
    source: str
    type: str
    subject: str | None
    duplicate: bool
    status_url: str


class Later(NamedTuple):
    """Not settled: worth another try."""

    reason: str
    status: int | None = None


Result: TypeAlias = Accepted | Refused | Unavailable
"""What `publish_many` answers for each event."""


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event that was enqueued and that the gateway then refused: the event as it was sent, and why."""

    event: Mapping[str, Any]
    refusal: Refused


def read(reply: Reply, events: Sequence[Outgoing]) -> list[Accepted | Refused | Later]:
    """One outcome for each event. Only an answer that names the event counts as accepted: a proxy's 200 does not."""
    if isinstance(reply, httpx.RequestError):
        return [Later(reason(reply))] * len(events)
    if reply.status_code not in {ACCEPTED, MULTI_STATUS}:
        return [_whole(reply, event) for event in events]
    documents = document(reply)
    if not isinstance(documents, list):
        documents = [documents]
    if len(documents) != len(events):
        return [Later(f"the gateway answered {reply.status_code} without a result for each event")] * len(events)
    return [_one(given, event) for given, event in zip(documents, events, strict=True)]


def worth_another_try(status: int) -> bool:
    """Whether the same request may fare better later: also after an answer that no gateway of ours gives."""
    return status < 300 or status >= SERVER_ERROR or status in AGAIN  # noqa: PLR2004 a redirect is refused: it asks for the token elsewhere


def refused(reply: httpx.Response, id: str | None) -> Refused:
    """The refusal that an answer stands for."""
    problem = document(reply)
    return Refused(reply.status_code, problem if isinstance(problem, dict) else {}, id=id)


def reason(reply: Reply) -> str:
    """Why there must be another try, for people."""
    if isinstance(reply, httpx.RequestError):
        return f"{type(reply).__name__}: {reply}"
    problem = document(reply)
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return f"the gateway answered {reply.status_code}{f': {detail}' if detail else ''}"


def document(reply: httpx.Response) -> Any:
    """The JSON of an answer, or None."""
    try:
        return reply.json()
    except ValueError:
        return None


def _whole(reply: httpx.Response, event: Outgoing) -> Refused | Later:
    if worth_another_try(reply.status_code):
        return Later(reason(reply), reply.status_code)
    return refused(reply, event.id)


def _one(given: Any, event: Outgoing) -> Accepted | Refused | Later:
    match given:
        case {"status": "accepted", "id": event.id, "source": source, "type": type_, "status_url": url}:
            return Accepted(event.id, source, type_, given.get("subject"), bool(given.get("duplicate")), url)
        case {"status": "refused", "problem": {"status": int(status)}}:
            problem: dict[str, Any] = given["problem"]
            if worth_another_try(status):
                return Later(f"{status}: {problem.get('detail')}", status)
            return Refused(status, problem, id=event.id)
        case _:
            return Later("the gateway's answer does not name the event")
