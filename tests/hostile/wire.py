"""Bytes on a connection that HTTP/1.1 (RFC 9112) forbids or leaves to the server: framing, smuggling, targets, heads.

Ideas: James Kettle's request smuggling research, the h11 and llhttp test suites.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.hostile.rows import PLAIN, TOKEN, json_bytes

BODY = json_bytes(PLAIN)
AUTHORIZATION = b"Authorization: " + TOKEN[1] + b"\r\n"
HOST = b"Host: gateway\r\n"
HEAD = HOST + AUTHORIZATION + b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = b"GET /v1/events/smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n"

Statuses = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Wire:
    """What is sent over one connection, and the statuses that are right for each answer, in order.

    A connection that is closed early may leave the later answers out; there are never more.
    """

    name: str
    sent: bytes
    answers: tuple[Statuses, ...]

    def __str__(self) -> str:
        return self.name


def post(
    line: bytes = b"POST /v1/events HTTP/1.1", head: bytes = HEAD, framing: bytes = LENGTH, body: bytes = BODY
) -> bytes:
    """A good request but for what is given."""
    return line + b"\r\n" + head + framing + b"\r\n" + body


def _wires(topic: str, answers: tuple[Statuses, ...], sent: dict[str, bytes]) -> list[Wire]:
    return [Wire(name=f"{topic}: {name}", sent=raw, answers=answers) for name, raw in sent.items()]


REFUSED, EITHER, TAKEN, NOT_FOUND = ((400,),), ((202, 400),), ((202,),), ((404,),)

FIRST_LINES = _wires(
    "first line",
    REFUSED,
    {
        "a method in lower case": post(b"post /v1/events HTTP/1.1"),
        "a method in mixed case": post(b"PoSt /v1/events HTTP/1.1"),
        "a method that nobody knows": post(b"BREW /v1/events HTTP/1.1"),
        "a method that is a number": post(b"1 /v1/events HTTP/1.1"),
        "a method of 100,000 letters": post(b"X" * 100_000 + b" /v1/events HTTP/1.1"),
        "no method": post(b"/v1/events HTTP/1.1"),
        "no target": post(b"POST HTTP/1.1"),
        "a version of its own": post(b"POST /v1/events HTTQ/1.1"),
        "a version without a point": post(b"POST /v1/events HTTP/11"),
        "a space in the target": post(b"POST /v1/ events HTTP/1.1"),
        "a NUL in the target": post(b"POST /v1/events\0 HTTP/1.1"),
        "a line break in the target": post(b"POST /v1/ev\nents HTTP/1.1"),
        "bytes beyond ASCII in the target": post(b"POST /v1/\xc0\xaf HTTP/1.1"),
        "a target without a slash": post(b"POST v1/events HTTP/1.1"),
        "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200,
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "SMTP": b"EHLO example.com\r\n",
        "nothing but NULs": b"\0" * 1000,
        "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        "tab instead of a space": post(b"POST\t/v1/events\tHTTP/1.1"),
    },
)

TARGETS = [
    *_wires(
        "target",
        NOT_FOUND,
        {
            path.decode(): post(b"POST " + path + b" HTTP/1.1")
            for path in (
                *(b"/", b"//", b"//v1/events", b"///v1/events", b"/v1//events", b"/v1/./events", b"/v1/x/../events"),
                *(
                    b"/../v1/events",
                    b"/%2e%2e/v1/events",
                    b"/v1/events%00",
                    b"/v1/events%0a",
                    b"/v1/events%20",
                    b"/v1/events;a=b",
                ),
                *(
                    b"/V1/Events",
                    b"/v1/Events",
                    b"/%c0%ae%c0%ae/v1/events",
                    b"/v1/%ff",
                    b"/v1/events.json",
                ),
                *(
                    b"/v1\\events",
                    b"/%",
                    b"/%zz",
                    b"/v1/event",
                    b"/v1/eventss",
                    b"/v2/events",
                    b"/.git/config",
                    b"/.env",
                ),
                *(b"/console/../v1/events", b"/%E0%80%AFv1/events"),
            )
        },
    ),
    *_wires(
        "target",
        ((202, 400, 404, 405),),
        {
            "a fragment": post(b"POST /v1/events#x HTTP/1.1"),
            "percent-encoded letters": post(b"POST /v1/%65vents HTTP/1.1"),
            "a percent-encoded slash": post(b"POST /v1%2fevents HTTP/1.1"),
            "another percent-encoded slash": post(b"POST /v1%2fevents/x HTTP/1.1"),
            "a whole URI of another host": post(b"POST http://evil.example.com/v1/events HTTP/1.1"),
            "a whole URI with credentials": post(b"POST http://a:b@gateway/v1/events HTTP/1.1"),
        },
    ),
    *_wires(
        "target",
        TAKEN,
        {
            "a whole URI": post(b"POST http://gateway/v1/events HTTP/1.1"),
            "a query": post(b"POST /v1/events?a=%00&b=../../ HTTP/1.1"),
        },
    ),
    Wire(name="target: an asterisk", sent=b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", answers=((400, 404, 405),)),
    Wire(name="target: a file URI", sent=post(b"POST file:///etc/passwd HTTP/1.1"), answers=((400, 404),)),
    Wire(name="target: 10,000 bytes", sent=post(b"POST " + b"/a" * 5_000 + b" HTTP/1.1"), answers=((404, 414),)),
    Wire(name="target: 1 MB", sent=post(b"POST /" + b"a" * 1_000_000 + b" HTTP/1.1"), answers=((404, 414, 431),)),
]

HEADERS = [
    *_wires(
        "header",
        REFUSED,
        {
            "a NUL in a value": post(head=HEAD + b"X-A: a\0b\r\n"),
            "a carriage return in a value": post(head=HEAD + b"X-A: a\rb\r\n"),
            "a control character in a value": post(head=HEAD + b"X-A: a\x01b\r\n"),
            "DEL in a value": post(head=HEAD + b"X-A: a\x7fb\r\n"),
            "a space before the colon": post(head=HEAD + b"X-A : b\r\n"),
            "a space in a name": post(head=HEAD + b"X A: b\r\n"),
            "a NUL in a name": post(head=HEAD + b"X\0A: b\r\n"),
            "a name beyond ASCII": post(head=HEAD + b"X-\xc3\xa9: b\r\n"),
            "no name": post(head=HEAD + b": b\r\n"),
            "no colon": post(head=HEAD + b"X-A\r\n"),
            "parentheses in a name": post(head=HEAD + b"X(A): b\r\n"),
            "a folded first line": post(head=b" X-A: b\r\n" + HEAD),
            "no Host": post(head=HEAD.replace(HOST, b"")),
            "two Hosts": post(head=HEAD + b"Host: evil.example.com\r\n"),
            "two equal Hosts": post(head=HEAD + HOST),
            "a Host with a space": post(head=HEAD.replace(b"gateway", b"gate way")),
            "a Host with a path": post(head=HEAD.replace(b"gateway", b"gateway/x")),
            "a Host with credentials": post(head=HEAD.replace(b"gateway", b"a:b@gateway")),
        },
    ),
    *_wires(
        "header",
        EITHER,
        {
            "a folded value": post(head=HEAD + b"X-A: a\r\n b\r\n"),
            "a folded value of nothing": post(head=HEAD + b"X-A:\r\n \r\n"),
            "bare line feeds": post().replace(b"\r\n", b"\n"),
            "bytes beyond ASCII in a value": post(head=HEAD + b"X-A: \xff\xfe\r\n"),
        },
    ),
    *_wires(
        "header",
        TAKEN,
        {
            "names in capitals": post(head=HEAD.replace(b"Content-Type", b"CONTENT-TYPE").replace(b"Authorization", b"AUTHORIZATION")),
            "no white space": post(head=HEAD.replace(b": ", b":")),
            "white space around": post(head=HEAD.replace(b": ", b": \t ").replace(b"json\r\n", b"json \t \r\n")),
            "an empty value": post(head=HEAD + b"X-A:\r\n"),
            "empty lines before": b"\r\n\r\n" + post(),
            "a Host with a port": post(head=HEAD.replace(b"gateway", b"gateway:8000")),
            "a Host that is an IPv6 address": post(head=HEAD.replace(b"gateway", b"[::1]:8000")),
        },
    ),
    Wire(name="header: a folded credential", answers=((202, 400, 401),),
         sent=post(head=HEAD.replace(b"Authorization: Bearer ", b"Authorization: Bearer\r\n "))),
    *(Wire(name=f"header: {name.decode()} of 1 MB", sent=post(head=HEAD + name + b": " + b"x" * 1_000_000 + b"\r\n"), answers=((431,),))
      for name in (b"Cookie", b"X-Forwarded-For", b"Idempotency-Key", b"X-Correlation-ID", b"ce-id")),
    Wire(name="header: 200 of them", sent=post(head=HEAD + b"X-A: b\r\n" * 200), answers=((431,),)),
    Wire(name="header: 60 of them", sent=post(head=HEAD + b"X-A: b\r\n" * 60), answers=TAKEN),
    Wire(name="header: 10,000 of them", sent=post(head=HEAD + b"X-A: b\r\n" * 10_000), answers=((431,),)),
    Wire(name="header: 1 MB in one line", sent=post(head=HEAD + b"X-A: " + b"b" * 1_000_000 + b"\r\n"), answers=((431,),)),
    Wire(name="header: 1 MB in one name", sent=post(head=HEAD + b"X" * 1_000_000 + b": b\r\n"), answers=((400, 431),)),
    Wire(name="header: 20 MB that do not end", sent=b"POST /v1/events HTTP/1.1\r\n" + HEAD + b"X-A: " + b"b" * 20_000_000,
         answers=((431,),)),
]  # fmt: skip

LENGTHS = _wires(
    "length",
    REFUSED,
    {
        f"Content-Length {value.decode('latin-1')[:30]!r}": post(framing=b"Content-Length: " + value + b"\r\n")
        for value in (
            *(
                b"",
                b"-1",
                b"+83",
                b"0x53",
                b"83.0",
                b"8e1",
                b"83, 83",
                b"83,84",
                b"8 3",
                b"abc",
                b"83;",
                b"\xb2",
                b"NaN",
            ),
            *(b"99999999999999999999999999", b"18446744073709551616", b"83_0", b"83\0"),
        )
    },
)

CODINGS = _wires(
    "coding",
    REFUSED,
    {
        "a length and chunks": post(framing=LENGTH + CHUNKED, body=IN_CHUNKS),
        "chunks and a length": post(framing=CHUNKED + LENGTH, body=IN_CHUNKS),
        "a length of nothing and chunks": post(framing=b"Content-Length: 0\r\n" + CHUNKED, body=IN_CHUNKS),
        "two lengths that differ": post(framing=LENGTH + b"Content-Length: 5\r\n"),
        "chunked twice": post(framing=b"Transfer-Encoding: chunked, chunked\r\n", body=IN_CHUNKS),
        "chunked, then another": post(framing=b"Transfer-Encoding: chunked, identity\r\n", body=IN_CHUNKS),
        "two codings in two lines": post(framing=CHUNKED + b"Transfer-Encoding: identity\r\n", body=IN_CHUNKS),
        "a coding that is none": post(framing=b"Transfer-Encoding: xchunked\r\n", body=IN_CHUNKS),
        "a quoted coding": post(framing=b'Transfer-Encoding: "chunked"\r\n', body=IN_CHUNKS),
        "an empty coding": post(framing=b"Transfer-Encoding:\r\n", body=IN_CHUNKS),
        "a vertical tab before": post(framing=b"Transfer-Encoding: \x0bchunked\r\n", body=IN_CHUNKS),
        "a space before the colon": post(framing=b"Transfer-Encoding : chunked\r\n", body=IN_CHUNKS),
        "a size that is none": post(framing=CHUNKED, body=b"zz\r\nabc\r\n0\r\n\r\n"),
        "a size below nothing": post(framing=CHUNKED, body=b"-5\r\nabcde\r\n0\r\n\r\n"),
        "a size with 0x": post(framing=CHUNKED, body=b"0x5\r\nabcde\r\n0\r\n\r\n"),
        "a size beyond 64 bits": post(framing=CHUNKED, body=b"FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n"),
        "a size that wraps": post(framing=CHUNKED, body=b"10000000000000005\r\nabcde\r\n0\r\n\r\n"),
        "no size": post(framing=CHUNKED, body=b"\r\nabc\r\n0\r\n\r\n"),
        "a chunk that is longer": post(framing=CHUNKED, body=b"3\r\nabcdef\r\n0\r\n\r\n"),
    },
)

PIPELINES = [
    Wire(name="pipeline: two good ones", sent=post() * 2, answers=((202,), (202,))),
    Wire(name="pipeline: ten good ones", sent=post() * 10, answers=((202,),) * 10),
    Wire(name="pipeline: a good one, then rubbish", sent=post() + b"rubbish\r\n\r\n", answers=((202, 400), (400,))),
    Wire(name="pipeline: no token, then a good one", sent=post(head=HOST) + post(), answers=((401,), (202,))),
    Wire(name="pipeline: a wrong media type, then a good one", sent=post(head=HOST + AUTHORIZATION + b"Content-Type: a/b\r\n") + post(),
         answers=((415,), (202,))),
    Wire(name="pipeline: chunks, then a good one", sent=post(framing=CHUNKED, body=IN_CHUNKS) + post(), answers=((202,), (202,))),
    Wire(name="pipeline: closed after the first", sent=post(head=HEAD + b"Connection: close\r\n") + post(), answers=((202,),)),
    Wire(name="pipeline: a request in a body", sent=post(framing=b"Content-Length: %d\r\n" % len(SMUGGLED), body=SMUGGLED),
         answers=((400,),)),
    Wire(name="pipeline: a request in a chunk", sent=post(framing=CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
         answers=((400,),)),
    Wire(name="pipeline: a length that lies low", sent=post(framing=b"Content-Length: 5\r\n"), answers=((400,), (400,))),
    Wire(name="pipeline: a request in a trailer", sent=post(framing=CHUNKED, body=IN_CHUNKS[:-2] + SMUGGLED), answers=((202, 400), (400,))),
    Wire(name="pipeline: a good one, then no Host", sent=post() + post(head=HEAD.replace(HOST, b"")), answers=((202,), (400,))),
    Wire(name="pipeline: a good one, then a length and chunks", answers=((202,), (400,)),
         sent=post() + post(framing=LENGTH + CHUNKED, body=IN_CHUNKS)),
    Wire(name="pipeline: a good one, then 10,000 fields", sent=post() + post(head=HEAD + b"X-A: b\r\n" * 10_000), answers=((202,), (431,))),
    Wire(name="pipeline: a large one, then half a head", answers=((202,),),
         sent=post(framing=b"Content-Length: 200000\r\n", body=BODY.ljust(200_000)) + b"GET /health/live HTTP/1.1\r\nX-Half: "),
    *(Wire(name=f"pipeline: {name} of 256 kB, then others", answers=((202,), (202,), (401,)),
           sent=post(framing=framing, body=body) + post() + post(head=HOST))
      for name, framing, body in (
          ("a body", b"Content-Length: %d\r\n" % (256 * 1024), BODY.ljust(256 * 1024)),
          ("chunks", CHUNKED, b"400\r\n%s\r\n" % BODY.ljust(1024) + (b"400\r\n%s\r\n" % (b" " * 1024)) * 255 + b"0\r\n\r\n"),
      )),
    Wire(name="smuggling: length before chunks", answers=((400,),),
         sent=post(framing=b"Content-Length: 4\r\n" + CHUNKED, body=b"0\r\n\r\n" + SMUGGLED)),
    Wire(name="smuggling: chunks that end early", answers=((400,), (401,)), sent=post(framing=CHUNKED, body=b"0\r\n\r\n" + SMUGGLED)),
]  # fmt: skip

OTHERS = [
    Wire(name="a good one", sent=post(), answers=TAKEN),
    Wire(name="chunks", sent=post(framing=CHUNKED, body=IN_CHUNKS), answers=TAKEN),
    Wire(name="chunks of a byte", sent=post(framing=CHUNKED, body=b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
         answers=TAKEN),
    Wire(name="chunks with extensions and trailers", answers=EITHER,
         sent=post(framing=CHUNKED, body=b"%x;a=b;c\r\n%s\r\n0\r\nAuthorization: Bearer x\r\n\r\n" % (len(BODY), BODY))),
    *(Wire(name=f"trailer: {field.partition(b':')[0].decode()}", answers=TAKEN,
           sent=post(framing=CHUNKED, body=IN_CHUNKS[:-2] + field + b"\r\n\r\n"))
      for field in (b"Authorization: Bearer x", b"Content-Type: text/plain", b"Host: evil", b"Content-Encoding: gzip",
                    b"Idempotency-Key: x", b"X-API-Key: luna_a_b", b"ce-specversion: 0.3")),
    Wire(name="trailer: a credential alone", answers=((401,),),
         sent=post(head=HOST, framing=CHUNKED, body=IN_CHUNKS[:-2] + AUTHORIZATION + b"\r\n")),
    Wire(name="trailer: 20 MB that do not end", answers=((400, 413, 431),),
         sent=post(framing=CHUNKED, body=IN_CHUNKS[:-2] + b"X-A: " + b"b" * 20_000_000)),
    Wire(name="chunks with extensions of 20 MB", answers=((400, 413, 431),),
         sent=post(framing=CHUNKED, body=b"5;" + b"a" * 20_000_000)),
    Wire(name="HTTP/1.0", sent=post(b"POST /v1/events HTTP/1.0"), answers=TAKEN),
    Wire(name="HTTP/1.0 without a Host", sent=post(b"POST /v1/events HTTP/1.0", head=HEAD.replace(HOST, b"")), answers=TAKEN),
    Wire(name="HTTP/1.0 with chunks", sent=post(b"POST /v1/events HTTP/1.0", framing=CHUNKED, body=IN_CHUNKS), answers=EITHER),
    Wire(name="no version", sent=post(b"POST /v1/events"), answers=((400, 505),)),
    Wire(name="HTTP/0.9", sent=b"GET /health/live\r\n\r\n", answers=((400, 505),)),
    Wire(name="HTTP/2.0", sent=post(b"POST /v1/events HTTP/2.0"), answers=((400, 505),)),
    Wire(name="HTTP/9.9", sent=post(b"POST /v1/events HTTP/9.9"), answers=((400, 505),)),
    Wire(name="an upgrade to WebSocket", answers=EITHER,
         sent=post(head=HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n")),
    Wire(name="an upgrade to h2c", sent=post(head=HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
         answers=EITHER),
    Wire(name="an expectation that nobody knows", sent=post(head=HEAD + b"Expect: 200-ok\r\n"), answers=((202, 417),)),
    Wire(name="100-continue", sent=post(head=HEAD + b"Expect: 100-continue\r\n"), answers=((100,), (202,))),
    Wire(name="100-continue without a token", sent=post(head=HOST + b"Connection: close\r\nExpect: 100-continue\r\n", body=b""), answers=((401,),)),
    Wire(name="100-continue over the limit", answers=((413,),),
         sent=post(head=HEAD + b"Expect: 100-continue\r\n", framing=b"Content-Length: 99999999\r\n", body=b"")),
    Wire(name="a length over the limit, and no body", sent=post(framing=b"Content-Length: 99999999999\r\n", body=b""), answers=((413,),)),
    Wire(name="chunks over the limit", answers=((413,),),
         sent=post(framing=CHUNKED, body=b"10000\r\n" + b" " * 65536 + b"\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 5)),
    Wire(name="no body at all", sent=post(framing=b"", body=b""), answers=REFUSED),
    *(Wire(name=f"{method} where only POST is", sent=post(method.encode() + b" /v1/events HTTP/1.1"), answers=((405,),))
      for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE", "HEAD")),
]  # fmt: skip

ROWS = [*FIRST_LINES, *TARGETS, *HEADERS, *LENGTHS, *CODINGS, *PIPELINES, *OTHERS]
