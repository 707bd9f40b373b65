"""The client on a real network: connections that are kept, that break, and servers that hang."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.fake_gateway import accepted
from tests.processes import ROOT
from workers.client import AsyncLuna, Luna, Unavailable

Publish = Callable[..., list[Any]]


class Server(ThreadingHTTPServer):
    """Accepts every event. `breaks` is whether it closes a connection after its answer without a word of warning."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.requests: list[str] = []
        self.breaks = False
        self.hangs = threading.Event()
        self.hangs.set()  # not

    def handle_error(self, *_: object) -> None:
        """A client that has given up is no error."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(event["id"])
        self.server.hangs.wait(20)
        body = json.dumps(accepted(event)).encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.server.breaks

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.hangs.set()
        server.shutdown()
        thread.join()


def blocking(url: str, ids: list[str], **options: Any) -> list[Any]:
    with Luna(url, "token", **options) as luna:
        return [luna.publish("a.b", {}, id=id_).id for id_ in ids]


def awaited(url: str, ids: list[str], **options: Any) -> list[Any]:
    async def publish() -> list[Any]:
        async with AsyncLuna(url, "token", **options) as luna:
            return [(await luna.publish("a.b", {}, id=id_)).id for id_ in ids]

    return asyncio.run(publish())


@pytest.fixture(params=[blocking, awaited])
def publish(request: pytest.FixtureRequest) -> Publish:
    function: Publish = request.param
    return function


def test_a_connection_is_kept_for_the_next_event(publish: Publish, server: Server) -> None:
    assert publish(server.url, ["1", "2", "3"]) == ["1", "2", "3"]
    assert server.connections == 1


def test_connections_that_the_gateway_drops_are_replaced_and_no_event_is_lost(publish: Publish, server: Server) -> None:
    server.breaks = True
    ids = [str(number) for number in range(50)]
    assert publish(server.url, ids) == ids
    assert set(server.requests) == set(ids)
    assert server.connections >= 50


def test_a_gateway_that_hangs_is_given_up_at_the_deadline_and_was_asked_again(publish: Publish, server: Server) -> None:
    server.hangs.clear()
    with pytest.raises(Unavailable, match="ReadTimeout"):
        publish(server.url, ["1"], timeout=0.1, deadline=1)
    assert len(server.requests) > 1
    assert set(server.requests) == {"1"}


def test_a_forked_child_opens_a_connection_of_its_own(server: Server) -> None:
    program = f"""
import os
from workers.client import Luna
luna = Luna({server.url!r}, "token")
luna.publish("a.b", {{}}, id="1")
if (pid := os.fork()) == 0:
    luna.publish("a.b", {{}}, id="2")
    os._exit(0)
os.waitpid(pid, 0)
luna.publish("a.b", {{}}, id="3")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, env={}, timeout=50, check=True)
    assert (server.requests, server.connections) == (["1", "2", "3"], 2)


def test_nothing_comes_from_the_environment(publish: Publish, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert publish(server.url, ["1"]) == ["1"]


def test_a_proxy_that_is_named_is_used(publish: Publish, server: Server) -> None:
    assert publish("http://gateway.invalid", ["1"], proxy=server.url) == ["1"]
    assert server.requests == ["1"]
