"""The bodies of the user endpoints: what is not to be set from outside, whatever it is called, and what is no JSON."""

from __future__ import annotations

from tests.gateway import bearer
from tests.hostile.payloads import ADDRESSES, NAMES, PREFERENCES, PRIVILEGED
from tests.hostile.rows import DATA, JSON, Row, brief, json_bytes
from tests.hostile.texts import NO_EVENT, NOT_JSON

USER = "0b0e7a4e-3c1d-4a55-9d57-0a8d4d0a1f11"
WRITER = (b"authorization", bearer("ada", "users:write")["Authorization"].encode())
CALLS = {"POST": "/v1/users", "PATCH": f"/v1/users/{USER}"}
TEXTS = (
    *(
        "nothing",
        "half an event",
        "two events",
        "a byte order mark",
        "UTF-16 with a mark",
        "NaN",
        "a lone high surrogate",
    ),
    *("an overlong slash", "lists 100,000 deep", "a comma at the end of an object", "a form", "XML", "a pickle"),
)
MEDIA_TYPES = (
    b"text/plain",
    b"application/cloudevents+json",
    b"multipart/form-data; boundary=x",
    b"application/json; charset=x",
)


def _row(
    method: str, title: str, *right: int, body: bytes, pointer: str | None = None, media_type: bytes = JSON[1]
) -> Row:
    headers = (WRITER, (b"content-type", media_type))
    return Row(
        name=f"{method} user: {title}",
        right=right,
        method=method,
        path=CALLS[method],
        headers=headers,
        body=body,
        pointer=pointer,
    )


ROWS = [
    row
    for method in CALLS
    for row in (
        *(_row(method, name, 400, body=NOT_JSON[name]) for name in TEXTS),
        *(_row(method, name, 422, body=body, pointer="") for name, body in {**NO_EVENT, "a list": b"[]"}.items()),
        *(_row(method, f"media type {kind.decode()}", 415, body=json_bytes(DATA), media_type=kind) for kind in MEDIA_TYPES),
        *(_row(method, f"sets {brief(name)}", 422, body=json_bytes({**DATA, name: "admin"})) for name in PRIVILEGED),
        *(_row(method, f"email {brief(value)}", 422, body=json_bytes({**DATA, "email": value}), pointer="/email") for value in ADDRESSES),
        *(_row(method, f"name {brief(value)}", 422, body=json_bytes({**DATA, "name": value}), pointer="/name") for value in NAMES),
        *(_row(method, f"preferences: {kind}", 422, body=json_bytes({**DATA, "preferences": value})) for kind, value in PREFERENCES.items()),
        *(_row(method, f"{name} is null", 422, body=json_bytes({**DATA, name: None}), pointer=f"/{name}")
          for name in ("email", "name", "preferences")),
        _row(method, "nothing at all", 422, body=b"{}"),
        _row(method, "over 256 kB", 413, body=json_bytes(DATA).ljust(256 * 1024 + 1)),
    )
]  # fmt: skip

TAKEN = [
    *(_row(method, "a good one", 202, body=json_bytes(DATA)) for method in CALLS),
    _row("PATCH", "a name in a merge patch", 202, body=b'{"name": "Ada"}', media_type=b"application/merge-patch+json"),
]
