"""One request as the door sees it: who calls, from where, under which correlation id, and what is logged of it."""

from __future__ import annotations

import re
import time
from typing import Any

from starlette.types import Scope

from workers.event import new_id
from workers.security.callers import Caller
from workers.security.limits import Decision

CORRELATION_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

Fields = list[tuple[bytes, bytes]]
Headers = dict[bytes, bytes]


class Visit:
    """A request on its way through the gateway. Routes find it in `request.state.visit`.

    `caller` is None until somebody is known, and where nobody needs to be; `told` are fields of its line in the
    log, `limited` what its limits said. `fields` are all header fields, `headers` the last of each name.
    """

    __slots__ = (
        "address",
        "answered",
        "began",
        "caller",
        "client",
        "correlation",
        "fields",
        "headers",
        "limited",
        "status",
        "told",
    )

    def __init__(self, scope: Scope) -> None:
        self.began = time.perf_counter()
        # not the scope itself, which holds the visit: a cycle would wait for the garbage collector
        self.client: tuple[str, int] | None = scope.get("client")
        self.fields: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: Headers = dict(self.fields)
        given = self.headers.get(b"x-correlation-id", b"")
        self.correlation = given.decode() if CORRELATION_ID.fullmatch(given) else new_id()
        self.address = ""
        self.caller: Caller | None = None
        self.limited: Decision | None = None
        self.status = 0
        self.answered = False
        self.told: dict[str, Any] = {}

    def duration_ms(self) -> float:
        """How long it has been here."""
        return round((time.perf_counter() - self.began) * 1000, 1)

    def repeated(self, *names: bytes) -> bool:
        """Whether one of these fields, which may come once, came more often."""
        return len(self.fields) != len(self.headers) and any(
            sum(field == name for field, _ in self.fields) > 1 for name in names
        )
