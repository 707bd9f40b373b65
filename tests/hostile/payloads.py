"""Data that no contract takes: mass assignment, second recipients, control characters, sizes and depths."""

from __future__ import annotations

from typing import Any

import orjson

from tests.hostile.rows import DATA, PLAIN, Row, brief, payload

USER = "0b0e7a4e-3c1d-4a55-9d57-0a8d4d0a1f11"

PRIVILEGED = (
    *(
        "role",
        "roles",
        "plan",
        "id",
        "is_admin",
        "admin",
        "created_at",
        "updated_at",
        "sign_ins",
        "metrics",
        "password",
    ),
    *("Role", "ROLE", "role ", "rôle", "__proto__", "constructor", "__class__", "email.", "$set", "user_id\0"),
)

ADDRESSES = (
    *("", " ", "ada", "ada@", "@example.com", "ada@@example.com", "ada@example", "ada@localhost", "ada@.com"),
    *("ada@example..com", "ada@-example.com", ".ada@example.com", "ada.@example.com", "a..da@example.com"),
    *("ada@example.com, eve@example.com", "ada@example.com;eve@example.com", "ada@example.com eve@example.com"),
    *("ada@example.com\r\nBcc: eve@example.com", "ada@example.com\n", "ada\r@example.com", "ada@example.com\0"),
    *("Ada <ada@example.com>", "<ada@example.com>", "mailto:ada@example.com", "ada@[127.0.0.1]", "ada@127.0.0.1"),
    *(
        "ada@exa mple.com",
        "ada@example.com\u2028",
        "ada\u200b@example.com",
        "ada@example.com/../x",
        "ada%@example.com@x",
    ),
    *("a@" + "b." * 130 + "com", "a" * 100_000 + "@example.com", "ada@" + "b" * 64 + ".com"),
)

NAMES = ("", " ", "\t", "a\0b", "a\nb", "a\r\nb", "\x1b[31m", "\u202eAda", "\ufeff", "\u0085", "x" * 201, "x" * 200_000)

PREFERENCES: dict[str, Any] = {
    "an object": {"a": {"b": 1}},
    "a list": {"a": [1]},
    "a list instead": [1],
    "a string instead": "{}",
    "51 of them": {str(number): 1 for number in range(51)},
    "a name without letters": {"": 1},
    "a name of 65 letters": {"x" * 65: 1},
    "a name with a NUL": {"a\0": 1},
    "a name with a line break": {"a\n": 1},
    "a string with a NUL": {"a": "b\0c"},
    "a string of 1,001 letters": {"a": "x" * 1001},
}

OTHERS = [
    *(payload("user.signed_up", f"user_id {brief(value)}", 422, pointer="/data/user_id", **DATA, user_id=value)
      for value in ("", "1", 1, True, [], {}, "x" * 36, USER + "0", USER[:-1], f"{USER}\n", "../../" + USER, "' OR 1=1 --")),
    *(payload("user.profile_changed", f"user_id {brief(value)}", 422, pointer="/data/user_id", user_id=value, name="Ada")
      for value in (None, "", "1", 1, [USER], {"$ne": None}, "%00", "0 UNION SELECT 1")),
    payload("user.profile_changed", "nothing changed", 422, user_id=USER),
    payload("user.profile_changed", "all nothings", 422, user_id=USER, name=None, email=None, preferences=None),
    *(payload("email.requested", f"template {brief(value)}", 422, pointer="/data/template", to="a@example.com",
              template=value, params={})
      for value in ("", "../../etc/passwd", "..%2f", "/etc/passwd", "welcome.html", "welcome\0", "Welcome", "{{7*7}}", "x" * 65)),
    *(payload("email.requested", f"to {brief(value)}", 422, pointer="/data/to", to=value, template="welcome", params={})
      for value in ("", "a@example.com,b@example.com", "a@example.com\r\nBcc: b@example.com", "a@example.com\0")),
    payload("email.requested", "to a list", 422, pointer="/data/to", to=["a@example.com"], template="welcome", params={}),
    payload("email.requested", "params with a NUL", 422, to="a@example.com", template="welcome", params={"name": "\0"}),
    *(payload("cache.invalidation_requested", f"tag {brief(value)}", 422, tags=[value])
      for value in ("", "*", "user:*", "user: 1", "User:1", "user:1\n", "user:1\0", "{user}", "luna:users:stream ", "x" * 129)),
    payload("cache.invalidation_requested", "nothing", 422),
    payload("cache.invalidation_requested", "101 tags", 422, pointer="/data/tags", tags=["a"] * 101),
    payload("cache.invalidation_requested", "tags are a string", 422, pointer="/data/tags", tags="users"),
]  # fmt: skip


def _nested(depth: int) -> bytes:
    return orjson.dumps(PLAIN)[:-2] + b',"preferences":{"a":' + b"[" * depth + b"]" * depth + b"}}}"


SIZES = [
    *(Row(name=f"nested {depth} deep", right=(400, 422), body=_nested(depth)) for depth in (10, 100, 900, 5_000, 60_000)),
    Row(name="one byte over 256 kB", right=(413,), body=orjson.dumps(PLAIN).ljust(256 * 1024 + 1)),
    Row(name="10 MB", right=(413,), body=orjson.dumps(PLAIN).ljust(10 * 1024 * 1024)),
    payload("user.signed_up", "10,000 wrong fields", 422, **DATA, **{f"x{number}": 1 for number in range(10_000)}),
    payload("user.signed_up", "a name that is 200,000 letters", 422, pointer="/data/" + "x" * 200_000, **DATA,
            **{"x" * 200_000: 1}),
    payload("user.signed_up", "data in data", 422, data=DATA),
    payload("user.signed_up", "no data at all", 422),
]  # fmt: skip

ROWS = [
    *(payload("user.signed_up", f"sets {brief(name)}", 422, **DATA, **{name: "admin"}) for name in PRIVILEGED),
    *(payload("user.profile_changed", f"sets {brief(name)}", 422, user_id=USER, **{name: "x"}) for name in PRIVILEGED[:11]),
    *(payload("user.signed_up", f"email {brief(value)}", 422, pointer="/data/email", name="A", email=value)
      for value in ADDRESSES),
    *(payload("user.signed_up", f"email is {kind}", 422, pointer="/data/email", name="A", email=value)
      for kind, value in {"null": None, "true": True, "a number": 1, "a list": ["a@example.com"], "an object": {}}.items()),
    *(payload("user.signed_up", f"name {brief(value)}", 422, pointer="/data/name", email=DATA["email"], name=value)
      for value in NAMES),
    *(payload("user.signed_up", f"name is {kind}", 422, pointer="/data/name", email=DATA["email"], name=value)
      for kind, value in {"null": None, "true": True, "a number": 1, "a list": ["Ada"], "an object": {}}.items()),
    *(payload("user.signed_up", f"preferences: {kind}", 422, **DATA, preferences=value)
      for kind, value in PREFERENCES.items()),
    *OTHERS,
    *SIZES,
]  # fmt: skip
