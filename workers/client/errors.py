"""What can go wrong for a service that publishes.

LunaError
└── ClientError
    ├── InvalidEventError  a ValueError: it cannot be sent at all, and nothing was sent
    ├── Refused            the gateway said no, and would say it again
    ├── Unavailable        no answer that counts before the deadline; safe to repeat under `id`
    ├── BufferFullError    no room in the buffer or the spool within the time given
    └── SpoolError         the spool's file cannot be used
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.errors import LunaError

NOT_ABOUT_THE_EVENT = frozenset({401, 403, 404, 405, 407})
"""Refusals of the caller or of the address: other events meet them too, and this one may pass once that is mended."""


class ClientError(LunaError):
    """The root of all errors that the client raises on purpose."""


class InvalidEventError(ClientError, ValueError):
    """The event cannot be put on the wire: its data is not JSON, or it is larger than the gateway takes."""


class BufferFullError(ClientError):
    """Events come faster than they can be sent, or the gateway is away for too long."""


class SpoolError(ClientError):
    """The spool cannot be opened or written; the text says why."""


class Refused(ClientError):  # noqa: N818 a result of `publish_many` too, beside Accepted
    """The gateway refused for good. `problem` is its problem document, `errors` name fields by JSON Pointer."""

    def __init__(self, status: int, problem: Mapping[str, Any], *, id: str | None = None) -> None:
        self.status = status
        self.problem = dict(problem)
        self.id = id
        super().__init__(str(self))

    @property
    def detail(self) -> str:
        """What the gateway says is wrong."""
        return str(self.problem.get("detail") or self.problem.get("title") or "no reason given")

    @property
    def errors(self) -> list[dict[str, Any]]:
        """One `{"detail", "pointer"}` for each wrong field."""
        errors = self.problem.get("errors")
        return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []

    @property
    def about_event(self) -> bool:
        """Whether the event itself is at fault, not the token or the address."""
        return self.status >= 400 and self.status not in NOT_ABOUT_THE_EVENT  # noqa: PLR2004 below are redirects

    def __str__(self) -> str:
        places = "".join(f"; {error.get('pointer') or '/'}: {error.get('detail')}" for error in self.errors)
        return f"{self.status}: {self.detail}{places}"


class Unavailable(ClientError):  # noqa: N818 a result of `publish_many` too, beside Accepted
    """The gateway could not be reached, or could not promise, before the deadline.

    The event may be stored or not: send it again under the same `id`. `status` is the gateway's answer, if there was
    one, and `retry_after` the seconds that it asked for.
    """

    def __init__(
        self, reason: str, *, id: str | None = None, status: int | None = None, retry_after: float | None = None
    ) -> None:
        again = f"; it is safe to repeat under the id {id}" if id else ""
        super().__init__(f"{reason}{again}")
        self.reason = reason
        self.id = id
        self.status = status
        self.retry_after = retry_after
