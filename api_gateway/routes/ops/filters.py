"""Which dead letters: the same fields in the query of a listing and in the body of a bulk operation."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from workers.durations import DURATION, since_ms
from workers.operations import Filter

MAX_TEXT = 200


def _readable(text: str) -> str:
    since_ms(text)
    return text


Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Since = Annotated[
    str,
    AfterValidator(_readable),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": f"^{DURATION}$"}, {"type": "string", "format": "date-time"}],
            "description": "Only those that died in the last 30m, 12h, 7d, or since a moment",
        }
    ),
]


class Wanted(BaseModel):
    """Which dead letters; what is absent does not narrow them."""

    model_config = ConfigDict(extra="forbid")

    queue: Text | None = None
    actor: Text | None = None
    error: Annotated[Text | None, Field(description="What stands in the last error")] = None
    reason: Annotated[Text | None, Field(description="Why it died", examples=["failed", "permanent"])] = None
    fingerprint: Annotated[Text | None, Field(description="What letters of one cause have in common")] = None
    since: Since | None = None

    @property
    def narrowed(self) -> bool:
        """Whether anything narrows them."""
        return any(getattr(self, name) is not None for name in Wanted.model_fields)

    def filter(self) -> Filter:
        """As the operator API takes it."""
        since = since_ms(self.since) if self.since else 0
        return Filter(self.queue, self.actor, self.reason, self.fingerprint, self.error, since)
