"""The client's promise under fire: what was left to its spool has its effect once, whoever is killed meanwhile."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest

from tests.builders import waiting
from tests.gateway import SECRET, WebProcess, bearer
from tests.processes import ROOT, Process, Processes, procfile
from tests.queues import Brokers, empty, letters, working
from tests.servers import Valkey, eventually, free_port
from workers import keys
from workers.client import Accepted, Luna, NewEvent
from workers.database import Database

EVENTS, BATCH = 10_000, 100
GATEWAY_DIES_AT = (500, 4000, 6000, 8000)
"""Each time when so many events are stored."""
CLIENT_DIES_AT = 2000
"""When so many events are enqueued, while the gateway is away."""

PROGRAM = ROOT / "tests" / "integration" / "client_program.py"


def token(subject: str) -> str:
    return bearer(subject, "events:write")["Authorization"].removeprefix("Bearer ")


class House:
    """A gateway over a Valkey that writes everything to disk, and a service that publishes through its spool."""

    def __init__(self, valkey: Valkey, database: Database, processes: Processes, folder: Path) -> None:
        self.store = valkey.client()
        self.notes = folder / "notes"
        port = free_port()
        self._processes = processes
        self._variables = {
            "LUNA_ENV": "production",
            "LUNA_PORT": port,
            "REDIS_URL": valkey.url,
            "DATABASE_URL": database.url.render_as_string(hide_password=False),
            "JWT_SECRET": SECRET,
            "LUNA_RATE_LIMITS": "off",  # one service sends more in seconds than it may in a minute
        }
        self.gateway = self.start(*procfile()["web"])
        self.gateway.says("gateway.started")
        arguments = (f"http://127.0.0.1:{port}", token("shop"), folder / "spool.db", self.notes, EVENTS, BATCH)
        self.service = self.start(sys.executable, str(PROGRAM), *map(str, arguments))

    def start(self, *command: str) -> Process:
        return self._processes.start(*command, **self._variables)

    def stored(self) -> int:
        length: Any = self.store.xlen(keys.stream("users"))
        return int(length)

    def enqueued(self) -> int:
        return self.notes.stat().st_size if self.notes.exists() else 0


@pytest.fixture
def house(own_valkey: Valkey, database: Database, processes: Processes, tmp_path: Path) -> Iterator[House]:
    house = House(own_valkey, database, processes, tmp_path)
    yield house
    house.store.close()


@pytest.fixture
def brokers(own_valkey: Valkey) -> Iterator[Brokers]:
    """Makes brokers on that server."""
    brokers = Brokers(own_valkey.url)
    yield brokers
    brokers.close()


def test_events_beyond_the_rate_limit_are_accepted_as_fast_as_it_allows(
    valkey: Valkey, database: Database, tmp_path: Path
) -> None:
    url = database.url.render_as_string(hide_password=False)
    limits = "endpoint:POST /v1/events=50/1s"
    events = [NewEvent("cache.invalidation_requested", {"tags": ["prices"]}) for _ in range(120)]
    with (
        WebProcess(tmp_path, REDIS_URL=valkey.url, DATABASE_URL=url, LUNA_RATE_LIMITS=limits) as web,
        Luna(f"http://127.0.0.1:{web.port}", token("shop")) as luna,
    ):
        assert {type(result) for result in luna.publish_many(events)} == {Accepted}
        luna.enqueue_many([NewEvent(event.type, event.data) for event in events])
        assert luna.flush(20)
    with valkey.client() as store:
        stored = [event.id for event in waiting(store, "cache")]
    assert len(stored) == len(set(stored)) == 240
    assert stored[:120] == [event.id for event in events]


def test_ten_thousand_events_have_their_effects_once_though_gateway_and_client_are_killed(
    house: House, brokers: Brokers
) -> None:
    for number, stored in enumerate(GATEWAY_DIES_AT):
        eventually(lambda stored=stored: house.stored() >= stored, within=60, what=f"{stored} events stored")
        house.gateway.stop(signal.SIGKILL)
        if number == 0:
            kill_the_service(house)
        house.gateway.start()
    assert house.service.ends(within=100) == 0
    check_queue(house)
    check_effects(house, brokers)


def kill_the_service(house: House) -> None:
    eventually(lambda: house.enqueued() >= CLIENT_DIES_AT, what=f"{CLIENT_DIES_AT} events enqueued")
    house.service.stop(signal.SIGKILL)
    assert house.stored() < house.enqueued() < EVENTS  # else nothing was at stake
    house.service.start()


def check_queue(house: House) -> None:
    times = Counter(event.id for event in waiting(house.store, "users"))
    assert set(times) == {f"sign-up-{number}" for number in range(EVENTS)}
    assert [id_ for id_, count in times.items() if count > 1] == []


def check_effects(house: House, brokers: Brokers) -> None:
    done: list[str] = []
    broker = brokers()

    @dramatiq.actor(actor_name="users.create", queue_name="users", broker=broker)
    def _create(event: dict[str, Any]) -> None:
        done.append(event["id"])

    with working(broker, threads=4):
        eventually(lambda: empty(house.store, "users"), within=60, what="all effects")
    assert Counter(done) == dict.fromkeys((f"sign-up-{number}" for number in range(EVENTS)), 1)
    assert letters(house.store, "users") == []
