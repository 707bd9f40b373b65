from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from actors.routes import QUEUES, ROUTES
from api_gateway.health import LATE
from tests.builders import Told
from tests.gateway import Gateway, settings
from tests.servers import Valkey, eventually, free_port
from workers.database import Database
from workers.database.migrate import downgrade, upgrade


@pytest.fixture
def without_redis(database: Database) -> Iterator[Gateway]:
    with Gateway(settings(f"redis://127.0.0.1:{free_port()}/0"), database) as gateway:
        yield gateway


def ready(gateway: Gateway) -> httpx.Response:
    return gateway.get("/health/ready", {})


def checks(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return dict(gateway.get("/health", {}).json()["checks"])


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_a_healthy_gateway_says_so_to_everybody(gateway: Gateway, path: str) -> None:
    answer = gateway.get(path, {})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readiness_is_never_cached(gateway: Gateway) -> None:
    assert ready(gateway).headers["Cache-Control"] == "no-store"


def test_a_gateway_without_redis_lives_and_is_not_ready(without_redis: Gateway) -> None:
    assert without_redis.get("/health/live", {}).status_code == 200
    answer = ready(without_redis)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.json()["detail"] == "queue: Redis cannot be reached"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_old_schema_is_not_ready_until_it_is_migrated(gateway: Gateway, database: Database) -> None:
    downgrade(database, "base")
    answer = ready(gateway)
    assert (answer.status_code, answer.json()["detail"]) == (503, "database: its schema is not up to date")
    upgrade(database)
    assert eventually(lambda: ready(gateway).status_code == 200)


def test_a_database_that_cannot_be_reached_is_not_ready(valkey: Valkey, tmp_path: Path) -> None:
    with Gateway(settings(valkey.url), Database(f"sqlite:///{tmp_path}")) as gateway:
        answer = ready(gateway)
    assert (answer.status_code, answer.json()["detail"]) == (503, "database: it cannot be reached")


def test_every_reason_is_given(tmp_path: Path) -> None:
    with Gateway(settings(f"redis://127.0.0.1:{free_port()}/0"), Database(f"sqlite:///{tmp_path}")) as gateway:
        detail = ready(gateway).json()["detail"]
    assert detail == "queue: Redis cannot be reached; database: it cannot be reached"


def test_a_whole_system_is_ok_and_says_how_safe_an_accepted_event_is(own_valkey: Valkey, database: Database) -> None:
    with Gateway(settings(own_valkey.url), database) as gateway, own_valkey.client() as client:
        with Told(client, ROUTES).alive(*QUEUES):
            report = eventually(lambda: (found := gateway.get("/health", {}).json())["status"] == "ok" and found)
        assert set(report["checks"]) == {"database", "queue", "cache", "workers"}
        assert report["checks"]["queue"]["detail"] == "every write is on disk before it is confirmed"
        assert all(check["latency_ms"] >= 0 for check in report["checks"].values())
        report = eventually(lambda: (found := gateway.get("/health", {}).json())["status"] != "ok" and found)
    assert (report["status"], report["checks"]["workers"]["status"]) == ("degraded", "degraded")
    assert report["checks"]["workers"]["detail"] == f"nobody works on {', '.join(QUEUES)}"


def test_a_server_that_syncs_too_seldom_is_told_of(own_valkey: Valkey, database: Database) -> None:
    with own_valkey.client() as client:
        client.config_set("appendfsync", "no")
    with Gateway(settings(own_valkey.url), database) as gateway:
        queue = eventually(lambda: (found := checks(gateway)["queue"])["detail"].startswith("append") and found)
    assert queue["status"] == "degraded"
    assert queue["detail"].startswith("appendonly yes, appendfsync no, ")


def test_without_redis_the_system_is_down(without_redis: Gateway) -> None:
    answer = without_redis.get("/health", {})
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert int(answer.headers["Retry-After"]) >= 1
    queue = answer.json()["checks"]["queue"]
    assert (queue["status"], queue["detail"]) == ("down", "Redis cannot be reached")


def test_a_redis_that_hangs_holds_up_nobody_and_is_told_of(own_valkey: Valkey, database: Database) -> None:
    with Gateway(settings(own_valkey.url), database) as gateway:
        assert ready(gateway).status_code == 200
        with own_valkey.hanging():
            answer = eventually(lambda: (found := ready(gateway)).status_code == 503 and found)
            assert answer.json()["detail"] == f"queue: {LATE}"
            assert gateway.get("/health/live", {}).status_code == 200
            found = checks(gateway)
            assert found["database"]["status"] == "ok"
            assert {name: found[name]["status"] for name in ("queue", "cache", "workers")} == {
                "queue": "down",
                "cache": "degraded",
                "workers": "degraded",
            }
            for _ in range(20):
                checks(gateway)
            assert len(looking()) <= len(found)  # while it hangs, nobody else is sent after it
        assert eventually(lambda: ready(gateway).status_code == 200)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield int(listener.getsockname()[1])


def test_a_database_that_hangs_holds_up_nobody_and_is_told_of(valkey: Valkey, silent: int) -> None:
    database = Database(f"postgresql+psycopg://luna@127.0.0.1:{silent}/luna")
    with Gateway(settings(valkey.url), database) as gateway:
        assert ready(gateway).json()["detail"] == f"database: {LATE}"
        found = checks(gateway)
        assert (found["database"]["status"], found["cache"]["status"]) == ("down", "ok")
        assert gateway.get("/health/live", {}).status_code == 200
        assert len([name for name in looking() if name == "probe-database"]) == 1


def looking() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("probe-")]
