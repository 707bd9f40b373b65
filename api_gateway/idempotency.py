"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): it stands for the id of an event."""

from __future__ import annotations

import re
from typing import Any

from api_gateway.problems import Problem
from api_gateway.visit import Visit

FIELD = b"idempotency-key"
MAX_CHARS = 200

PARAMETER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Stands for the event's id: a string in double quotes (RFC 9651). It is the caller's own, and "
    "forgotten after 24 hours. Not for batches.",
    "schema": {"type": "string", "pattern": r'^"[!#-[\]-~]{1,200}"$'},
}
"""It, as OpenAPI describes it."""

_STRING = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')  # RFC 9651, 3.3.3
_ESCAPED = re.compile(r"\\([\"\\])")


def key_of(visit: Visit) -> str | None:
    """The key that the caller gives, or None. Raises Problem 400 for what is no RFC 9651 String fit to be an id."""
    given = visit.headers.get(FIELD)
    if given is None:
        return None
    found = _STRING.fullmatch(given.strip(b" \t"))
    key = _ESCAPED.sub(r"\1", found[1].decode()) if found else ""
    if not key or len(key) > MAX_CHARS or " " in key or visit.repeated(FIELD):
        raise Problem(
            400,
            f"Idempotency-Key is a string in double quotes (RFC 9651) of 1 to {MAX_CHARS} printable characters without "
            'a space, such as "8e03978e-40d5-43dd-bc93-6894a57f9324". What it does is described at /docs.',
        )
    return key


def identity(given: str | None, key: str | None) -> str | None:
    """The event's id, as its body or the key gives it. Raises Problem 400 when they differ."""
    if given is not None and key is not None and given != key:
        raise Problem(400, "Idempotency-Key stands for the event's id, and the body has another one.")
    return given if key is None else key
