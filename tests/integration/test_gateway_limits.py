"""Limits as callers meet them: what counts, what is answered, and that waiting helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.gateway import ADA, BOB, SIGNED_UP, Gateway, bearer, settings
from tests.servers import Valkey, eventually
from workers.database import Database
from workers.operations.access import Access
from workers.rates import Rate

TYPES = "/v1/event-types"


@contextmanager
def limited(valkey: Valkey, database: Database, limits: str, **others: str) -> Iterator[Gateway]:
    with Gateway(settings(valkey.url, LUNA_RATE_LIMITS=limits, **others), database) as gateway:
        yield gateway


def asked(gateway: Gateway, times: int, headers: dict[str, str] = ADA, path: str = TYPES) -> list[int]:
    return [gateway.get(path, headers).status_code for _ in range(times)]


def test_every_answer_tells_where_the_caller_stands(valkey: Valkey, database: Database) -> None:
    with limited(valkey, database, "ip=100/1m, user=10/1m, endpoint:POST /v1/events=5/1m") as gateway:
        answer = gateway.post(SIGNED_UP)
        assert answer.headers["RateLimit-Policy"] == '"ip";q=100;w=60, "user";q=10;w=60, "POST /v1/events";q=5;w=60'
        assert answer.headers["RateLimit"] == '"ip";r=99;t=1, "user";r=9;t=6, "POST /v1/events";r=4;t=12'
        assert gateway.get("/nowhere", ADA).headers["RateLimit"].startswith('"ip";r=98')


def test_who_is_over_a_limit_is_refused_until_it_has_waited(valkey: Valkey, database: Database) -> None:
    with limited(valkey, database, "user=2/2s") as gateway:
        assert asked(gateway, 2) == [200, 200]
        refused = gateway.get(TYPES, ADA)
        assert refused.status_code == 429
        assert refused.json()["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert refused.json()["violated-policies"] == ["user"]
        assert refused.headers["Retry-After"] == "1"
        assert refused.headers["RateLimit"] == '"user";r=0;t=1'
        assert asked(gateway, 1, BOB) == [200]
        eventually(lambda: asked(gateway, 1) == [200], what="a request that passes")


@pytest.mark.parametrize(
    "spelling",
    [("GET", "/v1/event-types?x=1"), ("HEAD", "/v1/event-types"), ("GET", "/v1/%65vent-types")],
)
def test_no_spelling_of_a_request_has_a_limit_of_its_own(
    valkey: Valkey, database: Database, spelling: tuple[str, str]
) -> None:
    with limited(valkey, database, "endpoint:GET /v1/event-types=1/1m") as gateway:
        assert gateway.call(*spelling, headers={**ADA, "X-Forwarded-For": "1.2.3.4"}).status_code == 200
        assert asked(gateway, 1) == [429]


def test_a_path_with_an_id_counts_for_its_route(valkey: Valkey, database: Database) -> None:
    with limited(valkey, database, "endpoint:GET /v1/events/{event_id}=2/1m") as gateway:
        assert asked(gateway, 2, path="/v1/events/1") == [404, 404]
        assert asked(gateway, 1, path="/v1/events/2") == [429]
        assert asked(gateway, 1) == [200]


def test_a_batch_counts_its_events_and_a_refusal_counts_none(valkey: Valkey, database: Database) -> None:
    with limited(valkey, database, "ip=100/1m, user=10/1m") as gateway:
        assert gateway.post([SIGNED_UP] * 6).status_code == 202
        refused = gateway.post([SIGNED_UP] * 6)
        assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["user"])
        assert gateway.post([SIGNED_UP] * 4).headers["RateLimit"].startswith('"ip";r=90;')


def test_a_batch_beyond_what_is_ever_allowed_is_too_large_and_not_told_to_wait(
    valkey: Valkey, database: Database
) -> None:
    with limited(valkey, database, "user=10/1m") as gateway:
        answer = gateway.post([SIGNED_UP] * 11)
        assert (answer.status_code, answer.json()["violated-policies"]) == (413, ["user"])
        assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("body", [b"{", b"[", b"x" * 300_000, b'{"type": "user.vanished", "data": {}}'])
def test_a_bad_request_counts_too(valkey: Valkey, database: Database, body: bytes) -> None:
    with limited(valkey, database, "user=1/1m") as gateway:
        assert gateway.post_bytes(body).status_code in {400, 413, 422}
        assert gateway.post(SIGNED_UP).status_code == 429


def test_refused_credentials_have_a_limit_of_their_own(valkey: Valkey, database: Database) -> None:
    with limited(valkey, database, "failed=2/1m") as gateway:
        assert asked(gateway, 1) == [200]
        wrong: list[dict[str, str]] = [
            {"Authorization": "Bearer x"},
            {"X-API-Key": "luna_x"},
            {"Authorization": "Basic x"},
        ]
        assert [gateway.get(TYPES, each).status_code for each in wrong] == [401, 401, 429]
        assert asked(gateway, 1) == [200]
        assert asked(gateway, 1, bearer("eve", "events:read")) == [429]  # not known yet: it may be a guess


def test_a_request_without_credentials_counts_for_its_address(valkey: Valkey, database: Database) -> None:
    with limited(valkey, database, "ip=2/1m, failed=1/1m") as gateway:
        assert asked(gateway, 3, {}) == [401, 401, 429]


def test_health_has_no_limit(valkey: Valkey, database: Database) -> None:
    with limited(valkey, database, "ip=1/1m") as gateway:
        assert asked(gateway, 5, {}, "/health/live") == [200] * 5
        assert "RateLimit" not in gateway.get("/health/live", {}).headers


def test_only_a_trusted_proxy_says_who_asks(valkey: Valkey, database: Database) -> None:
    def from_(gateway: Gateway, address: str) -> int:
        return gateway.get("/nowhere", {"X-Forwarded-For": address}).status_code

    with limited(valkey, database, "ip=1/1m") as gateway:
        assert [from_(gateway, address) for address in ("192.0.2.1", "192.0.2.2")] == [404, 429]
    with valkey.client() as client:
        client.flushall()
    with limited(valkey, database, "ip=1/1m", LUNA_TRUSTED_PROXIES="127.0.0.0/8") as gateway:
        addresses = ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2")
        assert [from_(gateway, address) for address in addresses] == [404, 404, 429, 404, 429]


def test_an_api_key_has_its_own_rate(valkey: Valkey, database: Database) -> None:
    made = Access(database).create_key("shop", frozenset({"events:read"}), Rate(1, 60), 3600, "op")
    with limited(valkey, database, "key=100/1m, user=1/1m") as gateway:
        answers: list[httpx.Response] = [gateway.get(TYPES, {"X-API-Key": made.key}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert answers[0].headers["RateLimit-Policy"] == '"key";q=1;w=60'
