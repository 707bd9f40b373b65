"""Clients that take their time, against the gateway's protocol on a real socket: none holds a connection for long."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from api_gateway import protocol
from tests.hostile.connection import Connection
from tests.problems import problem
from tests.servers import eventually

LIMIT_S = 0.3
HEAD = b"POST / HTTP/1.1\r\nHost: gateway\r\n"
WHOLE = HEAD + b"Content-Length: 4\r\n\r\nbody"


class Echo:
    """Answers with the body once it is whole, and after as long as the path says."""

    def __init__(self) -> None:
        self.abandoned = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            self.abandoned += 1
            return
        await asyncio.sleep(float(request.url.path.strip("/") or 0))
        await PlainTextResponse(body)(scope, receive, send)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def port(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server with a shorter limit."""
    monkeypatch.setattr(protocol, "REQUEST_S", LIMIT_S)
    listener = socket.create_server(("127.0.0.1", 0))
    options = {"http": protocol.BoundedProtocol, "ws": "none", "lifespan": "off", "log_config": None}
    server = uvicorn.Server(uvicorn.Config(echo, **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    eventually(lambda: server.started, what="the server's start")
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST",
        b"POST / HTTP/1.1\r\n",
        HEAD,
        HEAD + b"X-Half: a",
        HEAD + b"Content-Length: 4\r\n\r\n",
        HEAD + b"Content-Length: 4\r\n\r\nbod",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Half: a",
    ],
)
def test_what_does_not_become_a_request_in_time_is_answered_and_hung_up(port: int, echo: Echo, sent: bytes) -> None:
    with Connection(port) as connection:
        connection.send(sent)
        answer = connection.answer()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        problem(*answer)
        assert connection.answer() is None
    eventually(lambda: echo.abandoned == (b"\r\n\r\n" in sent), what="what the application is told")


def test_a_byte_now_and_then_does_not_buy_time(port: int) -> None:
    with Connection(port) as connection:
        connection.send(HEAD + b"Content-Length: 100000\r\n\r\n")
        while not connection.readable(within=LIMIT_S / 10):
            connection.send(b"x")
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 408


def test_an_answer_may_take_longer_than_a_request(port: int) -> None:
    with Connection(port) as connection:
        connection.send(WHOLE.replace(b" / ", b" /%g " % (LIMIT_S * 3)))
        answer = connection.answer()
        assert answer is not None
        assert (answer.status, answer.body) == (200, b"body")


def test_each_request_of_a_connection_has_its_own_time(port: int) -> None:
    with Connection(port) as connection:
        for _ in range(3):
            connection.send(WHOLE[:-1])
            assert not connection.readable(within=LIMIT_S / 2)
            connection.send(WHOLE[-1:])
            answer = connection.answer()
            assert answer is not None
            assert answer.status == 200
        connection.send(WHOLE[:-1])
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 408


def test_large_requests_follow_each_other_on_one_connection(port: int) -> None:
    body = b" " * 5 * 1024 * 1024
    with Connection(port) as connection:
        for _ in range(3):
            connection.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            answer = connection.answer()
            assert answer is not None
            assert (answer.status, answer.body) == (200, body)
