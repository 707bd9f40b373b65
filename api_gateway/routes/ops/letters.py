"""Dead letters as an operator reads them: the summary of a listing, and all there is to know of one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from api_gateway.routes.ops.access import moment
from workers.operations import Found, event_of


class LastError(BaseModel):
    """What the last attempt ended with."""

    type: str
    message: str


class Summary(BaseModel):
    """One dead letter in a listing."""

    id: str
    queue: str
    actor: str
    reason: str
    fingerprint: str = Field(description="Letters with the same one probably have one cause")
    died_at: str
    event_id: str | None = Field(description="The event it was to bring, if it was one")
    event_type: str | None
    attempts: int
    last_error: LastError | None


class LettersPage(BaseModel):
    """Dead letters, newest first. `next` is the cursor of the next page, null on the last."""

    items: list[Summary]
    next: str | None


class FailedAttempt(BaseModel):
    """One run that failed. The traceback is shown here and nowhere else."""

    number: int
    started_at: str
    duration_ms: float | None
    worker: str
    type: str
    message: str
    traceback: str


class DeadLetter(BaseModel):
    """One dead letter: its message, and every attempt with its error."""

    id: str
    queue: str
    actor: str
    reason: str
    fingerprint: str
    died_at: str
    event: dict[str, Any] | None = Field(description="The event that it was to bring, with its data")
    args: list[Any]
    kwargs: dict[str, Any] = Field(description="The arguments of a message that brings no event")
    original: dict[str, Any] | None = Field(description="What the data was before somebody changed it")
    raw: str | None = Field(description="The message in base64, where JSON cannot hold it")
    attempts: list[FailedAttempt]


def summary(found: Found) -> Summary:
    """What a listing tells of a letter."""
    event, attempts = event_of(found.letter), found.letter.body["attempts"]
    return Summary(
        **_names(found),
        event_id=str(event.id) if event else None,
        event_type=str(event.type) if event else None,
        attempts=len(attempts),
        last_error=LastError(type=attempts[-1]["type"], message=attempts[-1]["message"]) if attempts else None,
    )


def whole(found: Found) -> DeadLetter:
    """All there is to know of a letter."""
    message, event = found.letter.body["message"], event_of(found.letter)
    edited = message["options"].get("edited")
    return DeadLetter(
        **_names(found),
        event=event.to_dict() if event else None,
        args=message["args"],
        kwargs={} if event else message["kwargs"],
        original=edited.get("original") if isinstance(edited, dict) else None,
        raw=found.letter.body.get("raw"),
        attempts=[_attempt(attempt) for attempt in found.letter.body["attempts"]],
    )


def _names(found: Found) -> dict[str, Any]:
    letter = found.letter
    names = {name: getattr(letter, name) for name in ("id", "queue", "actor", "reason", "fingerprint")}
    return {**names, "died_at": moment(found.died_ms)}


def _attempt(record: dict[str, Any]) -> FailedAttempt:
    names = {name: record[name] for name in ("number", "worker", "type", "message", "traceback")}
    return FailedAttempt(**names, started_at=moment(record["at"]), duration_ms=record["ms"])
