"""The outer form of a token: JWS compact serialization (RFC 7515, 3.1) and its JSON, read by the strict rules.

What a lenient reader would mend is refused, so that no two readers can take one token for two (RFC 8725, 3.7): padding
or a second spelling in base64url, a member named twice, NaN and Infinity, anything but UTF-8.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, NamedTuple, NoReturn

from workers.security.callers import InvalidCredentialError

MAX_TOKEN_CHARS = 8192  # checked before anything is decoded: RFC 8725, 3.7

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class Compact(NamedTuple):
    """A token taken apart. Nothing in it is proved yet."""

    header: dict[str, Any]
    payload: bytes
    signed: bytes
    signature: bytes


def read(token: str) -> Compact:
    """Take a token apart. Raises InvalidCredentialError."""
    if len(token) > MAX_TOKEN_CHARS:
        raise InvalidCredentialError("the token is too long")
    form = _FORM.fullmatch(token)
    if form is None:
        raise InvalidCredentialError("the token is not three parts of base64url")
    header, payload, signature = (_decoded(part) for part in form.groups())
    return Compact(json_object(header, "header"), payload, token.rpartition(".")[0].encode(), signature)


def json_object(document: bytes, name: str) -> dict[str, Any]:
    """The JSON object in these bytes. Raises InvalidCredentialError; `name` is what it then calls them."""
    try:
        value = json.loads(document.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):  # the reason could hold a piece of the document
        raise InvalidCredentialError(f"the {name} is not UTF-8 JSON with unique names") from None
    if not isinstance(value, dict):
        raise InvalidCredentialError(f"the {name} is not a JSON object")
    return value


def _decoded(part: str) -> bytes:
    """The bytes of a part; a part whose unused last bits are not zero is a second spelling, and is refused."""
    try:
        whole = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise InvalidCredentialError("a part is not base64url") from None
    if base64.urlsafe_b64encode(whole).rstrip(b"=").decode() != part:
        raise InvalidCredentialError("a part is not canonical base64url")
    return whole


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is named twice")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
