"""HTTP/1.1 as the gateway speaks it: uvicorn's protocol, bounded in what it collects and for how long it waits.

What is refused here never becomes a request; it is answered with a problem document like all else, and logged.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api_gateway.problems import Problem

MAX_HEADERS = 100
MAX_HEAD_BYTES = 32 * 1024
MAX_TARGET_BYTES = 8 * 1024
MAX_FRAMING_BYTES = 2 * 1024 * 1024
"""What a request may bring beside its head and its body: sizes of chunks, and fields behind them."""
REQUEST_S = 10.0
"""How long a client may take to send one request, from the first byte of its head to the last of its body."""

MALFORMED = Problem(400, "This is not HTTP as RFC 9112 has it.")
SLOW = Problem(408, f"The request was not complete after {REQUEST_S:g} s.")
LONG_TARGET = Problem(414, f"The request's target is longer than {MAX_TARGET_BYTES} bytes.")
LARGE_HEAD = Problem(431, f"There are more than {MAX_HEADERS} header fields, or {MAX_HEAD_BYTES} bytes of them.")

NO_HOST = Problem(400, "There must be one Host, of a host and at most a port.")
VERSION = Problem(505, "Send HTTP/1.1.")

HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")  # RFC 9110, 7.2

log = structlog.get_logger(__name__)


class RefusedRequestError(ValueError):
    """Ends the parsing."""


class _Joined:
    """A transport that writes at once what is written in one turn of the loop: head and body of an answer."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write it soon."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        """Write what there is."""
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """Write what there is, and hang up."""
        self.flush()
        self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._refusal = MALFORMED
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        self._beside = 0  # bytes of this request that are not of its body, but for pieces that it begins or ends in
        self._edges = 0
        self._most = 0  # bytes that its head may have at most
        self._host = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client is there; it is expected to say something."""
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _Joined(transport, self.loop))
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._unexpect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request: beside its body no more than is allowed, however they are cut."""
        if self._deadline is None:
            self._expect()
        edges, self._most = self._edges, self._beside + len(data)
        super().data_received(data)
        if edges == self._edges:
            self._beside += len(data)
            if self._beside > (MAX_HEAD_BYTES + MAX_TARGET_BYTES if self._in_head else MAX_FRAMING_BYTES):
                self._refuse(LARGE_HEAD)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._edge()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head; one behind the body must never be taken for one (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._beside -= len(body)
        super().on_body(body)

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._stop(LONG_TARGET)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        if len(self.headers) > MAX_HEADERS or (self._most > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES):
            self._stop(LARGE_HEAD)
        if self.parser.get_http_version() not in {"1.1", "1.0"}:
            self._stop(VERSION)
        hosts = [value for name, value in self.headers if name == b"host"]
        if hosts != [self._host]:
            self._check(hosts)
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        """It is there as a whole; what comes now is the next one's head."""
        self._unexpect()
        self._edge()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 uvicorn's signature
        """The parser has stopped."""
        self._refuse(self._refusal)

    def _head_bytes(self) -> int:
        return sum(len(name) + len(value) for name, value in self.headers)

    def _edge(self) -> None:
        self._in_head, self._beside = True, 0
        self._edges += 1

    def _check(self, hosts: list[bytes]) -> None:
        """RFC 9112, 3.2: one Host, and a valid one; HTTP/1.0 may have none."""
        if hosts or self.parser.get_http_version() != "1.0":
            if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
                self._stop(NO_HOST)
            self._host = hosts[0]

    def _stop(self, refusal: Problem) -> None:
        self._refusal = refusal
        raise RefusedRequestError

    def _expect(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self._late)

    def _unexpect(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self._refuse(SLOW)

    def _refuse(self, refusal: Problem) -> None:
        """Answer, unless that would cut into another answer, and hang up."""
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request, whatever uvicorn says
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False  # this came behind a whole request: that one is still answered
            return
        answering = cycle is not None and cycle.response_started and not cycle.response_complete
        answered = cycle is not None and cycle.response_complete and not self._in_head
        if not (answering or answered or self.pipeline):
            self.transport.write(_answer(refusal))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        log.info("request.refused", status=refusal.status)
        self.transport.close()


def _answer(refusal: Problem) -> bytes:
    answer = refusal.response()
    head = [STATUS_LINE[refusal.status], *(b"%b: %b\r\n" % field for field in answer.raw_headers)]
    return b"".join([*head, b"connection: close\r\n\r\n", bytes(answer.body)])
