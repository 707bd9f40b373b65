"""Hostile bodies and headers against the whole application: each is answered as the standards say, none is stored."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest
import redis

from actors.routes import QUEUES
from tests.gateway import ADA, Gateway, settings
from tests.hostile import envelopes, headers, payloads, taken, targets, texts, users
from tests.hostile.rows import Row
from tests.problems import MEDIA_TYPE, problem
from tests.servers import Valkey
from workers import keys
from workers.database import Database
from workers.database.migrate import upgrade

REFUSED = [*texts.ROWS, *envelopes.ROWS, *payloads.ROWS, *headers.ROWS, *targets.ROWS, *users.ROWS]
TAKEN = [*taken.ROWS, *users.TAKEN]
BOUND_S = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """All rows meet one gateway, so that what one leaves behind would harm the next."""
    server = Valkey(tmp_path_factory.mktemp("valkey"), appendfsync="no").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def store(server: Valkey) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def door(server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('database') / 'luna.db'}")
    upgrade(database)
    given = settings(server.url, LUNA_DURABILITY="memory", LUNA_RATE_LIMITS="off")
    with Gateway(given, database) as gateway:
        yield gateway
    database.close()


def stored(store: redis.Redis) -> int:
    """How many messages wait in all queues."""
    return sum(store.xlen(keys.stream(queue)) for queue in QUEUES)


def send(door: Gateway, row: Row) -> httpx.Response:
    began = time.monotonic()
    answer = door.call(row.method, row.path, headers=list(row.headers), content=row.body)
    assert time.monotonic() - began < BOUND_S
    return answer


def test_there_are_many_and_each_has_its_name() -> None:
    names = [row.name for row in (*REFUSED, *TAKEN)]
    assert len(names) == len(set(names)) > 900


@pytest.mark.parametrize("row", REFUSED, ids=str)
def test_what_is_hostile_is_refused_with_a_problem_and_not_stored(door: Gateway, store: redis.Redis, row: Row) -> None:
    before = stored(store)
    answer = send(door, row)
    assert answer.status_code in row.right, answer.text[:1000]
    if answer.status_code == 207:
        for result in answer.json():
            one = result["problem"]
            problem(one["status"], {**answer.headers, "content-type": MEDIA_TYPE}, json.dumps(one).encode())
    elif answer.status_code >= 400:
        document = problem(answer.status_code, answer.headers, answer.content)
        if row.pointer is not None:
            assert row.pointer in [error["pointer"] for error in document["errors"]]
    assert ADA["Authorization"][-20:] not in answer.text
    assert len(answer.content) < 10_000 + 2 * len(row.body)
    assert stored(store) - before == (answer.status_code == 202)
    assert door.get("/health/live", {}).status_code == 200


@pytest.mark.parametrize("row", TAKEN, ids=str)
def test_what_is_only_unusual_is_taken_and_stored(door: Gateway, store: redis.Redis, row: Row) -> None:
    store.flushall()
    answer = send(door, row)
    assert answer.status_code in row.right, answer.text[:1000]
    assert answer.headers["Content-Type"].startswith("application/")
    assert stored(store) == (answer.status_code == 202)
