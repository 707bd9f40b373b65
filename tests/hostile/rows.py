"""A row of the tables: a request to the gateway, and how the standards want it answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.gateway import ADA

Headers = tuple[tuple[bytes, bytes], ...]

TOKEN: tuple[bytes, bytes] = (b"authorization", ADA["Authorization"].encode())
JSON = (b"content-type", b"application/json")
STRUCTURED = (b"content-type", b"application/cloudevents+json")
BATCH = (b"content-type", b"application/cloudevents-batch+json")

DATA: dict[str, Any] = {"email": "ada@example.com", "name": "Ada Lovelace"}
PLAIN: dict[str, Any] = {"type": "user.signed_up", "data": DATA}
CLOUD_EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "user.signed_up",
    "data": DATA,
}


def brief(value: Any) -> str:
    """A value as it stands in the name of a row."""
    text = repr(value)
    return text if len(text) < 60 else f"{text[:20]}…{text[-12:]} ({len(text)})"


ABSENT: Any = object()
"""In place of a value: the member is left out."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is sent, which statuses are right for it, and the JSON Pointer of the field to blame, where one is named.

    Where 202 is right and given, one event is stored; else none is.
    """

    name: str
    right: tuple[int, ...]
    method: str = "POST"
    path: str = "/v1/events"
    headers: Headers = (TOKEN, JSON)
    body: bytes = b""
    pointer: str | None = None

    def __str__(self) -> str:
        return self.name


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def plain(title: str, /, *right: int, pointer: str | None = None, **members: Any) -> Row:
    """A plain event that differs in these members."""
    return Row(name=title, right=right, body=json_bytes(_changed(PLAIN, members)), pointer=pointer)


def structured(title: str, /, *right: int, pointer: str | None = None, **members: Any) -> Row:
    """A CloudEvent in structured mode that differs in these members."""
    body = json_bytes(_changed(CLOUD_EVENT, members))
    return Row(name=title, right=right, headers=(TOKEN, STRUCTURED), body=body, pointer=pointer)


def binary(title: str, /, *right: int, pointer: str | None = None, body: bytes = json_bytes(DATA), **ce: Any) -> Row:
    """A CloudEvent in binary mode that differs in these attributes; their values are bytes as on the wire."""
    attributes = _changed({"specversion": b"1.0", "id": b"1", "source": b"/shop", "type": b"user.signed_up"}, ce)
    headers = tuple((f"ce-{attribute}".encode(), value) for attribute, value in attributes.items())
    return Row(name=title, right=right, headers=(TOKEN, JSON, *headers), body=body, pointer=pointer)


def payload(type_: str, title: str, /, *right: int, pointer: str | None = None, **data: Any) -> Row:
    """A plain event of this type with this data."""
    return plain(f"{type_}: {title}", *right, pointer=pointer, type=type_, data=data)


def header(name: str, value: bytes | str, *right: int, title: str = "") -> Row:
    """A good event under one more header, or under another value of one."""
    pair = (name.lower().encode(), value if isinstance(value, bytes) else value.encode())
    others = tuple(each for each in (TOKEN, JSON) if each[0] != pair[0])
    title = title or f"{name}: {brief(pair[1])}"
    return Row(name=title, right=right, headers=(*others, pair), body=json_bytes(PLAIN))


def _changed(whole: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**whole, **members}.items() if value is not ABSENT}
