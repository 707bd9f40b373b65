from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.gateway import ADA, SIGNED_UP, Gateway, settings
from tests.servers import Valkey, eventually
from workers.database import Database


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of this test alone, which writes every command to disk before it answers."""
    (tmp_path / "valkey").mkdir()
    server = Valkey(tmp_path / "valkey").start()
    yield server
    server.stop(kill=True)


@pytest.fixture
def frail(server: Valkey, database: Database) -> Iterator[Gateway]:
    """The application over that server."""
    with Gateway(settings(server.url), database) as gateway:
        yield gateway


def event(number: int) -> dict[str, object]:
    return {**SIGNED_UP, "id": str(number)}


def test_while_redis_is_away_nothing_is_accepted_and_the_caller_is_told_to_come_back(
    frail: Gateway, server: Valkey
) -> None:
    server.stop(kill=True)
    answer = frail.post(SIGNED_UP)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert str(server.port) not in answer.text
    assert frail.get("/v1/events/1", ADA).status_code == 503


def test_it_recovers_by_itself_when_redis_is_back(frail: Gateway, server: Valkey) -> None:
    frail.post(event(1))
    server.stop(kill=True)
    assert frail.post(event(2)).status_code == 503
    server.start()
    answer = eventually(lambda: (again := frail.post(event(2))).status_code == 202 and again, what="a 202")
    assert answer.json()["duplicate"] is False
    assert frail.get("/health/ready", {}).status_code == 200


def test_what_was_accepted_before_redis_was_killed_is_there_afterwards(frail: Gateway, server: Valkey) -> None:
    accepted = [answer.json()["id"] for answer in frail.post_together([event(number) for number in range(30)])]
    server.stop(kill=True)
    server.start()
    assert {frail.get(f"/v1/events/{id_}", ADA).status_code for id_ in accepted} == {200}
    again = frail.post_together([event(number) for number in range(30)])
    assert [(answer.status_code, answer.json()["duplicate"]) for answer in again] == [(202, True)] * 30


def test_what_was_accepted_while_redis_was_being_killed_is_there_afterwards(frail: Gateway, server: Valkey) -> None:
    accepted = {frail.post(SIGNED_UP).json()["id"]}
    for _ in range(3):
        killer = Thread(target=server.stop, kwargs={"kill": True})
        killer.start()
        answers = frail.post_together([SIGNED_UP] * 40)
        killer.join()
        assert {answer.status_code for answer in answers} <= {202, 503}
        accepted |= {answer.json()["id"] for answer in answers if answer.status_code == 202}
        assert frail.post(SIGNED_UP).status_code == 503
        server.start()
    assert {id_ for id_ in accepted if frail.get(f"/v1/events/{id_}", ADA).status_code != 200} == set()
