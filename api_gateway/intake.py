"""POST /v1/events: from bytes to an event that is stored, or to a batch of them, each with its own answer.

This is the hot route: nothing is done for a request that can be done once, and all that arrive together are stored by
one call. The door calls it without the framework in between; what it answers is described in routes/events.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
from starlette.types import Receive

from api_gateway import bodies, cloudevents, idempotency
from api_gateway.admission import admit
from api_gateway.bodies import JSON
from api_gateway.cloudevents import Sent
from api_gateway.problems import RETRY_AFTER_S, UNCONFIRMED, Problem, unavailable
from api_gateway.visit import Visit
from workers.errors import UnavailableError
from workers.event import now
from workers.queue.backlog import Backlog
from workers.queue.limits import MessageTooLargeError
from workers.queue.publisher import Answer, AsyncPublisher, Outcome, Posting

MAX_BATCH = 1_000
UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE
SLICE = 50
"""So many events of a batch are looked at before others get their turn."""

STRUCTURED = b"application/cloudevents+json"
BATCH = b"application/cloudevents-batch+json"
MEDIA_TYPES = ", ".join(kind.decode() for kind in (JSON, STRUCTURED, BATCH))

FULL = "The queue of this event holds as much as it may. Send the same request again later, under the same id."
BEHIND = "What waits on the queue of this event has waited too long. Send the same request again later, under its id."

Charge = Callable[[int], Awaitable[None]]
"""Counts so many events against the caller's limits. Raises Problem 429."""


class Reply(NamedTuple):
    """What is answered: always JSON."""

    status: int
    document: Any
    headers: dict[str, str]


class Intake:
    """Takes events in for callers that are known and may post."""

    def __init__(self, publisher: AsyncPublisher, backlog: Backlog, url: str) -> None:
        """`url` is where the gateway is reached from outside."""
        self._publisher, self._backlog, self._url = publisher, backlog, url
        self._turn = asyncio.Lock()  # one batch after the other: all of them at once would only be in each other's way

    async def post(self, visit: Visit, caller: str, receive: Receive, charge: Charge) -> Reply:
        """Store what the request brings. Raises Problem, UnavailableError and ClientDisconnect."""
        try:
            read, document = await _document(visit, receive)
            key = idempotency.key_of(visit)
        except Problem:
            await charge(1)
            raise
        if not isinstance(document, list):
            await charge(1)
            return await self.store(_identified(read(document), key), visit, caller)
        if key is not None:
            await charge(1)
            raise Problem(400, "Idempotency-Key names one event; the events of a batch have ids of their own.")
        if len(document) > MAX_BATCH:
            await charge(1)
            raise Problem(413, f"A batch holds {MAX_BATCH} events at most; this one has {len(document)}.")
        await charge(max(1, len(document)))
        return await self._batch(document, read, visit, caller)

    async def store(self, sent: Sent, visit: Visit, caller: str) -> Reply:
        """Store one event, whatever request it was made from. Raises Problem."""
        posting = admit(sent, caller, visit.correlation, now())
        self._backlog_allows(posting)
        return Reply(202, self._accepted(posting, await self.keep(posting, visit)), {})

    async def keep(self, posting: Posting, visit: Visit) -> bool:
        """Store an event that is whole; whether it was there already. Raises Problem."""
        event = posting.event
        visit.told |= {"event_id": event.id, "event_type": event.type}
        (answer,) = await self._publisher.publish_all([posting])
        if (problem := _problem(posting, answer)) is not None:
            raise problem
        visit.told["duplicate"] = duplicate = answer is Outcome.DUPLICATE
        return duplicate

    async def _batch(self, documents: list[Any], read: Callable[[Any], Sent], visit: Visit, caller: str) -> Reply:
        results: list[Any] = [None] * len(documents)
        async with self._turn:
            postings = await self._admitted(documents, read, visit, caller, results)
            stored = self._publisher.put_all(list(postings.values()))
        answers = await stored
        for (place, posting), answer in zip(postings.items(), answers, strict=True):
            why = _problem(posting, answer)
            results[place] = self._accepted(posting, answer is Outcome.DUPLICATE) if why is None else _refused(why)
        return _summed_up(results, visit)

    async def _admitted(
        self, documents: list[Any], read: Callable[[Any], Sent], visit: Visit, caller: str, results: list[Any]
    ) -> dict[int, Posting]:
        """Those events of a batch that may be stored, by their place; what is refused is written into the results."""
        postings, moment = {}, now()
        for place, document in enumerate(documents):
            if place and place % SLICE == 0:
                await asyncio.sleep(0)
            try:
                posting = admit(read(document), caller, visit.correlation, moment)
                self._backlog_allows(posting)
                postings[place] = posting
            except Problem as problem:
                results[place] = _refused(problem)
        return postings

    def _backlog_allows(self, posting: Posting) -> None:
        if self._backlog.behind(posting.event.type):
            raise unavailable(BEHIND, id=posting.event.id, source=posting.event.source)

    def _accepted(self, posting: Posting, duplicate: bool) -> dict[str, Any]:
        event = posting.event
        url = f"{self._url}/v1/events/"
        if posting.fresh:
            url += event.id
        else:  # an id that the caller chose may be another source's too
            url += f"{quote(event.id, safe='')}?source={quote(event.source, safe='')}"
        accepted: dict[str, Any] = {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "status": "accepted",
            "duplicate": duplicate,
            "status_url": url,
        }
        if event.subject is not None:
            accepted["subject"] = event.subject
        return accepted


async def _document(visit: Visit, receive: Receive) -> tuple[Callable[[Any], Sent], Any]:
    """What the body holds, and what makes an event of it, or of each one if it is a list. Raises Problem."""
    kind = bodies.media_type(visit)
    if kind not in {JSON, STRUCTURED, BATCH}:
        raise Problem(415, f"Send {MEDIA_TYPES}, in UTF-8.", headers={"Accept": MEDIA_TYPES})
    document = bodies.parse(await bodies.read(visit, receive, batches=kind != STRUCTURED))
    if kind == JSON and b"ce-specversion" in visit.headers:
        if isinstance(document, list):
            raise Problem(422, "The binary mode holds one event, whose data is an object.", errors=[_NO_LIST])
        return partial(cloudevents.binary, visit.fields), document
    if (kind == BATCH) != isinstance(document, list) and kind != JSON:
        wanted = "a list of events" if kind == BATCH else "one event"
        raise Problem(
            422, f"The body of {kind.decode()} is {wanted}.", errors=[{"detail": f"must be {wanted}", "pointer": ""}]
        )
    return cloudevents.plain if kind == JSON else cloudevents.structured, document


_NO_LIST = {"detail": "must be a JSON object", "pointer": ""}


def _identified(sent: Sent, key: str | None) -> Sent:
    if key is None:
        return sent
    given = idempotency.identity(sent.posted.id, key)
    return sent._replace(posted=sent.posted.model_copy(update={"id": given}))


def _problem(posting: Posting, answer: Answer) -> Problem | None:
    """Why the event is not accepted, or None. Its id is told: it may be stored, and is the one to repeat."""
    if answer is Outcome.STORED:
        return None
    event = posting.event
    if answer is Outcome.FULL:
        return unavailable(FULL, id=event.id, source=event.source)
    if answer is Outcome.CONFLICT:
        return Problem(422, "This id was used for an event with other content.", errors=[_REUSED])
    if isinstance(answer, UnavailableError):
        return unavailable(UNCONFIRMED, id=event.id, source=event.source)
    if isinstance(answer, MessageTooLargeError):
        return Problem(413, f"{answer}.")
    return None


_REUSED = {"detail": "Use a fresh id, or send the same content.", "pointer": "/id"}


def _refused(problem: Problem) -> dict[str, Any]:
    return {"status": "refused", "problem": problem.document()}


def _summed_up(results: list[Any], visit: Visit) -> Reply:
    """202 when all are accepted, 503 when the store took none, else 207 with each one's own."""
    refused = [result["problem"]["status"] for result in results if result["status"] == "refused"]
    visit.told |= {"accepted": len(results) - len(refused), "refused": len(refused)}
    retry = {"Retry-After": str(RETRY_AFTER_S)} if UNAVAILABLE in refused else {}
    if results and refused == [UNAVAILABLE] * len(results):
        raise unavailable(UNCONFIRMED, results=results)
    return Reply(207 if refused else 202, results, retry)


def encode(reply: Reply) -> bytes:
    """The body of an answer."""
    return orjson.dumps(reply.document)
