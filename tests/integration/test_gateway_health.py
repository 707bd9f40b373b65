from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.routes import QUEUES, ROUTES
from tests.builders import Told
from tests.gateway import Gateway, settings
from tests.servers import Valkey, eventually, free_port
from workers.database import Database
from workers.database.migrate import downgrade, upgrade


@pytest.fixture
def without_redis(database: Database) -> Iterator[Gateway]:
    with Gateway(settings(f"redis://127.0.0.1:{free_port()}/0"), database) as gateway:
        yield gateway


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_a_healthy_gateway_says_so_to_everybody(gateway: Gateway, path: str) -> None:
    answer = gateway.get(path, {})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readiness_is_never_cached(gateway: Gateway) -> None:
    assert gateway.get("/health/ready", {}).headers["Cache-Control"] == "no-store"


def test_a_gateway_without_redis_lives_and_is_not_ready(without_redis: Gateway) -> None:
    assert without_redis.get("/health/live", {}).status_code == 200
    answer = without_redis.get("/health/ready", {})
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.json()["detail"] == "Redis cannot be reached"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_old_schema_is_not_ready_until_it_is_migrated(gateway: Gateway, database: Database) -> None:
    downgrade(database, "base")
    answer = gateway.get("/health/ready", {})
    assert (answer.status_code, answer.json()["detail"]) == (503, "the database's schema is not up to date")
    upgrade(database)
    assert gateway.get("/health/ready", {}).status_code == 200


def test_a_database_that_cannot_be_reached_is_not_ready(valkey: Valkey, tmp_path: Path) -> None:
    with Gateway(settings(valkey.url), Database(f"sqlite:///{tmp_path}")) as gateway:
        answer = gateway.get("/health/ready", {})
    assert (answer.status_code, answer.json()["detail"]) == (503, "the database cannot be reached")


def test_every_reason_is_given(tmp_path: Path) -> None:
    with Gateway(settings(f"redis://127.0.0.1:{free_port()}/0"), Database(f"sqlite:///{tmp_path}")) as gateway:
        detail = gateway.get("/health/ready", {}).json()["detail"]
    assert detail == "Redis cannot be reached; the database cannot be reached"


def test_a_whole_system_is_ok_and_says_how_safe_an_accepted_event_is(own_valkey: Valkey, database: Database) -> None:
    with Gateway(settings(own_valkey.url), database) as gateway, own_valkey.client() as client:
        with Told(client, ROUTES).alive(*QUEUES):
            report = eventually(lambda: (found := gateway.get("/health", {}).json())["status"] == "ok" and found)
        assert set(report["checks"]) == {"database", "queue", "cache", "workers"}
        assert report["checks"]["queue"]["detail"] == "every write is on disk before it is confirmed"
        assert all(check["latency_ms"] >= 0 for check in report["checks"].values())
        report = gateway.get("/health", {}).json()
    assert (report["status"], report["checks"]["workers"]["status"]) == ("degraded", "degraded")
    assert report["checks"]["workers"]["detail"] == f"nobody works on {', '.join(QUEUES)}"


def test_a_server_that_syncs_too_seldom_is_told_of(own_valkey: Valkey, database: Database) -> None:
    with own_valkey.client() as client:
        client.config_set("appendfsync", "no")
    with Gateway(settings(own_valkey.url), database) as gateway:
        queue = eventually(
            lambda: (found := gateway.get("/health", {}).json()["checks"]["queue"])["status"] != "down" and found
        )
    assert queue["status"] == "degraded"
    assert queue["detail"].startswith("appendonly yes, appendfsync no, ")


def test_without_redis_the_system_is_down(without_redis: Gateway) -> None:
    answer = without_redis.get("/health", {})
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert answer.json()["checks"]["queue"] | {"latency_ms": 0} == {
        "status": "down",
        "latency_ms": 0,
        "detail": "Redis cannot be reached",
    }
