"""Unusual requests that the standards want taken: a gateway that refuses all would fail here."""

from __future__ import annotations

import orjson

from tests.hostile.rows import (
    BATCH,
    CLOUD_EVENT,
    DATA,
    JSON,
    PLAIN,
    TOKEN,
    Row,
    binary,
    header,
    payload,
    plain,
    structured,
)

PLAIN_EVENTS = [
    plain("the plainest event", 202),
    plain("members that are null are absent", 202, id=None, source=None, subject=None, time=None),
    plain("an id of 200 signs", 202, id="~" * 200),
    plain("an id that looks like a path", 202, id="../../etc/passwd"),
    plain("an id that looks like SQL", 202, id="';DROP/**/TABLE/**/users;--"),
    plain("a source that is a URN", 202, source="urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"),
    plain("a source that is a URL", 202, source="https://shop.example.com/a?b=c&d=%20#e"),
    plain("a source that is a word", 202, source="shop"),
    plain("one's own source", 202, source="/callers/ada"),
    plain("a subject in another script", 202, subject="пользователь 1"),
    plain("a time with an offset and nanoseconds", 202, time="2026-01-01T00:00:00.123456789+14:00"),
    plain("a time in lower case", 202, time="2026-01-01t00:00:00z"),
    plain("a time long ago", 202, time="0001-01-01T00:00:00Z"),
    payload("user.signed_up", "a name in many scripts", 202, email="ada@example.com", name="Zoë 王 محمد 👩‍🚀"),
    payload("user.signed_up", "an address with a tag", 202, email="ada+tag@example.co.uk", name="A"),
    payload("user.signed_up", "an address in Unicode", 202, email="данил@пример.рф", name="A"),
    payload(
        "user.signed_up", "50 preferences", 202, **DATA, preferences={f"p{number}": number for number in range(50)}
    ),
    payload(
        "user.signed_up",
        "numbers of all sizes",
        202,
        **DATA,
        preferences={"a": -(2**63), "b": 2**53, "c": 1e308, "d": -0.0},
    ),
    payload("user.signed_up", "a number beyond 64 bits", 202, 422, **DATA, preferences={"a": 2**70}),
    payload("cache.invalidation_requested", "a tag", 202, tags=["user:1"]),
    Row(
        name="escapes of all kinds", right=(202,), body=orjson.dumps(PLAIN).replace(b"Ada", b"\\u0041\\ud83d\\ude00\\/")
    ),
    Row(name="white space around", right=(202,), body=b"\r\n\t " + orjson.dumps(PLAIN) + b" \n\n"),
    Row(name="256 kB", right=(202,), body=orjson.dumps(PLAIN).ljust(256 * 1024)),
]

CLOUD_EVENTS = [
    structured("a CloudEvent", 202),
    structured("extensions", 202, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", sampled=True, count=1),
    structured("datacontenttype with a parameter", 202, datacontenttype="application/json; charset=utf-8"),
    structured("a dataschema", 202, dataschema="https://example.com/schema"),
    structured("a subject and a time that are null", 202, subject=None, time=None),
    binary("a CloudEvent in binary mode", 202),
    binary("binary: percent-encoded", 202, subject=b"Euro%20%E2%82%AC%20%F0%9F%98%80", source=b"/%73hop"),
    binary("binary: extensions", 202, traceparent=b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    Row(name="a batch of one", right=(202,), headers=(TOKEN, BATCH), body=b"[" + orjson.dumps(CLOUD_EVENT) + b"]"),
    Row(name="a list of one", right=(202,), body=b"[" + orjson.dumps(PLAIN) + b"]"),
    Row(name="structured, with a charset", right=(202,), body=orjson.dumps(CLOUD_EVENT),
        headers=(TOKEN, (b"content-type", b"application/cloudevents+json; charset=UTF-8"))),
    Row(name="structured, in capitals", right=(202,), body=orjson.dumps(CLOUD_EVENT),
        headers=(TOKEN, (b"content-type", b"Application/CloudEvents+JSON"))),
]  # fmt: skip

HEADERS = [
    *(
        header("Content-Type", value, 202)
        for value in ("application/json;charset=utf-8", 'Application/JSON ; Charset="UTF-8"', "application/json;", "application/json; x=y")
    ),
    header("Content-Encoding", "identity", 202),
    header("Authorization", b"bearer  " + TOKEN[1][7:], 202, title="a scheme in lower case, two spaces"),
    header("Authorization", b"BEARER " + TOKEN[1][7:], 202, title="a scheme in capitals"),
    header("Idempotency-Key", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', 202),
    header("Idempotency-Key", '"a\\\\b"', 202),
    Row(name="an Idempotency-Key beside the same id", right=(202,), headers=(TOKEN, JSON, (b"idempotency-key", b'"a"')),
        body=orjson.dumps({**PLAIN, "id": "a"})),
    header("X-Correlation-ID", "x" * 5_000, 202),
    header("X-Correlation-ID", "a\tb; <script>", 202),
    header("X-Forwarded-For", "127.0.0.1, unknown, [::1]:x, ' OR 1=1", 202),
    header("X-Forwarded-Proto", "javascript", 202),
    header("X-HTTP-Method-Override", "DELETE", 202),
    header("X-Original-URL", "/health", 202),
    header("Accept", "text/html;q=0.9, */*;q=x", 202),
    header("Accept-Encoding", "gzip;q=x", 202),
    header("Cookie", "a=b; session=../../x; \x01", 202),
    header("Origin", "https://evil.example.com", 202),
    header("Range", "bytes=0-,0-,0-", 202),
    header("If-None-Match", "*" * 1_000, 202),
    header("Prefer", "respond-async", 202),
    header("User-Agent", "() { :;}; /bin/true", 202),
    header("ce-", "x", 202, 400, 422, title="an attribute without a name and without the others"),
]  # fmt: skip

ROWS = [*PLAIN_EVENTS, *CLOUD_EVENTS, *HEADERS]
