"""Envelopes that CloudEvents 1.0 or the interface refuse: members of wrong types, hostile values, all three modes."""

from __future__ import annotations

from typing import Any

import orjson

from actors.events import CONTRACTS
from tests.hostile.rows import (
    ABSENT,
    BATCH,
    CLOUD_EVENT,
    DATA,
    JSON,
    PLAIN,
    TOKEN,
    Row,
    binary,
    brief,
    plain,
    structured,
)

NOT_STRINGS: dict[str, Any] = {"true": True, "a number": 1.5, "a list": ["x"], "an object": {"x": 1}}

WRONG_TYPES = [
    *(
        plain(f"plain: {member} is {kind}", 422, pointer=f"/{member}", **{member: value})
        for member in ("type", "id", "source", "subject", "time")
        for kind, value in NOT_STRINGS.items()
    ),
    *(
        plain(f"plain: data is {kind}", 422, pointer="/data", data=value)
        for kind, value in {"null": None, "true": True, "a number": 1, "a string": "{}", "a list": [DATA]}.items()
    ),
    *(
        structured(f"structured: {member} is {kind}", 422, pointer=f"/{member}", **{member: value})
        for member in ("specversion", "type", "id", "source", "subject", "time", "datacontenttype", "dataschema")
        for kind, value in NOT_STRINGS.items()
    ),
    *(
        structured(f"structured: {member} is null", 422, pointer=f"/{member}", **{member: None})
        for member in ("specversion", "type", "id", "source")  # null is as if left out, and these are required
    ),
    *(
        structured(f"structured: without {member}", 422, pointer=f"/{member}", **{member: ABSENT})
        for member in ("specversion", "type", "id", "source")
    ),
    *(plain(f"plain: without {member}", 422, pointer=f"/{member}", **{member: ABSENT}) for member in ("type", "data")),
    plain("plain: an unknown member", 422, pointer="/extra", extra=1),
    plain("plain: a member of another case", 422, pointer="/Type", Type="user.signed_up"),
    plain("plain: a member called __proto__", 422, pointer="/__proto__", __proto__={"type": "x"}),
    plain("plain: a member with a slash and a tilde", 422, pointer="/a~1b~0c", **{"a/b~c": 1}),
    plain("plain: a member without a name", 422, pointer="/", **{"": 1}),
]

TYPES = [
    *(plain(f"type: {name} is not from outside", 422, pointer="/type", type=name)
      for name, contract in CONTRACTS.items() if not contract.external),
    *(
        plain(f"type: {brief(name)}", 422, pointer="/type", type=name)
        for name in (
            *("", " ", "user", "user.", "user.signed_up ", " user.signed_up", "USER.SIGNED_UP", "user.signed_up\0"),
            *("user.signed_up\n", "user.signed_up'--", "../../etc/passwd", "${jndi:ldap://x}", "{{7*7}}", "%s%s%n"),
            *("__class__", "х" * 128, "x" * 129, "x" * 100_000, "user․signed_up"),
        )
    ),
]  # fmt: skip

IDS = [
    plain(f"id: {brief(value)}", 422, pointer="/id", id=value)
    for value in (
        "",
        " ",
        "a b",
        "a\tb",
        "a\nb",
        "a\r\nSet-Cookie: x",
        "\0",
        "a\0",
        "é",
        "\u202e1",
        "x" * 201,
        "x" * 90_000,
    )
]

SOURCES = [
    *(
        plain(f"source: {brief(value)}", 422, pointer="/source", source=value)
        for value in (
            *(
                "",
                " ",
                "/a b",
                "/a\n",
                "/a\0",
                "/é",
                "/" + "x" * 200,
                "/<script>",
                '/"',
                "/a\\b",
                "/{a}",
                "/a|b",
                "/a^b",
            ),
            *("/%", "/%zz", "/%2", "http://[::1", "//a:b:c/", "1:", ":"),
            *("/luna/", "/luna/scheduler", "/luna/actors/users.create", "/callers/bob", "/callers/", "/callers/ada/x"),
        )
    ),
]

SUBJECTS = [
    plain(f"subject: {brief(value)}", 422, pointer="/subject", subject=value)
    for value in ("", "x" * 201, "a\0b", "a\nb", "\x1b[31m", "x" * 90_000)
]

TIMES = [
    plain(f"time: {brief(value)}", 422, pointer="/time", time=value)
    for value in (
        *("", " ", "now", "yesterday", "1700000000", "1700000000.5", "P1D", "12:00:00Z", "2026-01-01"),
        *("2026-01-01T00:00:00", "2026-01-01T00:00Z", "2026-01-01T00Z", "20260101T000000Z", "2026-W01-1T00:00:00Z"),
        *("2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z"),
        *("2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00+25:00", "2026-01-01T00:00:00+00:60"),
        *("2026-01-01T00:00:00 Z", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", "2026-01-01T00:00:00Zulu"),
        *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "10000-01-01T00:00:00Z"),
        *("-2026-01-01T00:00:00Z", "２０２６-01-01T00:00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z"),
        *("Thu, 01 Jan 2026 00:00:00 GMT", "2026-01-01T00:00:00[Europe/Berlin]", "0x7fffffff", "1e10", "Infinity"),
    )
]

STRUCTURED_MODE = [
    *(
        structured(f"specversion: {brief(value)}", 422, pointer="/specversion", specversion=value)
        for value in ("", "1", "0.3", "1.1", "2.0", "1.0 ", "v1.0", "1.0\0", "１.0")
    ),
    *(
        structured(f"extension: named {brief(name)}", 422, **{name: "x"})
        for name in ("Upper", "with-dash", "with_underscore", "", "ünï", "a b", "a\0", "__proto__", "a.b", "x" * 300)
    ),
    *(
        structured(f"extension: {kind}", 422, pointer="/myext", myext=value)
        for kind, value in {
            "an object": {"a": 1},
            "a list": [1],
            "a fraction": 1.5,
            "an integer beyond 32 bits": 2**40,
            "a NUL": "a\0b",
            "a line break": "a\nb",
            "a noncharacter": "a\uffff",
            "very long": "x" * 100_000,
        }.items()
    ),
    *(structured(f"extension: {name} is Luna's own", 422, pointer=f"/{name}", **{name: "x"})
      for name in ("lunacaller", "correlationid")),
    structured("extensions: a thousand", 422, **{f"ext{number}": number for number in range(1000)}),
    structured("data_base64 beside data", 422, pointer="/data_base64", data_base64="e30="),
    structured("data_base64 alone", 422, data=ABSENT, data_base64="e30="),
    structured("data_base64 that is none", 422, data=ABSENT, data_base64="%%%"),
    structured("no data", 422, data=ABSENT),
    *(
        structured(f"datacontenttype: {brief(value)}", 415, 422, datacontenttype=value)
        for value in ("", "text/plain", "application/xml", "json", "application/json; charset=utf-16", "application/json\0")
    ),
    *(
        structured(f"dataschema: {brief(value)}", 422, pointer="/dataschema", dataschema=value)
        for value in ("", "a b", "http://[::1", "/relative")
    ),
]  # fmt: skip

BINARY_MODE = [
    *(binary(f"binary: without {name}", 400, 422, **{name: ABSENT}) for name in ("id", "source", "type")),
    *(binary(f"binary: empty {name}", 400, 422, **{name: b""}) for name in ("specversion", "id", "source", "type")),
    *(
        binary(f"binary: specversion {brief(value)}", 400, 422, specversion=value)
        for value in (b"0.3", b"1", b"2.0", b"1.0, 1.0", b"%31.0%00")
    ),
    *(
        binary(f"binary: id {brief(value)}", 400, 422, id=value)
        for value in (
            b"%00",
            b"%0d%0aSet-Cookie:x",
            b"%",
            b"%4",
            b"%zz",
            b"a%20b",
            b"%C3",
            b"%ED%A0%80",
            b"\xe9",
            b"x" * 201,
        )
    ),
    *(
        binary(f"binary: subject {brief(value)}", 400, 422, subject=value)
        for value in (
            b"",
            b"%00",
            b"%C0%AF",
            b"%ED%A0%80",
            b"%FF",
            b"%",
            b"%0A",
            b"\xff\xfe",
            b"x" * 201,
            b"%F4%90%80%80",
        )
    ),
    *(
        binary(f"binary: time {brief(value)}", 400, 422, time=value)
        for value in (b"", b"now", b"1700000000", b"2026-01-01")
    ),
    *(
        binary(f"binary: source {brief(value)}", 400, 422, source=value)
        for value in (b"/luna/x", b"/%6cuna/x", b"/callers/bob", b"%00", b"a b")
    ),
    *(
        binary(f"binary: an attribute named {brief(name)}", 400, 422, **{name: b"x"})
        for name in ("", "with-dash", "with_underscore", "data", "data_base64", "lunacaller", "correlationid")
    ),
    binary("binary: an attribute twice", 400, 422, id=b"1", ID=b"2"),
    binary("binary: type not from outside", 422, type=b"user.created"),
    binary("binary: no body", 400, body=b""),
    binary("binary: NaN", 400, body=b"NaN"),
    binary("binary: a list", 422, body=b"[]"),
    binary("binary: a whole event as data", 422, body=orjson.dumps(PLAIN)),
    binary("binary: half a body", 400, body=b'{"email": '),
    binary("binary: 1,000 attributes", 400, 422, 431, **{f"x{number}": b"1" for number in range(1_000)}),
    binary("binary: an attribute of 100,000 bytes", 400, 422, 431, myext=b"x" * 100_000),
]

GOOD = orjson.dumps(CLOUD_EVENT)

BATCHES = [
    *(
        Row(name=f"batch: {name}", right=right, headers=(TOKEN, BATCH), body=body)
        for name, right, body in (
            ("an object", (400, 422), GOOD),
            ("null", (400, 422), b"null"),
            ("a string", (400, 422), b'"[]"'),
            ("1,001 events", (413, 422), b"[" + b",".join([b"{}"] * 1001) + b"]"),
            ("100,000 nothings", (413, 422), b"[" + b",".join([b"0"] * 100_000) + b"]"),
            ("lists 100,000 deep", (400,), b"[" * 100_000 + b"]" * 100_000),
            ("over 5 MB", (413,), b"[" + b" " * (5 * 1024 * 1024) + b"]"),
            ("trailing garbage", (400,), b"[]x"),
        )
    ),
    *(
        Row(name=f"batch of one: {name}", right=(207, 422), headers=(TOKEN, BATCH), body=body)
        for name, body in (
            ("null", b"[null]"),
            ("a number", b"[1]"),
            ("a list", b"[[]]"),
            ("a batch", b"[[" + GOOD + b"]]"),
            ("an empty object", b"[{}]"),
            ("a plain event", b"[" + orjson.dumps(PLAIN) + b"]"),
            ("no specversion", b"[" + GOOD.replace(b'"specversion":"1.0",', b"") + b"]"),
            ("an internal type", b"[" + GOOD.replace(b"user.signed_up", b"user.created") + b"]"),
            ("an id with a NUL", b"[" + GOOD.replace(b'"id":"1"', b'"id":"\\u0000"') + b"]"),
        )
    ),
    Row(
        name="batch: an Idempotency-Key",
        right=(400,),
        headers=(TOKEN, BATCH, (b"idempotency-key", b'"1"')),
        body=b"[" + GOOD + b"]",
    ),
    Row(
        name="a list: an Idempotency-Key",
        right=(400,),
        headers=(TOKEN, JSON, (b"idempotency-key", b'"1"')),
        body=b"[" + orjson.dumps(PLAIN) + b"]",
    ),
    Row(name="a list: of one list", right=(207, 422), body=b"[[]]"),
    Row(name="a list: 1,001 events", right=(413, 422), body=b"[" + b",".join([b"{}"] * 1001) + b"]"),
]

ROWS = [*WRONG_TYPES, *TYPES, *IDS, *SOURCES, *SUBJECTS, *TIMES, *STRUCTURED_MODE, *BINARY_MODE, *BATCHES]
