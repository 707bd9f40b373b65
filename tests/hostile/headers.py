"""Headers that are malformed, contradict each other, or try to be believed."""

from __future__ import annotations

import orjson

from tests.hostile.rows import BATCH, DATA, JSON, PLAIN, STRUCTURED, TOKEN, Row, brief, header

GOOD = TOKEN[1].removeprefix(b"Bearer ")
BODY = orjson.dumps(PLAIN)

MEDIA_TYPES = (
    *("", " ", "text/plain", "text/json", "text/html", "application/xml", "application/x-www-form-urlencoded"),
    *("multipart/form-data; boundary=x", "application/jsonp", "application/json-patch+json", "application/x-ndjson"),
    *("application/octet-stream", "application/msgpack", "application/cbor", "application/x-python-pickle", "json"),
    *(
        "application",
        "application/",
        "/json",
        "*/*",
        "application/*",
        "application/json, text/plain",
        "applicationjson",
    ),
    *("application/json/x", "application /json", '"application/json"', "application/json\0", "applicati\xf6n/json"),
    *("application/cloudevents", "application/cloudevents+xml", "application/cloudevents+avro", "x" * 5_000),
    *("application/cloudevents-batch+xml", "application/cloudevents+protobuf", "application/cloudeventsjson"),
    *("application/json; charset=utf-16", "application/json; charset=latin-1", "application/json;charset=utf-7"),
    *("application/cloudevents+json; charset=utf-32", "application/json; charset=x", 'application/json; charset="'),
)

ENCODINGS = (
    "gzip",
    "x-gzip",
    "GZIP",
    "deflate",
    "br",
    "zstd",
    "compress",
    "gzip, identity",
    "identity, gzip",
    "x",
    "aws-chunked",
)

KEYS: tuple[bytes, ...] = (
    *(b"", b" ", b'""', b'"', b'"a', b'a"', b'"a"b', b'"a" "b"', b'"a", "b"', b"'a'", b'"\\x"', b'"a\\"', b'"\x7f"'),
    *(
        '"é"'.encode(),
        b'"\xe9"',
        b'"a\tb"',
        b'"a\0b"',
        b'"a b"',
        b'"' + b"x" * 201 + b'"',
        b'"' + b"x" * 100_000 + b'"',
    ),
    *(b"1", b"1.5", b"?1", b"@1659578233", b":YWJj:", b'("a")', b'a="b"', b'%"a"', b'W/"a"', b'"a";', b'"a";=1'),
)

CREDENTIALS: tuple[bytes, ...] = (
    *(
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"bearer",
        b"Basic YWRhOmFkYQ==",
        b"Digest x",
        b"Negotiate x",
        b"Token " + GOOD,
    ),
    *(
        GOOD,
        b"Bearer" + GOOD,
        b"Bearer:" + GOOD,
        b"Bearer=" + GOOD,
        b"Bearer, " + GOOD,
        b"Bearer " + GOOD + b"," + GOOD,
    ),
    *(b"Bearer " + GOOD + b" x", b"Bearer x " + GOOD, b'Bearer "' + GOOD + b'"', b"Bearer <" + GOOD + b">"),
    *(b"Bearer null", b"Bearer undefined", b"Bearer .", b"Bearer ..", b"Bearer a.b.c", b"Bearer " + b"." * 5000),
    *(
        b"Bearer " + GOOD + b"=",
        b"Bearer " + GOOD[:-1],
        b"Bearer " + GOOD + b"\0",
        b"Bearer \xff\xfe",
        b"Bearer " + b"x" * 9000,
    ),
    *(b"Bearer \xe2\x80\x8b" + GOOD, b"Bearer luna_", b"Bearer luna_a_b", b"Bearer luna__", b"Bearer luna_\xff_\xff"),
)

TWICE = [
    Row(name="two Authorizations", right=(400, 401), headers=(TOKEN, (b"authorization", b"Bearer x"), JSON), body=BODY),
    Row(name="two Authorizations, the first bad", right=(400, 401), headers=((b"authorization", b"Bearer x"), TOKEN, JSON),
        body=BODY),
    Row(name="two Content-Types", right=(400, 415), headers=(TOKEN, JSON, (b"content-type", b"text/plain")), body=BODY),
    Row(name="two Content-Types, the first bad", right=(400, 415),
        headers=(TOKEN, (b"content-type", b"text/plain"), JSON), body=BODY),
    Row(name="two Idempotency-Keys", right=(400,),
        headers=(TOKEN, JSON, (b"idempotency-key", b'"a"'), (b"idempotency-key", b'"b"')), body=BODY),
    Row(name="two ce-ids", right=(400, 422),
        headers=(TOKEN, JSON, (b"ce-specversion", b"1.0"), (b"ce-type", b"user.signed_up"), (b"ce-source", b"/a"),
                 (b"ce-id", b"1"), (b"ce-id", b"2")), body=orjson.dumps(DATA)),
    Row(name="two Content-Encodings", right=(400, 415),
        headers=(TOKEN, JSON, (b"content-encoding", b"identity"), (b"content-encoding", b"gzip")), body=BODY),
]  # fmt: skip

CONTRADICTIONS = [
    Row(name="an Idempotency-Key beside another id", right=(400,), headers=(TOKEN, JSON, (b"idempotency-key", b'"a"')),
        body=orjson.dumps({**PLAIN, "id": "b"})),
    Row(name="binary attributes beside a structured event", right=(400, 422, 202),
        headers=(TOKEN, STRUCTURED, (b"ce-specversion", b"1.0"), (b"ce-id", b"2"), (b"ce-type", b"user.closed")),
        body=orjson.dumps({**PLAIN, "specversion": "1.0", "id": "1", "source": "/a"})),
    Row(name="binary attributes beside a batch", right=(400, 422, 202),
        headers=(TOKEN, BATCH, (b"ce-specversion", b"1.0"), (b"ce-id", b"2")),
        body=orjson.dumps([{**PLAIN, "specversion": "1.0", "id": "3", "source": "/a"}])),
    Row(name="a Content-Length that lies low", right=(202, 400), headers=(TOKEN, JSON, (b"content-length", b"5")), body=BODY),
    Row(name="a Content-Length over the limit", right=(413,), headers=(TOKEN, JSON, (b"content-length", b"999999999999")),
        body=BODY),
    Row(name="no token, no body, no media type", right=(401,), headers=()),
    Row(name="no token and a body over the limit", right=(401, 413), headers=(JSON,), body=b" " * 300_000),
]  # fmt: skip

ROWS = [
    *(header("Content-Type", value.encode("latin-1"), 415) for value in MEDIA_TYPES),
    *(header("Content-Encoding", value, 415) for value in ENCODINGS),
    *(header("Idempotency-Key", value, 400, 422) for value in KEYS),
    *(
        header("Authorization", value, 401, title=f"Authorization, number {number}")
        for number, value in enumerate(CREDENTIALS)
    ),
    *(header("X-API-Key", value, 400, 401, title=f"X-API-Key beside a token: {brief(value)}")
      for value in (b"luna_a_b", b"luna_\xff_\xff", b"x" * 5_000)),
    *TWICE,
    *CONTRADICTIONS,
]  # fmt: skip
