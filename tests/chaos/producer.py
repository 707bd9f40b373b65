"""Clients of the gateway: each posts an event again, under the same id, until it is accepted or the client gives up."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import orjson

from tests.chaos.plan import Post

CLIENTS = 12
CALL_S = 8.0
"""How long an answer is awaited: longer than the gateway waits for a server that hangs."""
PATIENCE_S = 20.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5

Answer = tuple[int, dict[str, Any]]


class Accepted(NamedTuple):
    """An event that was answered 202, and the user it is about."""

    post: Post
    subject: str | None


class Producer:
    """What its clients were told."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self.accepted: dict[str, Accepted] = {}
        self.given_up: dict[str, Post] = {}
        self.answers: Counter[str] = Counter()
        self.slowest_s = 0.0
        """the longest that a client went on before its event was accepted"""
        self._port = port
        self._headers = {"Content-Type": "application/json", **headers}
        self._lock = threading.Lock()

    @property
    def sent(self) -> int:
        return len(self.accepted) + len(self.given_up)

    def run(self, posts: Iterable[Post], rate: float, seconds: float = 60) -> None:
        """Post `rate` a second until all are posted or time is up; what an outage holds up is caught up with."""
        paced = self._paced(posts, rate, seconds)
        with ThreadPoolExecutor(CLIENTS) as clients:
            for client in [clients.submit(self._client, paced) for _ in range(CLIENTS)]:
                client.result()

    def _paced(self, posts: Iterable[Post], rate: float, seconds: float) -> Iterator[tuple[float, Post]]:
        began = time.monotonic()
        for number, post in enumerate(posts):
            if max(number / rate, time.monotonic() - began) > seconds:
                return
            yield began + number / rate, post

    def _client(self, paced: Iterator[tuple[float, Post]]) -> None:
        connection = Connection(self._port, self._headers)
        while (due := self._next(paced)) is not None:
            at, post = due
            time.sleep(max(0.0, at - time.monotonic()))
            self._insist(connection, post)
        connection.close()

    def _next(self, paced: Iterator[tuple[float, Post]]) -> tuple[float, Post] | None:
        with self._lock:
            return next(paced, None)

    def _insist(self, connection: Connection, post: Post) -> None:
        began, pause = time.monotonic(), FIRST_PAUSE_S
        while True:
            status, answer = connection.post(post.body)
            with self._lock:
                self.answers[_said(status, answer)] += 1
                if status == http.client.ACCEPTED:
                    self.accepted[post.id] = Accepted(post, answer.get("subject"))
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                    return
                if time.monotonic() - began > PATIENCE_S:
                    self.given_up[post.id] = post
                    return
            time.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)


class Connection:
    """One client's connection, opened again when it breaks."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_S)
        self._headers = headers

    def post(self, body: bytes) -> Answer:
        """Status and body; status 0 when there is no whole answer."""
        try:
            self._connection.request("POST", "/v1/events", body, self._headers)
            answer = self._connection.getresponse()
            return answer.status, orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError):
            self._connection.close()
            return 0, {}

    def close(self) -> None:
        self._connection.close()


def _said(status: int, answer: dict[str, Any]) -> str:
    if not status:
        return "no answer"
    return f"{status} duplicate" if answer.get("duplicate") else str(status)
