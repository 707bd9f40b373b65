"""Reads with hostile ids and parameters: what is not there is 404, what cannot be is 422, nothing is looked for on disk."""

from __future__ import annotations

from urllib.parse import quote

from tests.gateway import bearer
from tests.hostile.rows import TOKEN, Row, brief

READER = (b"authorization", bearer("ada", "events:read", "users:read", "ops:read")["Authorization"].encode())

IDS = (
    *(
        "..",
        "../..",
        "../../etc/passwd",
        "..%2f..%2fetc",
        "/",
        "//",
        "a/b",
        "\\..\\x",
        ".env",
        "~root",
        "*",
        "?",
        "#",
        "&",
        "%",
    ),
    *(
        "'",
        '"',
        "' OR 1=1 --",
        "1; DROP TABLE users",
        "$ne",
        "{{7*7}}",
        "${jndi:x}",
        "<script>alert(1)</script>",
        "`id`",
        "|id",
    ),
    *("\0", "a\0b", "\n", "a\r\nSet-Cookie: a=b", "\x7f", "\u202e", "\ufeff", "é", "👩‍🚀", "x" * 200, "x" * 5_000),
    *("null", "undefined", "NaN", "-1", "0", "1e400", "[]", "{}", "*" * 50, "KEYS *", "luna:users:stream", "{users}"),
)

BYTES = (b"%00", b"%ff", b"%c0%ae", b"%ed%a0%80", b"%", b"%zz", b"%0", b"%25%30%30", b"%2e%2e%2f")

PARAMETERS = ("", "\0", "\r\nx", "%", "x" * 5_000, "' OR 1=1 --", "../..", "👩‍🚀", "{}", "/callers/bob", "/luna/")


def _get(path: str, *right: int, title: str = "") -> Row:
    return Row(name=f"GET {title or path}", right=right, method="GET", path=path, headers=(READER,))


ROWS = [
    *(_get(f"/v1/events/{quote(value, safe='')}", 404, 405, 422, title=f"event {brief(value)}") for value in IDS),
    *(_get(f"/v1/users/{quote(value, safe='')}", 404, 405, 422, title=f"user {brief(value)}") for value in IDS),
    *(_get(f"/v1/{kind}/{value.decode()}", 404, 422) for kind in ("events", "users") for value in BYTES),
    *(
        _get(f"/v1/events/absent?source={quote(value, safe='')}", 404, 422, title=f"absent event of {brief(value)}")
        for value in PARAMETERS
    ),
    _get("/v1/events/absent?source=a&source=b", 404, 422),
    _get("/v1/events/absent?source[]=a", 404, 422),
    _get("/v1/events/absent?%00=%ff&=&&;=", 404, 422),
    *(
        Row(name=f"{method} {path}", right=(405,), method=method, path=path, headers=(TOKEN,))
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND")
        for path in ("/v1/events/1", "/v1/event-types", "/health/live")
    ),
]
