"""Admission: from a posted event to one that may be stored, or a problem that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from actors.events import CONTRACTS
from api_gateway.cloudevents import Places, PostedEvent, Sent
from api_gateway.problems import Problem, invalid
from workers.contract import Contract
from workers.event import INTERNAL_SOURCE, Event, derived_id, new_id, timestamp
from workers.queue.publisher import Posting, fingerprint_of

CALLERS = "/callers/"
"""Begins the source of an event that comes without one; a caller may not speak in another's name."""

OUTSIDE: Mapping[str, type[Contract]] = {name: kind for name, kind in CONTRACTS.items() if kind.external}
"""The events that may be posted."""


def admit(sent: Sent, caller: str, correlation: str, now: str) -> Posting:
    """The completed event, held against its contract. `caller` is the subject that posts it.

    `now` is its time if it comes without one. Raises Problem 422.
    """
    posted, places = sent.posted, sent.places
    contract = OUTSIDE.get(posted.type)
    if contract is None:
        known = ", ".join(sorted(OUTSIDE))
        raise _refused(places, "type", f"There is no such event to post. These are: {known}.")
    identifier, source = posted.id or new_id(), _source(posted, places, caller)
    data = _complete(posted.data, contract, f"{source}\n{identifier}", places)
    event = Event(
        id=identifier,
        source=source,
        type=posted.type,
        data=data,
        caller=caller,
        time=timestamp(posted.time) if posted.time else now,
        subject=posted.subject or data.get("user_id"),
        correlation=correlation,
        extensions=sent.extensions,
    )
    return Posting(event, fingerprint_of(posted.type, posted.subject, posted.data), fresh=posted.id is None)


def _source(posted: PostedEvent, places: Places, caller: str) -> str:
    own = f"{CALLERS}{caller}"
    source = posted.source
    if source is None or source == own:
        return own
    if source.startswith(INTERNAL_SOURCE):
        raise _refused(places, "source", f"Sources that begin with {INTERNAL_SOURCE} are Luna's own.")
    if source.startswith(CALLERS):
        raise _refused(places, "source", f"Sources that begin with {CALLERS} name the caller; yours is {own}.")
    return source


def _complete(data: dict[str, Any], contract: type[Contract], name: str, places: Places) -> dict[str, Any]:
    """The validated data; an id that the caller left out is derived from source and id of the event."""
    if contract.derived is not None and data.get(contract.derived) is None:
        data = {**data, contract.derived: derived_id(name)}
    try:
        return contract.checked(data)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), data, prefix=places.data) from None


def _refused(places: Places, attribute: str, detail: str) -> Problem:
    error = {"detail": detail, **places.attribute(attribute)}
    return Problem(422, "The event is not one that may be posted.", errors=[error])
