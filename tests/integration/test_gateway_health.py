from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import Gateway, settings
from tests.servers import Valkey, free_port
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
