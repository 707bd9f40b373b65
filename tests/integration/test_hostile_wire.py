"""Hostile bytes against the process that serves: each connection is answered or closed, none harms the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from actors.routes import QUEUES
from tests.gateway import ADA, WebProcess
from tests.hostile import wire
from tests.hostile.connection import PIECE, Answer, Connection
from tests.hostile.wire import Wire
from tests.problems import problem
from tests.servers import Valkey
from workers import keys
from workers.database import Database
from workers.database.migrate import upgrade

LAST = b"GET /health/live HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"), appendfsync="no").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def store(server: Valkey) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def web(server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """All rows meet one process, so that what one leaves behind would harm the next."""
    folder = tmp_path_factory.mktemp("web")
    database = f"sqlite:///{folder / 'luna.db'}"
    upgrade(Database(database))
    variables = {"DATABASE_URL": database, "LUNA_ENV": "production", "LUNA_RATE_LIMITS": "off"}
    with WebProcess(folder, REDIS_URL=server.url, **variables) as process:
        yield process


def stored(store: redis.Redis) -> int:
    """How many messages wait in all queues."""
    return sum(store.xlen(keys.stream(queue)) for queue in QUEUES)


def exchange(port: int, row: Wire) -> list[Answer]:
    """Every answer that the row gets, and the one to a last good request where the connection is still open."""
    head, answers = row.sent.startswith(b"HEAD"), []
    with Connection(port) as connection:
        connection.send(row.sent)
        for _ in row.answers:
            answer = connection.answer(head=head)
            if answer is None:
                return answers
            answers.append(answer)
        connection.send(LAST)
        while (answer := connection.answer()) is not None:
            answers.append(answer)
    return answers


def test_each_has_its_name() -> None:
    names = [row.name for row in wire.ROWS]
    assert len(names) == len(set(names)) > 150


@pytest.mark.parametrize("row", wire.ROWS, ids=str)
def test_what_is_on_the_wire_is_answered_as_http_says(web: WebProcess, store: redis.Redis, row: Wire) -> None:
    before = stored(store)
    answers = exchange(web.port, row)
    statuses = [answer.status for answer in answers]
    assert answers or len(row.sent) > PIECE, "closed without an answer"
    for answer, right in zip(answers, row.answers, strict=False):
        assert answer.status in right, (statuses, answer.body[:500])
    assert statuses[len(row.answers) :] in ([], [200]), statuses
    for answer in answers:
        if answer.status >= 400:
            problem(answer.status, answer.headers, answer.body, head=row.sent.startswith(b"HEAD"))
        assert ADA["Authorization"][-20:].encode() not in answer.body
    assert stored(store) - before == statuses.count(202)
    assert web.process.poll() is None
    assert web.http.get("/health/live").is_success
